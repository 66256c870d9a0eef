//! Which server gets a client, seen from outside the balancer: the cases observed on the original, the promises made
//! beyond it, and long random runs against a plain model of the rules.

#[path = "selection/model.rs"]
mod model;
#[path = "selection/policies.rs"]
mod policies;
#[path = "selection/random.rs"]
mod random;
#[path = "selection/script.rs"]
mod script;
#[path = "selection/service.rs"]
mod service;
#[path = "selection/simulation.rs"]
mod simulation;
#[path = "selection/uris.rs"]
mod uris;

use pen_core::balance::{
    Admission, Attempt, Endpoint, Refusal, Released, Rules, ServerId, ServerSetup, add_flows,
    add_live_to_clients,
};
use pen_core::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{Flag, Number};
use pen_proto::status::{ConnectionStatus, ServerStatus};
use pen_proto::weight::Weight;
use script::run;
use service::Service;

/// Scripts as `script.rs` reads them, and who serves each visit: a letter, `-` for nobody, `!` for denied.
#[test]
fn as_observed_on_the_original() {
    let cases = [
        ("the second server is the first in turn", "roundrobin | servers A B C | visit 1 1 1 1", "B C A B"),
        ("one server", "roundrobin | servers A | visit 1 1", "A A"),
        ("clients keep their server", "servers A B C | visit 1 2 1 2 3 1", "B C B C A B"),
        (
            "a blacklisted server is skipped until its time is over",
            "roundrobin | servers A B | blacklist 0 2 | visit 1 1 | pass 2 | visit 1 1",
            "B B A B",
        ),
        (
            "nobody left and no emergency server",
            "roundrobin | servers A B | blacklist 0 9 | blacklist 1 9 | visit 1",
            "-",
        ),
        (
            "the emergency server when all refuse",
            "servers A B | emergency E | dead A B | visit 1 1 | alive A B | pass 30 | visit 1",
            "E E A",
        ),
        (
            "the abuse server takes who is denied",
            "servers A | abuse X | acl 1 permit 1 | client_acl 1 | visit 1 2 | client_acl 0 | visit 2",
            "A X A",
        ),
        ("a server's own list", "servers A | acl 1 permit 1 | server_acl 0 1 | visit 1 2", "A -"),
        (
            "two to one by weight",
            "roundrobin | weight | servers A:0:0:2 B:0:0:1 | hold 1 1 1 1 1 1",
            "A B A A B A",
        ),
        (
            "five to two by weights with decimals",
            "roundrobin | weight | servers A:0:0:1.25 B:0:0:0.5 | hold 1 1 1 1 1 1 1",
            "A B A A B A A",
        ),
        (
            "loads that differ by less than a 256th are equal",
            "roundrobin | weight | servers A:0:0:257 B:0:0:1 | hold 1 1 1",
            "A A B",
        ),
        (
            "loads that differ by a 256th are not",
            "roundrobin | weight | servers A:0:0:256 B:0:0:1 | hold 1 1 1",
            "A B A",
        ),
        (
            "by priority, the first among equals",
            "prio | servers A:0:0:0:5 B:0:0:0:2 C:0:0:0:2 | visit 1 | blacklist 1 9 | visit 1 | blacklist 2 9 | visit 1",
            "B C A",
        ),
        (
            "the oldest client is forgotten",
            "clients_max 2 | servers A B C | visit 1 2 | pass 1 | visit 1 3 2",
            "B C B A B",
        ),
        (
            "no way back to a server that recovered",
            "servers A B C | visit 1 | blacklist 1 2 | visit 1 | pass 2 | visit 1",
            "B C C",
        ),
        (
            "one after the other to the emergency server and back",
            "roundrobin | servers A B | emergency E | visit 1 1 | blacklist 0 9 | visit 1 1 | blacklist 1 9 | visit 1 1 \
             | blacklist 0 0 | visit 1 1 | blacklist 1 0 | visit 1 1",
            "B A B B E E A A B A",
        ),
        (
            "stubborn clients get their own server or none",
            "stubborn | servers A B | emergency E | visit 1 | blacklist 1 9 | visit 1 | blacklist 0 9 | visit 2",
            "B - -",
        ),
        (
            // 0x0100007f, 0x0200007f, 0x0300007f and 0x0400007f modulo 3.
            "hash by address, and on to the next server when that is down",
            "hash | servers A B C | visit 1 2 3 | blacklist 2 9 | visit 1 4 2 3",
            "C A B A A A B",
        ),
        (
            "the blacklist time in force decides when a blacklisting ends",
            "roundrobin | servers A B | dead A | visit 1 1 1 | alive A | pass 10 | visit 1 1 | blacklist_time 10 | visit 1 1",
            "B B B B B A B",
        ),
        (
            "priority stands before weight and hash, and a tracked client before all",
            "servers A:0:0:1:9 B:0:0:9:1 C | visit 1 2 3 | prio | weight | hash | visit 1 2 3 | roundrobin | visit 1 2 3",
            "B C A B C A C C C",
        ),
    ];
    for (name, script, expected) in cases {
        assert_eq!(run(script), expected, "{name}: {script}");
    }
}

#[test]
fn better_than_the_original() {
    let cases = [
        ("a late failure fails over too, each server once", "servers A B C D | dead B C D | visit 1", "A"),
        ("all dead: closed after one try each", "servers A B C | dead A B C | visit 1 | failures", "- 1 1 1"),
        (
            "without a blacklist time too",
            "blacklist_time 0 | servers A B C | dead A B C | visit 1 | failures",
            "- 1 1 1",
        ),
        (
            "who is denied never gets the emergency server",
            "servers A | emergency E | acl 1 deny 2 | client_acl 1 | visit 1 2",
            "A !",
        ),
        (
            "nor when the abuse server is dead",
            "servers A | emergency E | abuse X | dead X | acl 1 deny 2 | client_acl 1 | visit 2 2",
            "- -",
        ),
        ("a missing weight counts as one", "roundrobin | weight | servers A B | hold 1 1 1 1", "A B A B"),
        (
            "an explicit weight of nought is never chosen",
            "roundrobin | weight | servers A:0:0:0 B:0:0:1 | hold 1 1",
            "B B",
        ),
        ("gaps are passed over", "roundrobin | servers _ A _ B | visit 1 1 1", "A B A"),
        ("a gap chosen by hash too", "hash | servers A B _ | visit 1", "A"),
        (
            "a full server refuses again and again",
            "servers A:1 | hold 1 | visit 1 1 1 | leave | visit 1",
            "A - - - A",
        ),
        (
            "places count while connects are under way",
            "roundrobin | servers A:2 B:1 | begin 1 1 1 1 | visit 1",
            "B A A - -",
        ),
        (
            "room above the soft maximum for own clients only",
            "servers A:1:2 | hold 1 | visit 2 | hold 1 | visit 1",
            "A - A -",
        ),
        ("a hard maximum below the soft one gives no room", "servers A:2:1 | hold 1 1 | visit 1", "A A -"),
        (
            "tracking time over: forgotten",
            "tracking 10 | servers A B C | visit 1 | pass 10 | visit 1 | pass 11 | visit 1",
            "B B C",
        ),
        (
            "the emergency server is no preference",
            "servers A B | emergency E | dead A B | visit 1 | blacklist 0 0 | blacklist 1 0 | alive A B | visit 1",
            "E A",
        ),
        (
            "the emergency server that failed is tried again as others are",
            "servers A | emergency E | dead A E | visit 1 | alive E | visit 1 | pass 30 | visit 1",
            "- E E",
        ),
        ("no servers at all", "emergency E | visit 1 | stubborn | visit 1", "E -"),
        (
            "the abuse server's maximum holds",
            "servers A | abuse X:1 | acl 1 deny 2 | client_acl 1 | hold 2 2",
            "X !",
        ),
        (
            "a client that gives up blames nobody",
            "roundrobin | servers A:1 B:1 | begin 1 1 | give_up | visit 1 1 | failures",
            "B A B A 0 0",
        ),
    ];
    for (name, script, expected) in cases {
        assert_eq!(run(script), expected, "{name}: {script}");
    }
}

/// What only failed is tried again when nobody else takes a client; what was commanded stands.
#[test]
fn when_all_have_failed_they_are_tried_again() {
    let cases = [
        (
            "a server that is back serves at once",
            "servers A | dead A | visit 1 | alive A | visit 1 2",
            "- A A",
        ),
        (
            "longest ago first",
            "roundrobin | servers A B C | dead A B C | visit 1 | pass 1 | alive A B C | visit 1",
            "- B",
        ),
        (
            "also within a second, and after another client's turn",
            "roundrobin | servers A B C | dead A B C | visit 1 1 | alive C A | visit 1 | failures",
            "- - C 2 3 2",
        ),
        ("each once for a client", "servers A B C | dead A B C | visit 1 2 | failures", "- - 2 2 2"),
        (
            "also without a blacklist time",
            "blacklist_time 0 | servers A B C | dead A B C | visit 1 2 | failures",
            "- - 2 2 2",
        ),
        (
            "never what was commanded",
            "servers A B | blacklist 1 9 | dead A | visit 1 2 | blacklist 0 9 | alive A | visit 1 | failures",
            "- - - 2 0",
        ),
        (
            "nor what was commanded after it failed, until it is released",
            "servers A | dead A | visit 1 | alive A | blacklist 0 9 | visit 1 | blacklist 0 0 | visit 1",
            "- - A",
        ),
        (
            "a command that is over is no command: a failure after it is only that",
            "servers A | blacklist 0 9 | pass 9 | dead A | visit 1 | alive A | visit 1",
            "- A",
        ),
        (
            "not while another takes clients",
            "roundrobin | servers A B | dead A | visit 1 1 | alive A | visit 1 1 1 | failures",
            "B B B B B 1 0",
        ),
        (
            "also when the others are full, shut or commanded",
            "roundrobin | servers A B:1 C D | dead A | acl 1 permit 9 | server_acl 2 1 | blacklist 3 99 | hold 1 1 \
             | visit 1 | alive A | visit 1",
            "B - - A",
        ),
        (
            "before the emergency server",
            "servers A B | emergency E | dead A B | visit 1 | alive B | visit 1",
            "E B",
        ),
        (
            "and the emergency server after them",
            "servers A B | emergency E | dead A B E | visit 1 | alive E | visit 1 | failures",
            "- E 2 2 1",
        ),
        (
            "not the emergency server against the operator's word",
            "servers A | emergency E | dead A | blacklist -1 9 | visit 1 2",
            "- -",
        ),
        ("by weight", "roundrobin | weight | servers A B | dead A B | visit 1 | alive B | visit 1", "- B"),
        ("by priority", "roundrobin | prio | servers A B | dead A B | visit 1 | alive B | visit 1", "- B"),
        ("by hash", "hash | servers A B | dead A B | visit 1 | alive A | visit 1 2", "- A A"),
        (
            "a stubborn client its own server and no other",
            "stubborn | servers A B | visit 1 | dead B | visit 1 | alive B | visit 1 | dead B | visit 1 1 | failures",
            "B - B - - 0 3",
        ),
        (
            "and any that failed when it has none",
            "stubborn | roundrobin | servers A | dead A | visit 1 | alive A | visit 2",
            "- A",
        ),
        (
            "the abuse server is tried again as well, as there is no other for who is denied",
            "servers A | abuse X | acl 1 deny 2 | client_acl 1 | dead X | visit 2 | alive X | visit 2 | pass 30 | visit 2",
            "- X X",
        ),
        (
            "but not against the operator's word",
            "servers A | abuse X | acl 1 deny 2 | client_acl 1 | blacklist -2 9 | visit 2",
            "!",
        ),
        (
            "once it serves it is as good as any",
            "roundrobin | servers A B | dead A B | visit 1 | alive A B | visit 1 1 | pass 30 | visit 1 1",
            "- B B A B",
        ),
    ];
    for (name, script, expected) in cases {
        assert_eq!(run(script), expected, "{name}: {script}");
    }
}

/// Who takes the turn of another has had his own.
#[test]
fn no_neighbour_gets_a_double_share() {
    let cases = [
        ("of a server that is full", "roundrobin | servers A:1 B C | hold 1 1 1 1 1 1 1", "B C A B C B C"),
        (
            "of one that is shut",
            "roundrobin | servers A B C | acl 1 permit 9 | server_acl 0 1 | visit 1 1 1 1 1",
            "B C B C B",
        ),
        (
            "of one that refuses",
            "blacklist_time 0 | roundrobin | servers A B C | dead A | visit 1 1 1 1 1 1",
            "B C B C B C",
        ),
        (
            "of two",
            "blacklist_time 0 | roundrobin | servers A B C D | dead A B | visit 1 1 1 1 1",
            "C D C D C",
        ),
        (
            "by weight: the least loaded of those that take the client",
            "roundrobin | weight | servers A:1:0:100 B:0:0:1 C:0:0:1 | hold 1 1 1 1 1 1",
            "A B C B C B",
        ),
        (
            "by priority: the next by priority",
            "prio | servers A:1:0:0:1 B:0:0:0:3 C:0:0:0:2 | hold 1 1 1",
            "A C C",
        ),
        (
            "by priority, of one that refuses",
            "blacklist_time 0 | prio | servers A:0:0:0:1 B:0:0:0:3 C:0:0:0:2 | dead A | visit 1 2",
            "C C",
        ),
        (
            "of clients that lose their own server",
            "servers A B C | visit 1 2 3 4 5 6 7 8 9 10 11 12 | dead B | visit 1 4 7 10",
            "B C A B C A B C A B C A C C A C",
        ),
    ];
    for (name, script, expected) in cases {
        assert_eq!(run(script), expected, "{name}: {script}");
    }
}

const NOW_SECONDS: u32 = 1_800_000_000;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.set_number(Number::Blacklist, 30);
    settings.set_number(Number::Tracking, 0);
    settings.set_number(Number::ClientAcl, 0);
    settings
}

fn server(port: u16) -> ServerSetup {
    ServerSetup::new(Endpoint::Inet(([127, 0, 0, 1], port).into()))
}

fn client(number: u32) -> ClientAddr {
    ClientAddr::Ip(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into())
}

fn service(servers: Vec<ServerSetup>) -> Service {
    let mut service = Service::new(1_000, &settings());
    service.set_servers(servers, None, None);
    service
}

fn admit(service: &mut Service, number: u32) -> Result<Attempt, Refusal> {
    match service.at().admit(client(number), 40_000, NOW_SECONDS) {
        Admission::Connect(attempt, _) => Ok(attempt),
        Admission::Refused(refusal) => Err(refusal),
    }
}

#[test]
fn a_failure_of_the_old_address_says_nothing_about_the_new_one() {
    let mut service = service(vec![server(1)]);
    let mut old = admit(&mut service, 1).unwrap();
    service.set_servers(vec![server(2)], None, None);
    assert!(service.at().failed(client(1), &mut old, NOW_SECONDS).is_none());
    let status = &service.at().server_statuses(NOW_SECONDS)[0];
    assert_eq!((status.failures_total, status.blacklisted_seconds, status.connections), (1, 0, 0));
}

#[test]
fn a_new_address_is_tried_at_once_and_an_unchanged_one_stays_blacklisted() {
    let mut service = service(vec![server(1), server(2)]);
    for index in [0, 1] {
        service.at().blacklist(ServerId::regular(index), 20, NOW_SECONDS);
    }
    service.set_servers(vec![server(3), ServerSetup { max: 9, ..server(2) }], None, None);
    let left: Vec<_> =
        service.at().server_statuses(NOW_SECONDS).iter().map(|s| s.blacklisted_seconds).collect();
    assert_eq!(left, [0, 20]);
}

#[test]
fn a_name_that_leads_elsewhere_keeps_the_operators_word_and_loses_its_failures() {
    let at = |port| ServerSetup { host_name: "web.example.org".into(), ..server(port) };
    let named = |port| ServerSetup { name: Some("web".into()), ..server(port) };
    for setup in [&at as &dyn Fn(u16) -> ServerSetup, &named] {
        let mut service = service(vec![setup(1), setup(2)]);
        service.at().blacklist(ServerId::regular(0), 3_600, NOW_SECONDS);
        let mut attempt = admit(&mut service, 1).unwrap();
        assert!(service.at().failed(client(1), &mut attempt, NOW_SECONDS).is_none());
        service.set_servers(vec![setup(3), setup(4)], None, None);
        let statuses = service.at().server_statuses(NOW_SECONDS);
        let left: Vec<_> = statuses.iter().map(|status| status.blacklisted_seconds).collect();
        assert_eq!(left, [3_600, 0]);
    }
}

#[test]
fn servers_that_stand_by_come_in_when_none_before_them_takes_the_client() {
    let standing_by = |port, standby| ServerSetup { standby, max: 2, ..server(port) };
    let servers = || vec![standing_by(1, 1), standing_by(2, 0), standing_by(3, 0), standing_by(4, 2)];
    for flag in [None, Some(Flag::Hash), Some(Flag::Weight), Some(Flag::Prio)] {
        let mut service = service(servers());
        let mut settings = settings();
        flag.into_iter().for_each(|flag| settings.set_flag(flag, true));
        service.at().set_rules(settings.rules());
        let served: Vec<i32> = (0..9)
            .map(|number| admit(&mut service, number).map_or(-3, |attempt| attempt.server().number()))
            .collect();
        let mut first = served[..4].to_vec();
        first.sort_unstable();
        assert_eq!((first, &served[4..]), (vec![1, 1, 2, 2], &[0, 0, 3, 3, -3][..]), "{flag:?}");
    }
    let mut service = service(servers());
    let words: Vec<_> =
        service.at().server_statuses(NOW_SECONDS).iter().map(|status| status.state().word()).collect();
    assert_eq!(words, ["standby", "up", "up", "standby"]);
    for index in [1, 2] {
        service.at().blacklist(ServerId::regular(index), 100, NOW_SECONDS);
    }
    assert_eq!(admit(&mut service, 1).unwrap().server().number(), 0);
}

#[test]
fn the_end_of_a_commanded_blacklisting_moves_with_the_blacklist_time() {
    let mut service = service(vec![server(1)]);
    service.at().blacklist(ServerId::regular(0), 100, NOW_SECONDS);
    for (blacklist_seconds, left_seconds) in [(30, 100), (0, 70), (1_030, 1_100)] {
        service.at().set_rules(Rules { blacklist_seconds, ..settings().rules() });
        let status = &service.at().server_statuses(NOW_SECONDS)[0];
        assert_eq!((status.blacklisted_seconds, status.state().word()), (left_seconds, "blacklisted"));
        assert!(admit(&mut service, 1).is_err(), "and it stands");
    }
}

#[test]
fn an_outage_is_over_when_another_server_takes_the_place_of_the_one_that_failed() {
    let mut service = service(vec![server(1)]);
    let mut attempt = admit(&mut service, 1).unwrap();
    assert!(service.at().failed(client(1), &mut attempt, NOW_SECONDS).is_none());
    let again = admit(&mut service, 2).unwrap();
    assert!(again.begins_outage());
    service.set_servers(vec![server(2)], None, None);
    let first = admit(&mut service, 3).unwrap();
    assert!(first.clears_failure() && !first.begins_outage());
    assert!(service.at().connected(&first));
    let second = admit(&mut service, 4).unwrap();
    assert!(!second.clears_failure());
    for attempt in [again, first, second] {
        service.at().abandon(attempt);
    }
}

#[test]
fn the_operators_verdict_outlasts_connects_that_were_under_way() {
    let mut service = service(vec![server(1)]);
    let server = ServerId::regular(0);
    service.at().blacklist(server, 1, NOW_SECONDS - 60);
    let succeeds = admit(&mut service, 1).unwrap();
    let mut fails = admit(&mut service, 1).unwrap();
    let left = |service: &mut Service| service.at().server_statuses(NOW_SECONDS)[0].blacklisted_seconds;
    service.at().blacklist(server, 3_600, NOW_SECONDS);
    service.at().connected(&succeeds);
    assert_eq!(left(&mut service), 3_600);
    service.at().blacklist(server, 0, NOW_SECONDS);
    service.at().failed(client(1), &mut fails, NOW_SECONDS);
    assert_eq!(left(&mut service), 0);
    service.at().abandon(succeeds);
}

#[test]
fn an_ordinary_connection_has_nothing_to_report_in_between() {
    let mut service = service(vec![server(1)]);
    let ordinary = admit(&mut service, 1).unwrap();
    assert!(!ordinary.clears_failure());
    service.at().blacklist(ServerId::regular(0), 1, NOW_SECONDS - 60);
    let after_failure = admit(&mut service, 1).unwrap();
    assert!(after_failure.clears_failure());
    service.at().connected(&after_failure);
    let after_success = admit(&mut service, 1).unwrap();
    assert!(!after_success.clears_failure());
    for attempt in [ordinary, after_failure, after_success] {
        service.at().abandon(attempt);
    }
}

#[test]
fn a_thousand_dead_servers_are_tried_once_by_each_client() {
    let mut service = service((1..=1_000).map(server).collect());
    for number in 1..=3 {
        let mut attempt = admit(&mut service, number).unwrap();
        let mut tries = 1;
        while service.at().failed(client(number), &mut attempt, NOW_SECONDS).is_some() {
            tries += 1;
        }
        assert_eq!(tries, 1_000);
        let statuses = service.at().server_statuses(NOW_SECONDS);
        let was_tried = |tries: u64| tries == u64::from(number);
        assert!(statuses.iter().all(|status| was_tried(status.failures_total) && status.connections == 0));
        service.at().release(attempt, Released::default());
    }
}

#[test]
fn a_removed_server_loses_its_clients_but_not_its_count() {
    let mut service = service(vec![server(1), server(2)]);
    let attempt = admit(&mut service, 1).unwrap();
    assert_eq!(attempt.server(), ServerId::regular(1));
    service.set_servers(vec![server(1)], None, None);
    let known = |service: &mut Service| {
        service.at().client_statuses(0..u32::MAX, NOW_SECONDS).map(|c| c.server).collect::<Vec<_>>()
    };
    assert_eq!(known(&mut service), [-3]);
    service.set_servers(vec![server(1), server(2)], None, None);
    assert_eq!(service.at().server_statuses(NOW_SECONDS)[1].connections, 1);
    service.at().abandon(attempt);
    assert_eq!(service.at().server_statuses(NOW_SECONDS)[1].connections, 0);
}

#[test]
fn bytes_are_added_up_for_server_and_client_whether_open_or_ended() {
    let mut service = service(vec![server(1)]);
    let ended = admit(&mut service, 7).unwrap();
    let open = admit(&mut service, 7).unwrap();
    service.at().release(ended, Released { established: true, up_bytes: 10, down_bytes: 200 });
    let mut servers = service.at().server_statuses(NOW_SECONDS);
    let mut clients: Vec<_> = service.at().client_statuses(0..u32::MAX, NOW_SECONDS).collect();
    let counts = |server: &ServerStatus| (server.connections_total, server.sent_bytes, server.received_bytes);
    assert_eq!(counts(&servers[0]), (1, 10, 200));
    assert_eq!((clients[0].connects, clients[0].sent_bytes, clients[0].received_bytes), (2, 200, 10));

    let connection = |client: &str, state| ConnectionStatus {
        client: client.to_string(),
        client_slot: open.slot().index.into(),
        server: open.server().number(),
        state,
        up_bytes: 1,
        down_bytes: 2,
        ..ConnectionStatus::default()
    };
    let connections =
        [connection("10.0.0.7:40000", 2), connection("10.0.0.8:40000", 2), connection("10.0.0.7:4", 1)];
    add_flows(&mut servers, &connections);
    add_live_to_clients(&mut clients, &connections);
    assert_eq!(counts(&servers[0]), (3, 12, 204));
    assert_eq!((clients[0].sent_bytes, clients[0].received_bytes), (202, 11), "the slot's own client only");
    service.at().abandon(open);
}

#[test]
fn statistics_show_what_is_configured() {
    let mut service = Service::new(10, &settings());
    let weighted =
        ServerSetup { max: 4, hard: 5, weight: Some(Weight::whole(6)), prio: 7, acl: 8, ..server(80) };
    let unix = ServerSetup::new(Endpoint::Unix(std::path::Path::new("/run/app.sock").into()));
    service.set_servers(vec![weighted, ServerSetup::default()], Some(unix), None);
    service.at().blacklist(ServerId::EMERGENCY, 12, NOW_SECONDS);
    let statuses = service.at().server_statuses(NOW_SECONDS);
    let shown: Vec<_> = statuses
        .iter()
        .map(|s| (s.index, s.address.as_str(), s.port, s.weight.unwrap_or_default().thousandths()))
        .collect();
    assert_eq!(shown, [(0, "127.0.0.1", 80, 6_000), (1, "", 0, 0), (-1, "/run/app.sock", 1, 0)]);
    let limits = &statuses[0];
    assert_eq!((limits.max, limits.hard, limits.prio, limits.acl), (4, 5, 7, 8));
    assert_eq!(statuses[2].blacklisted_seconds, 12);
    assert_eq!(statuses[2].failed_at_epoch_seconds, u64::from(NOW_SECONDS) - 18);
}

#[test]
fn no_flag_but_the_modes_changes_a_choice() {
    let mut settings = settings();
    for flag in [Flag::Keepalive, Flag::TcpNodelay, Flag::ExitEnabled, Flag::Ascii] {
        settings.set_flag(flag, true);
    }
    let mut service = service(vec![server(1), server(2)]);
    let attempt = admit(&mut service, 1).unwrap();
    assert_eq!(attempt.server(), ServerId::regular(1));
    service.at().abandon(attempt);
}
