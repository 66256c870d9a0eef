//! What an agent says, and how it counts beside the words of others.

use super::super::pool::Pool;
use super::super::{Admission, Asker, Finding, Health, Rules, ServerSetup, Untested};
use super::*;
use crate::settings::Settings;
use crate::uri::Uri;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{LoadSource, PolicyKind};
use pen_proto::status::ServerState;
use std::net::{IpAddr, Ipv4Addr};

const BLACKLIST_SECONDS: u32 = 30;

pub(super) fn setup(number: u8) -> ServerSetup {
    ServerSetup {
        load_source: LoadSource::Agent { port: 7 },
        ..ServerSetup::new(Endpoint::Inet(([10, 0, 0, number], 80).into()))
    }
}

/// A pool of so many servers that all weigh one, chosen by the fewest connections.
pub(super) struct Farm {
    pub pool: Pool,
    pub selection: super::super::SelectionKey,
    now_seconds: u32,
    pub clients: u8,
}

impl Farm {
    pub fn of(servers: Vec<ServerSetup>) -> Farm {
        Farm::with_rules(servers, |rules| rules.policy = PolicyKind::LeastConn)
    }

    pub fn with_rules(servers: Vec<ServerSetup>, change: impl FnOnce(&mut Rules)) -> Farm {
        let mut pool = Pool::new(64).seeded(1);
        let mut rules = Settings::default().rules();
        change(&mut rules);
        rules.blacklist_seconds = BLACKLIST_SECONDS.into();
        let selection = pool.add_selection(rules);
        pool.set_servers(selection, servers, None, None);
        Farm { pool, selection, now_seconds: 1_000, clients: 0 }
    }

    pub fn hears(&mut self, index: usize, line: &str) -> Option<String> {
        self.reads(index, Reading::Said(Said::parse(line.as_bytes()).unwrap()))
    }

    pub fn hears_nothing(&mut self, index: usize) {
        self.reads(index, Reading::Unknown("timed out".into()));
    }

    fn reads(&mut self, index: usize, reading: Reading) -> Option<String> {
        let server = ServerId::regular(index);
        let now_seconds = self.now_seconds;
        let mut chooser = self.pool.at(self.selection);
        let endpoint = chooser.servers.get(server).unwrap().setup.endpoint.clone();
        chooser.loaded(server, &endpoint, &reading, now_seconds).expect("the server is there")
    }

    pub fn server(&mut self, index: usize) -> Server {
        self.pool.at(self.selection).servers.get(ServerId::regular(index)).unwrap().clone()
    }

    pub fn state(&mut self, index: usize) -> ServerState {
        let now_seconds = self.now_seconds;
        self.server(index).state(BLACKLIST_SECONDS.into(), now_seconds)
    }

    /// A client asks for this, and has gone again.
    pub fn asks_for(&mut self, uri: u64, now_seconds: u32) {
        let client = ClientAddr::from(std::net::SocketAddr::from(([192, 0, 2, 1], 1)));
        let asker = Asker { uri: Some(Uri(uri)), ..Asker::from(client) };
        let mut chooser = self.pool.at(self.selection);
        if let Admission::Connect(attempt, _) = chooser.admit(asker, 1, now_seconds) {
            chooser.abandon(attempt);
        }
    }

    /// Where a new client goes; its connection stays.
    pub fn goes_to(&mut self) -> Option<i32> {
        self.clients += 1;
        let client = ClientAddr::from(std::net::SocketAddr::new(
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, self.clients)),
            1,
        ));
        let now_seconds = self.now_seconds;
        match self.pool.at(self.selection).admit(client, 1, now_seconds) {
            Admission::Connect(attempt, _) => {
                // It is not given back: the connection goes on.
                Some(attempt.current.number())
            }
            Admission::Refused(_) => None,
        }
    }
}

#[test]
fn a_word_takes_a_server_out_of_use_and_gives_it_back() {
    let mut farm = Farm::of(vec![setup(1), setup(2)]);
    for (line, state, reason) in [
        ("drain", ServerState::Draining, "its agent says drain"),
        ("maint", ServerState::Disabled, "its agent says maint"),
        ("down # disk full", ServerState::Disabled, ""),
        ("ready", ServerState::Down, "its agent says down: disk full"),
        ("0.5", ServerState::Down, ""),
        ("up", ServerState::Up, "its agent says up"),
    ] {
        assert_eq!(farm.hears(0, line).unwrap_or_default(), reason, "{line}");
        assert_eq!(farm.state(0), state, "{line}");
        let used: Vec<_> = (0..2).map(|_| farm.goes_to()).collect();
        assert_eq!(used.contains(&Some(0)), state == ServerState::Up, "{line}: {used:?}");
    }
    assert_eq!(farm.server(0).load(), None, "the last line named none");
}

#[test]
fn where_no_other_is_left_a_server_is_not_used_against_the_word_of_its_agent() {
    let mut farm = Farm::of(vec![setup(1)]);
    for word in ["drain", "maint", "ready down"] {
        farm.hears(0, word);
        assert_eq!(farm.goes_to(), None, "{word}");
    }
    farm.hears(0, "up");
    assert_eq!(farm.goes_to(), Some(0));
}

#[test]
fn a_word_clears_no_failed_connect_and_no_verdict() {
    let mut farm = Farm::of(vec![ServerSetup { untested: Untested::Used, ..setup(1) }, setup(2)]);
    let now_seconds = farm.now_seconds;
    let first = ServerId::regular(0);
    farm.pool.at(farm.selection).servers.change(first, |server| server.standing.fail(now_seconds));
    farm.hears(0, "up ready 100%");
    assert_eq!(farm.state(0), ServerState::Down);
    assert_eq!(farm.goes_to(), Some(1));
    farm.now_seconds += BLACKLIST_SECONDS;
    assert_eq!(farm.state(0), ServerState::Up, "the blacklist time is over");
    let endpoint = farm.server(0).setup.endpoint;
    let finding = Finding {
        health: Health::Down,
        reason: "refused".into(),
        connected_since_seconds: None,
        took_us: None,
        served_ms: None,
    };
    assert!(farm.pool.at(farm.selection).checked(first, &endpoint, &finding, now_seconds));
    farm.hears(0, "up");
    assert_eq!(farm.state(0), ServerState::Down);
}

#[test]
fn silence_makes_the_load_unknown_at_once_and_ends_words_later() {
    let mut farm = Farm::of(vec![setup(1)]);
    farm.hears(0, "0.5 drain 50%");
    assert_eq!(farm.server(0).load(), Some(Load::of_thousandths(500)));
    for round in 1..=3 {
        farm.hears_nothing(0);
        assert_eq!(farm.server(0).load(), None);
        let (state, weight) = if round < 3 { (ServerState::Draining, 500) } else { (ServerState::Up, 1_000) };
        assert_eq!((farm.state(0), farm.server(0).weight().thousandths()), (state, weight), "{round}");
    }
    assert_eq!(farm.server(0).loaded.unwrap().error.as_deref(), Some("timed out"));
}

#[test]
fn a_percentage_is_of_the_weight_and_an_agent_takes_room() {
    let mut farm = Farm::of(vec![
        ServerSetup { weight: Some(Weight::whole(4)), max: 10, ..setup(1) },
        ServerSetup { weight: Some(Weight::whole(1)), ..setup(2) },
    ]);
    farm.hears(0, "25%");
    let first: Vec<_> = (0..6).map(|_| farm.goes_to()).collect();
    assert_eq!(first.iter().filter(|server| **server == Some(0)).count(), 3, "{first:?}");
    farm.hears(0, "0%");
    assert_eq!((farm.goes_to(), farm.goes_to()), (Some(1), Some(1)), "no new clients");
    farm.hears(0, "100% maxconn:3");
    assert_eq!((farm.state(0), farm.goes_to()), (ServerState::Full, Some(1)));
    farm.hears(0, "maxconn:99");
    assert_eq!(farm.server(0).max(), 10, "not above what is configured");
    assert_eq!(farm.goes_to(), Some(0));
}

#[test]
fn another_source_or_address_begins_with_nothing() {
    let mut farm = Farm::of(vec![setup(1)]);
    for changed in [
        ServerSetup { load_source: LoadSource::Agent { port: 8 }, ..setup(1) },
        setup(2),
        ServerSetup { load_source: LoadSource::None, ..setup(2) },
    ] {
        farm.hears(0, "0.5 maint 50%");
        assert_eq!(farm.state(0), ServerState::Disabled);
        farm.pool.set_servers(farm.selection, vec![changed], None, None);
        assert_eq!((farm.state(0), farm.server(0).load()), (ServerState::Up, None));
        assert_eq!(farm.server(0).weight(), Weight::ONE);
    }
    let (server, elsewhere) = (ServerId::regular(0), Endpoint::Inet(([10, 0, 0, 9], 80).into()));
    let reading = Reading::Unknown("x".into());
    assert_eq!(farm.pool.at(farm.selection).loaded(server, &elsewhere, &reading, 1), None);
}
