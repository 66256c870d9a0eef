//! Countries in access lists: `geoip` and `acl N permit|deny country CC`.
#![cfg(feature = "geoip")]

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::mmdb::{Mmdb, Record};
use crate::common::pen::{Pen, Start, control_over_tcp};
use crate::common::ports::free_port;
use crate::common::wait::eventually;
use crate::common::{root, skip};
use nix::sys::signal::Signal::SIGHUP;
use std::fs;

const SWEDE: &str = "127.0.0.1";
const DANE: &str = "127.0.0.2";
const STATELESS: &str = "127.0.0.3";

/// Where the three are at home; ::1 is in Norway.
fn countries(of_swede: &str) -> Vec<u8> {
    Mmdb::countries()
        .network("127.0.0.1/32", Record::country(of_swede))
        .network("127.0.0.2/32", Record::country("DK"))
        .network("::1/128", Record::country("NO"))
        .to_bytes()
}

/// A pen whose clients must pass list 1, with a file of countries that is named in its configuration file.
fn before(server: &Backend, lists: &str) -> Start {
    let start = Pen::before([server]).options("-r");
    let file = start.path("countries.mmdb");
    fs::write(&file, countries("SE")).unwrap();
    start.config(&format!("geoip {}\n{lists}client_acl 1\n", file.display()))
}

/// What each of the three gets.
fn asks(pen: &Pen) -> String {
    [SWEDE, DANE, STATELESS].map(|client| pen.ask_from(client)).concat()
}

#[test]
fn clients_are_judged_by_country_and_an_unknown_one_matches_nothing() {
    let server = Backend::named("A");
    let pen = before(&server, "acl 1 permit country SE\nacl 2 deny country SE\n").start();
    assert_eq!(asks(&pen), "A--");
    assert_eq!(pen.control("client_acl 2"), "2\n");
    assert_eq!(asks(&pen), "-AA");
    // In the middle of a list, after an entry that decides before.
    for line in ["no acl 3", "acl 3 deny 127.0.0.1", "acl 3 permit country dk", "acl 3 permit country SE"] {
        assert_eq!(pen.control(line), "", "{line}");
    }
    pen.control("client_acl 3");
    assert_eq!(asks(&pen), "-A-");
}

#[test]
fn ipv6_clients_have_countries_too() {
    let server = Backend::named("A");
    let port = free_port();
    let pen = before(&server, "acl 1 permit country NO\n").listen(format!("[::1]:{port}")).start();
    let ask = || Client::connect(format!("[::1]:{port}").parse().unwrap()).try_line();
    assert_eq!(ask().as_deref(), Some("A"));
    pen.control("no acl 1");
    pen.control("acl 1 deny country NO");
    assert_eq!(ask(), None);
}

#[test]
fn an_ipv4_client_of_an_ipv6_listener_has_its_country() {
    let server = Backend::named("A");
    let port = free_port();
    let _pen = before(&server, "acl 1 permit country SE\n").listen(format!("[::]:{port}")).start();
    let ask = |source| Client::connect_from(source, ([127, 0, 0, 1], port).into()).try_line();
    assert_eq!((ask(SWEDE).as_deref(), ask(DANE)), (Some("A"), None));
}

#[test]
fn servers_and_the_control_port_may_ask_for_countries() {
    let server = Backend::named("A");
    let control = ([127, 0, 0, 1], free_port()).into();
    let lists = "acl 1 permit country SE\nacl 2 permit country DK\ncontrol_acl 3\nacl 3 permit country SE\n";
    let pen = before(&server, lists).control_at(control).options("-u nobody").start();
    assert_eq!(control_over_tcp(DANE, control, "server 0 acl 2"), "");
    assert_eq!(asks(&pen), "A--");
    assert_eq!(control_over_tcp(SWEDE, control, "pid"), format!("{}\n", pen.pid()));
    assert_eq!(control_over_tcp(SWEDE, control, "server 0 acl 2"), "");
    control_over_tcp(SWEDE, control, "client_acl 0");
    assert_eq!(asks(&pen), "-A-");
}

#[test]
fn a_new_file_counts_from_the_next_reload_on() {
    let server = Backend::named("A");
    let pen = before(&server, "no acl 1\nacl 1 permit country FI\n").start();
    assert_eq!(asks(&pen), "---");
    fs::write(pen.path("countries.mmdb"), countries("FI")).unwrap();
    assert_eq!(asks(&pen), "---", "the file is not looked at on its own");
    pen.signal(SIGHUP);
    eventually("the new countries", || asks(&pen), |asks| asks == "A--");
}

#[test]
fn a_file_that_cannot_be_used_leaves_the_old_data_and_is_told() {
    let server = Backend::named("A");
    let pen = before(&server, "no acl 1\nacl 1 permit country SE\n").start();
    let good = fs::read(pen.path("countries.mmdb")).unwrap();
    let of_networks = Mmdb::of_type("GeoLite2-ASN").network("127.0.0.0/8", Record::empty()).to_bytes();
    for (index, bad) in [&b"no database"[..], &good[..good.len() / 2], &of_networks].into_iter().enumerate() {
        fs::write(pen.path("countries.mmdb"), bad).unwrap();
        // The rest of the configuration file takes effect all the same.
        let text = pen.text("pen.conf").replace("client_acl 1\n", "");
        fs::write(pen.path("pen.conf"), format!("{text}blacklist {}\nclient_acl 1\n", 40 + index)).unwrap();
        let before = pen.stderr().len();
        pen.signal(SIGHUP);
        eventually(
            "the file to be named",
            || pen.stderr()[before..].to_string(),
            |said| said.contains("countries.mmdb") && said.contains("the data read before stay in use"),
        );
        eventually(
            "the reload",
            || pen.control("blacklist"),
            |seconds| *seconds == format!("{}\n", 40 + index),
        );
        assert_eq!(asks(&pen), "A--");
    }
    fs::write(pen.path("countries.mmdb"), countries("DE")).unwrap();
    pen.signal(SIGHUP);
    eventually("a file that can be used", || asks(&pen), |asks| asks == "---");
}

#[test]
fn the_command_reads_shows_and_forgets() {
    let server = Backend::named("A");
    let pen = before(&server, "acl 1 permit country FI\n").start();
    let file = pen.path("countries.mmdb").display().to_string();
    assert_eq!(pen.control("geoip"), format!("{file}\n"));
    fs::write(pen.path("other.mmdb"), countries("FI")).unwrap();
    let other = pen.path("other.mmdb").display().to_string();
    assert_eq!(pen.control(&format!("geoip {other}")), format!("{other}\n"));
    assert_eq!(asks(&pen), "A--");
    for bad in ["/nowhere/x.mmdb", "/dev/null", &pen.path("pen.conf").display().to_string()] {
        let reply = pen.control(&format!("geoip {bad}"));
        assert!(reply.starts_with(&format!("error: geoip: {bad}: ")), "{reply}");
        assert_eq!((pen.control("geoip"), asks(&pen)), (format!("{other}\n"), "A--".into()));
    }
    fs::write(&other, countries("SE")).unwrap();
    assert_eq!(pen.control(&format!("geoip {other}")), format!("{other}\n"), "given again, read again");
    assert_eq!(asks(&pen), "---");
    pen.control("write");
    assert!(pen.text("pen.conf").contains(&format!("\ngeoip {other}\n")), "{}", pen.text("pen.conf"));
    assert!(pen.text("pen.conf").contains("\nacl 1 permit country FI\n"));
    assert_eq!(pen.control("no geoip"), "");
    assert_eq!((pen.control("geoip"), asks(&pen)), (String::new(), "---".into()));
}

#[test]
fn what_cannot_be_read_is_told_at_start() {
    let server = Backend::named("A");
    for words in ["", "--check"] {
        let ended = Pen::before([&server]).options(words).command("geoip /nowhere/countries.mmdb").run();
        assert_eq!(ended.code, Some(1));
        assert_eq!(ended.stderr, "pen: geoip: /nowhere/countries.mmdb: no such file or directory\n");
    }
    let pen = Pen::before([&server]).command("acl 1 permit country SE").start();
    assert!(pen.stderr().contains("acl: without geoip, entries with a country match no client\n"));
}

#[test]
fn files_of_other_publishers_and_registered_countries() {
    let server = Backend::named("A");
    let start = Pen::before([&server]).options("-r");
    let file = start.path("countries.mmdb");
    let coded = |code| Record::texts(&[("country_code", code)]);
    let of_one_family = Mmdb::of_type("country ipv4")
        .ipv4_only()
        .network("127.0.0.1/32", coded("SE"))
        .network("127.0.0.2/32", coded("DK"));
    fs::write(&file, of_one_family.to_bytes()).unwrap();
    let lists = "acl 1 permit country SE\nacl 2 permit registered_country US\nclient_acl 1\n";
    let pen = start.config(&format!("geoip {}\n{lists}", file.display())).start();
    assert_eq!(asks(&pen), "A--");
    let said = pen.stderr();
    let lack = format!("geoip: {}: no IPv6 networks in it: IPv6 clients are in no country\n", file.display());
    assert!(said.contains(&lack), "{said}");
    let unanswered =
        format!("acl: {} knows no registered_country, entries with one match no client\n", file.display());
    assert!(said.contains(&unanswered), "{said}");

    let registered = Mmdb::countries()
        .network("127.0.0.1/32", Record::used_and_registered("SE", "US"))
        .network("127.0.0.2/32", Record::registered("US"))
        .network("127.0.0.3/32", Record::country("US"))
        .network("::1/128", Record::country("NO"));
    fs::write(&file, registered.to_bytes()).unwrap();
    pen.control(&format!("geoip {}", file.display()));
    assert_eq!(asks(&pen), "A--");
    pen.control("client_acl 2");
    assert_eq!(asks(&pen), "AA-");
    pen.control("write");
    assert!(pen.text("pen.conf").contains("\nacl 2 permit registered_country US\n"));

    let before = pen.stderr().len();
    let of_networks = Mmdb::of_type("ASN").network("127.0.0.0/8", Record::texts(&[("asn", "64496")]));
    fs::write(&file, of_networks.to_bytes()).unwrap();
    let reply = pen.control(&format!("geoip {}", file.display()));
    assert!(reply.ends_with("got \"ASN\" with asn\n"), "{reply}");
    assert_eq!((asks(&pen), &pen.stderr()[before..]), ("AA-".into(), ""));
    // What a command leaves unanswered is told as at start.
    pen.control("no geoip");
    eventually(
        "the lists to be named",
        || pen.stderr()[before..].to_string(),
        |said| said.contains("acl: without geoip, entries with a registered_country match no client\n"),
    );
}

#[test]
fn in_a_jail_the_file_is_the_one_inside() {
    if !root() {
        return skip("only root can chroot");
    }
    let server = Backend::named("A");
    let start = Pen::before([&server]).directory("jail").options("-r -j jail -u nobody");
    let inside = start.path("jail/countries.mmdb");
    fs::write(&inside, countries("SE")).unwrap();
    let commands = ["geoip /countries.mmdb", "acl 1 permit country SE", "client_acl 1"];
    let pen = commands.into_iter().fold(start, |start, command| start.command(command)).start();
    assert_eq!(asks(&pen), "A--");
    fs::write(&inside, countries("FI")).unwrap();
    pen.signal(SIGHUP);
    eventually("the file inside to be read again", || asks(&pen), |asks| asks == "---");
}
