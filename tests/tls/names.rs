//! Certificates by the name a client asks for (`ssl_sni_path`).

use crate::certificates::{Authority, Pair, WithCertificate};
use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::wait::eventually;
use crate::peers::Speaker;
use nix::sys::signal::Signal;
use std::fs;

/// A pen with a default certificate that is good for every name that is asked for, and the certificates of `sites`.
struct Sites {
    pen: Pen,
    authority: Authority,
    default: Pair,
    _server: Backend,
}

const NAMES: [&str; 5] = ["default.test", "a.test", "b.test", "late.test", "broken.test"];

impl Sites {
    fn with(sites: &[(&str, &Pair)], authority: Authority, command: &str) -> Sites {
        let server = Backend::named("A");
        let default = authority.sign(&NAMES);
        let start = Pen::before([&server]).certificate(&default).directory("sites");
        for (name, pair) in sites {
            pair.put(&start.path("sites"), name);
        }
        let start = start.command(command);
        let pen = start.command("ssl_sni_path sites").start();
        Sites { pen, authority, default, _server: server }
    }

    fn shown(&self, name: &str) -> Vec<u8> {
        let mut client = Speaker::trusting(&self.authority).connect(self.pen.address, name);
        assert_eq!(client.line(), "A");
        client.shown()
    }

    fn is_default(&self, name: &str) -> bool {
        self.shown(name) == self.default.chain()[0].to_vec()
    }
}

fn der(pair: &Pair) -> Vec<u8> {
    pair.chain()[0].to_vec()
}

#[test]
fn each_name_gets_its_certificate_and_others_the_default() {
    let authority = Authority::new("authority");
    let (a, b) = (authority.sign(&["a.test"]), authority.sign(&["b.test"]));
    let sites = Sites::with(&[("a.test", &a), ("b.test", &b)], authority, "timeout 3");
    assert_eq!(sites.shown("a.test"), der(&a));
    assert_eq!(sites.shown("b.test"), der(&b));
    assert_eq!(sites.shown("A.Test"), der(&a), "names have no case");
    for _ in 0..2 {
        assert!(sites.is_default("default.test"), "the first client with an unknown name as well");
    }
}

#[test]
fn a_name_that_comes_later_is_found_when_it_is_asked_for() {
    let authority = Authority::new("authority");
    let late = authority.sign(&["late.test"]);
    let sites = Sites::with(&[], authority, "timeout 3");
    late.put(&sites.pen.path("sites"), "late.test");
    assert_eq!(sites.shown("late.test"), der(&late));
}

#[test]
fn hup_reads_the_directory_again_and_keeps_what_is_broken_now() {
    let authority = Authority::new("authority");
    let [a, b, new_a] = [&["a.test"], &["b.test"], &["a.test"]].map(|names| authority.sign(names));
    let sites = Sites::with(&[("a.test", &a), ("b.test", &b)], authority, "timeout 3");
    assert!(sites.is_default("late.test"), "and is remembered to be unknown");
    new_a.put(&sites.pen.path("sites"), "a.test");
    sites.authority.sign(&["late.test"]).put(&sites.pen.path("sites"), "late.test");
    fs::write(sites.pen.path("sites/b.test.key"), "no key any more").unwrap();
    sites.pen.signal(Signal::SIGHUP);
    eventually("the new certificate", || sites.shown("a.test") == der(&new_a), |new| *new);
    assert_eq!(sites.shown("b.test"), der(&b));
    assert!(!sites.is_default("late.test"), "what was unknown is forgotten");
    let told = sites.pen.stderr();
    assert!(told.contains("b.test.key: want a key in PEM form"), "{told}");
}

#[test]
fn a_broken_site_is_told_and_gets_the_default() {
    let authority = Authority::new("authority");
    let sites = Sites::with(&[], authority, "timeout 3");
    fs::write(sites.pen.path("sites/broken.test.crt"), "nothing").unwrap();
    assert!(sites.is_default("broken.test"));
    let told = || sites.pen.stderr();
    eventually("the reason", told, |text| text.contains("broken.test.crt: want a certificate in PEM form"));
}

#[test]
fn a_site_judges_its_clients_by_its_own_authorities() {
    let authority = Authority::new("authority");
    let a = authority.sign(&["a.test"]);
    let own = Authority::new("clients of a");
    let member = own.sign(&["member"]);
    let sites = Sites::with(&[("a.test", &a)], authority, "ssl_client_certificate required");
    let common = sites.authority.sign(&["employee"]);
    fs::write(sites.pen.path("sites/a.test.ca"), &own.pem).unwrap();
    fs::write(sites.pen.path("ca.pem"), &sites.authority.pem).unwrap();
    assert_eq!(sites.pen.control("ssl_ca_file ca.pem"), "");
    let gets_in = |pair: &Pair, name: &str| {
        let speaker = Speaker::with(&sites.authority, Some(pair), &crate::peers::BOTH_VERSIONS);
        let client = speaker.try_connect(sites.pen.address, name);
        client.is_ok_and(|mut client| std::io::Read::read(&mut client.stream, &mut [0]).is_ok())
    };
    assert_eq!([gets_in(&member, "a.test"), gets_in(&common, "a.test")], [true, false]);
    assert_eq!([gets_in(&member, "default.test"), gets_in(&common, "default.test")], [false, true]);
}

#[test]
fn many_unknown_names_are_served_and_leave_no_thread_behind() {
    const CLIENTS: usize = 8;
    const EACH: usize = 250;
    let authority = Authority::new("authority");
    let server = Backend::named("A");
    let default = authority.sign(&["*.many.test"]);
    let pen = Pen::before([&server])
        .certificate(&default)
        .directory("sites")
        .command("ssl_sni_path sites")
        .options("-dd")
        .start();
    let threads = || fs::read_dir(format!("/proc/{}/task", pen.pid())).unwrap().count();
    let before = threads();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (authority, pen) = (&authority, &pen);
            scope.spawn(move || {
                let speaker = Speaker::trusting(authority);
                for name in 0..EACH {
                    let mut client = speaker.connect(pen.address, &format!("n{client}-{name}.many.test"));
                    assert_eq!(client.line(), "A");
                }
            });
        }
    });
    eventually("the loader to be gone", threads, |count| *count <= before);
}
