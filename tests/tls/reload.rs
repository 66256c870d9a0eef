//! New certificates for a pen that serves.

use crate::certificates::{Authority, Pair, WithCertificate};
use crate::common::backend::{Backend, echo};
use crate::common::pen::Pen;
use crate::common::wait::eventually;
use crate::peers::Speaker;
use nix::sys::signal::Signal;
use std::fs;

fn der(pair: &Pair) -> Vec<u8> {
    pair.chain()[0].to_vec()
}

#[test]
fn hup_renews_the_certificate_and_open_connections_go_on() {
    let authority = Authority::new("authority");
    let (old, new) = (authority.sign(&["web.test"]), authority.sign(&["web.test"]));
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).certificate(&old).start();
    let speaker = Speaker::trusting(&authority);
    let mut open = speaker.connect(pen.address, "web.test");
    assert_eq!(open.exchange("before"), "before");
    fs::write(pen.path("pen.pem"), new.together()).unwrap();
    pen.signal(Signal::SIGHUP);
    let shown = || Speaker::trusting(&authority).connect(pen.address, "web.test").shown();
    eventually("the new certificate", shown, |shown| *shown == der(&new));
    assert_eq!(open.exchange("after"), "after");
    assert!(speaker.connect(pen.address, "web.test").is_resumed(), "sessions outlive the certificate");
}

#[test]
fn what_is_wrong_on_hup_is_told_and_the_old_stays() {
    let authority = Authority::new("authority");
    let (old, other) = (authority.sign(&["web.test"]), authority.sign(&["web.test"]));
    let server = Backend::serving(echo);
    let pen = Pen::before([&server])
        .certificate(&old)
        .file("pen.conf", "timeout 5\n")
        .options("-l pen.log -F pen.conf")
        .start();
    let shown = || Speaker::trusting(&authority).connect(pen.address, "web.test").shown();
    let hup_with = |text: Option<String>, reason: &str| {
        match text {
            Some(text) => fs::write(pen.path("pen.pem"), text).unwrap(),
            None => fs::remove_file(pen.path("pen.pem")).unwrap(),
        }
        fs::rename(pen.path("pen.log"), pen.path("old.log")).unwrap();
        pen.signal(Signal::SIGHUP);
        eventually("the reason", || pen.stderr(), |text| text.contains(reason));
        assert_eq!(shown(), der(&old));
        eventually("the log to be opened again", || pen.path("pen.log").exists(), |exists| *exists);
    };
    hup_with(Some("rubbish".into()), "want a certificate in PEM form; going on with the old one");
    hup_with(
        Some(format!("{}{}", other.certificate, old.key)),
        "the key is not that of the first certificate",
    );
    fs::write(pen.path("pen.conf"), "timeout 6\n").unwrap();
    hup_with(None, "no such file or directory; going on with the old one");
    assert_eq!(pen.control("timeout"), "6\n", "the rest of the reload is done");
}

#[test]
fn a_command_renews_at_once_or_says_why_not() {
    let authority = Authority::new("authority");
    let (old, new) = (authority.sign(&["web.test"]), authority.sign(&["web.test"]));
    let server = Backend::serving(echo);
    let pen = Pen::before([&server]).certificate(&old).file("new.pem", &new.together()).start();
    let shown = || Speaker::trusting(&authority).connect(pen.address, "web.test").shown();
    let refused = pen.control("ssl_certificate missing.pem");
    assert_eq!(refused, "error: ssl_certificate: missing.pem: no such file or directory\n");
    assert_eq!((pen.control("ssl_certificate"), shown()), ("pen.pem\n".into(), der(&old)));
    assert_eq!(pen.control("ssl_certificate new.pem"), "");
    assert_eq!(shown(), der(&new));
    assert_eq!(pen.control("no ssl_certificate"), "");
    let mut plain = pen.connect();
    assert_eq!(plain.exchange("without TLS"), "without TLS");
    assert_eq!(pen.control("ssl_certificate pen.pem"), "");
    assert_eq!(shown(), der(&old));
}

#[test]
fn keys_of_root_outside_the_jail_are_read_at_start_and_told_on_hup() {
    if !crate::common::root() {
        return crate::common::skip("only root can enter a jail");
    }
    let authority = Authority::new("authority");
    let pair = authority.sign(&["web.test"]);
    let server = Backend::serving(echo);
    let start = Pen::before([&server]).certificate(&pair).directory("jail").without_control();
    fs::set_permissions(start.path("pen.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let jail = start.path("jail").display().to_string();
    let pen = start.options("-u nobody -j").word(jail).start();
    let shown = || Speaker::trusting(&authority).connect(pen.address, "web.test").shown();
    assert_eq!(shown(), der(&pair));
    pen.signal(Signal::SIGHUP);
    let told = "ssl_certificate: pen.pem: no such file or directory; going on with the old one";
    eventually("the reason", || pen.stderr(), |text| text.contains(told));
    assert_eq!(shown(), der(&pair));
    let new = authority.sign(&["web.test"]);
    fs::write(pen.path("jail/pen.pem"), new.together()).unwrap();
    pen.signal(Signal::SIGHUP);
    eventually("the certificate inside the jail", shown, |shown| *shown == der(&new));
}
