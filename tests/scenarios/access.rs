//! Who may connect to what: `acl`, `client_acl`, `server N acl`, and the abuse server.

use crate::common::backend::Backend;
use crate::common::pen::{Pen, Start};

const FRIEND: &str = "127.0.0.1";
const STRANGER: &str = "127.0.0.2";

fn admitting_friends(server: &Backend) -> Start {
    Pen::before([server]).options("-r").command(format!("acl 1 permit {FRIEND}")).command("client_acl 1")
}

#[test]
fn a_denied_client_is_closed() {
    let server = Backend::named("A");
    let pen = admitting_friends(&server).start();
    assert_eq!(pen.ask_from(FRIEND), "A");
    assert_eq!(pen.ask_from(STRANGER), "-");
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_denied_client_gets_the_abuse_server() {
    let (server, abuse) = (Backend::named("A"), Backend::named("X"));
    let pen = admitting_friends(&server).options("-B").word(&abuse).start();
    assert_eq!(pen.ask_from(FRIEND), "A");
    assert_eq!(pen.ask_from(STRANGER), "X");
    assert_eq!(pen.control("client_acl 0"), "0\n");
    assert_eq!(pen.ask_from(STRANGER), "A");
}

#[test]
fn a_denied_client_never_gets_the_emergency_server() {
    let (server, emergency) = (Backend::named("A"), Backend::named("E"));
    let pen = admitting_friends(&server).options("-e").word(&emergency).start();
    assert_eq!(pen.ask_from(STRANGER), "-");
    pen.control("server 0 blacklist 3600");
    assert_eq!(pen.ask_from(STRANGER), "-");
    assert_eq!(pen.ask_from(FRIEND), "E");
    assert_eq!(emergency.accepted(), 1);
}

#[test]
fn nothing_takes_over_from_the_abuse_server() {
    let (server, abuse, emergency) = (Backend::named("A"), Backend::refusing("X"), Backend::named("E"));
    let pen = admitting_friends(&server).options("-B").word(&abuse).options("-e").word(&emergency).start();
    assert_eq!(pen.ask_from(STRANGER), "-");
    assert_eq!((server.accepted(), emergency.accepted()), (0, 0));
}

#[test]
fn a_server_may_have_a_list_of_its_own() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a, &b]).options("-r").command(format!("acl 2 permit {FRIEND}")).start();
    pen.control("server 0 acl 2");
    assert_eq!((0..4).map(|_| pen.ask_from(STRANGER)).collect::<String>(), "BBBB");
    assert!((0..4).map(|_| pen.ask_from(FRIEND)).any(|name| name == "A"));
}

/// List, and which of 127.0.0.1, 127.0.0.2 and 127.0.1.1 pass it.
const LISTS: &[(&[&str], [bool; 3])] = &[
    (&[], [true, true, true]),
    (&["permit 127.0.0.1"], [true, false, false]),
    (&["deny 127.0.0.1"], [false, true, true]),
    (&["permit 127.0.0.0 255.255.255.0"], [true, true, false]),
    (&["deny 127.0.0.2", "permit 127.0.0.0 255.255.255.0"], [true, false, false]),
    (&["permit 127.0.0.2", "deny 127.0.0.0 255.255.255.0"], [false, true, true]),
    // IPv4 networks in IPv6 form are IPv4 networks; their host bits are passed over as in other IPv6 networks.
    (&["permit ::ffff:127.0.0.0/120"], [true, true, false]),
    (&["deny ::ffff:127.0.0.1"], [false, true, true]),
    (&["permit ::ffff:127.0.1.9/120"], [false, false, true]),
    (&["deny 127.0.0.2", "permit ::ffff:0:0/96"], [true, false, true]),
    // Host bits under the mask match nobody; then the opposite of the last entry decides.
    (&["permit 127.0.0.9 255.0.0.0"], [false, false, false]),
    // The last entry decides even when it is for another family.
    (&["deny 127.0.0.2", "permit ::1"], [false, false, false]),
    (&["permit 127.0.0.2", "deny ::1"], [true, true, true]),
];

#[test]
fn lists_decide_by_the_first_match_and_else_by_the_opposite_of_the_last() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options("-r").start();
    pen.control("client_acl 3");
    for (entries, passes) in LISTS {
        pen.control("no acl 3");
        for entry in *entries {
            assert_eq!(pen.control(&format!("acl 3 {entry}")), "");
        }
        for (client, passes) in ["127.0.0.1", "127.0.0.2", "127.0.1.1"].iter().zip(passes) {
            let want = if *passes { "A" } else { "-" };
            assert_eq!(pen.ask_from(client), want, "{client} with {entries:?}");
        }
    }
}

#[test]
fn an_ipv4_client_of_an_ipv6_listener_is_an_ipv4_client() {
    let server = Backend::named("A");
    let port = crate::common::ports::free_port();
    let start = Pen::before([&server]).listen(format!("[::]:{port}"));
    let pen = start.command("acl 1 deny 127.0.0.2").command("client_acl 1").start();
    let ask = |client: &str| {
        let to = ([127, 0, 0, 1], port).into();
        crate::common::client::Client::connect_from(client, to).try_line()
    };
    assert_eq!((ask(FRIEND), ask(STRANGER)), (Some("A".into()), None));
    assert!(pen.control("recent").contains("127.0.0.1 connects 1 "), "{}", pen.control("recent"));
    pen.control("no acl 1");
    pen.control("acl 1 deny ::ffff:127.0.0.1/128");
    assert_eq!((ask(FRIEND), ask(STRANGER)), (None, Some("A".into())));
}

#[test]
fn ipv6_clients_are_told_apart_by_all_of_their_address() {
    let server = Backend::named("A");
    let port = crate::common::ports::free_port();
    let start = Pen::before([&server]).listen(format!("[::1]:{port}"));
    let pen = start.command("acl 1 deny ::1").command("client_acl 1").start();
    let to = format!("[::1]:{port}").parse().unwrap();
    assert_eq!(crate::common::client::Client::connect(to).try_line(), None);
    pen.control("no acl 1");
    pen.control("acl 1 deny 2001:db8::/32");
    assert_eq!(crate::common::client::Client::connect(to).try_line().as_deref(), Some("A"));
}

#[test]
fn a_long_list_decides_like_a_short_one_and_grows_by_commands() {
    let server = Backend::named("A");
    let others: String = (0..5_000).map(|n| format!("acl 1 deny 10.1.{}.{}\n", n / 250, n % 250)).collect();
    let in_the_middle = "acl 1 deny 127.0.0.2\nacl 1 deny 127.0.0.3 255.255.0.255\n";
    let start = Pen::before([&server]).options("-r");
    let start = start.file("long.acl", &format!("no acl 1\n{others}{in_the_middle}{others}"));
    let include = format!("include {}", start.path("long.acl").display());
    let pen = start.command(include).command("client_acl 1").start();
    let answers = |sources: [&str; 4]| sources.map(|source| pen.ask_from(source)).concat();
    assert_eq!(answers(["127.0.0.1", "127.0.0.2", "127.0.9.3", "127.0.9.2"]), "A--A");
    for host in 1..=40 {
        assert_eq!(pen.control(&format!("acl 1 deny 127.0.2.{host}")), "");
    }
    assert_eq!(answers(["127.0.2.1", "127.0.2.25", "127.0.2.40", "127.0.2.41"]), "---A");
}
