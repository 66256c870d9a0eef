//! A service by itself, and several that share their clients.

use crate::{NOW_SECONDS, admit, client, server, service, settings};
use pen_core::balance::{Admission, Chooser, Pool, SelectionKey, ServerSetup};
use pen_core::settings::Settings;

/// One service with a client table of its own.
pub struct Service {
    pub pool: Pool,
    key: SelectionKey,
}

impl Service {
    pub fn new(clients_max: u32, settings: &Settings) -> Service {
        let mut pool = Pool::new(clients_max);
        let key = pool.add_selection(settings.rules());
        Service { pool, key }
    }

    pub fn at(&mut self) -> Chooser<'_> {
        self.pool.at(self.key)
    }

    pub fn set_servers(
        &mut self,
        regular: Vec<ServerSetup>,
        emergency: Option<ServerSetup>,
        abuse: Option<ServerSetup>,
    ) {
        self.pool.set_servers(self.key, regular, emergency, abuse);
    }
}

/// Two services with the same servers, `http` and `https` of one site, and different numbers.
#[test]
fn services_that_share_clients_agree_by_name() {
    let named = |name: &str, port| ServerSetup { name: Some(name.into()), ..server(port) };
    let mut pool = Pool::new(100);
    let [http, https] = [(); 2].map(|()| pool.add_selection(settings().rules()));
    pool.set_servers(http, vec![named("a", 1), named("b", 2), named("c", 3)], None, None);
    pool.set_servers(https, vec![named("c", 13), named("b", 12), server(14), named("a", 11)], None, None);
    let mut port = |service, number| match pool.at(service).admit(client(number), 40_000, NOW_SECONDS) {
        Admission::Connect(attempt, endpoint) => {
            pool.at(service).abandon(attempt);
            endpoint.port()
        }
        Admission::Refused(refusal) => panic!("{refusal:?}"),
    };
    for number in 0..9 {
        let first = port(http, number);
        assert_eq!(port(https, number), first + 10, "client {number}");
        assert_eq!(port(http, number), first, "client {number}");
    }
    // A server that only one of them has is nobody to the other.
    assert_eq!([9, 10].map(|number| port(https, number)), [12, 14]);
    assert_eq!(port(https, 10), 14);
    let elsewhere = port(http, 10);
    assert_eq!(port(https, 10), elsewhere + 10);
}

#[test]
fn a_server_that_gets_a_name_keeps_its_clients() {
    let named = |name: &str, port| ServerSetup { name: Some(name.into()), ..server(port) };
    let mut service = service(vec![server(1), server(2), server(3)]);
    let serves = |service: &mut Service, number| {
        let attempt = admit(service, number).unwrap();
        let server = attempt.server().number();
        service.at().abandon(attempt);
        server
    };
    assert_eq!([0, 1, 2].map(|number| serves(&mut service, number)), [1, 2, 0]);
    service.set_servers(vec![named("a", 1), named("b", 2), named("c", 3)], None, None);
    assert_eq!([0, 1].map(|number| serves(&mut service, number)), [1, 2]);
    service.set_servers(vec![named("c", 3), named("b", 2), named("d", 4)], None, None);
    assert_eq!(serves(&mut service, 1), 0, "it goes by its name from now on");
    assert_ne!(serves(&mut service, 2), 0, "another server has the number by now");
}

#[test]
fn names_that_no_server_has_any_more_make_room_for_others() {
    const GENERATIONS: u32 = 20;
    const SERVERS: u32 = 4_000;
    let mut service = service(Vec::new());
    let kept = ServerSetup { name: Some("kept".into()), ..server(1) };
    for generation in 0..GENERATIONS {
        let fresh = |number| ServerSetup { name: Some(format!("g{generation}-{number}")), ..server(2) };
        let servers = std::iter::once(kept.clone()).chain((1..SERVERS).map(fresh)).collect();
        service.set_servers(servers, None, None);
        if generation == 0 {
            // The second server is the first in turn; the last one comes before the first.
            let attempts: Vec<_> = (0..SERVERS).map(|number| admit(&mut service, number).unwrap()).collect();
            assert_eq!(attempts.last().map(|attempt| attempt.server().number()), Some(0));
            attempts.into_iter().for_each(|attempt| service.at().abandon(attempt));
        }
    }
    let mut clients = service.at().client_statuses(0..u32::MAX, NOW_SECONDS).collect::<Vec<_>>();
    let of_kept = clients.pop().unwrap();
    assert_eq!((of_kept.address, of_kept.server), (client(SERVERS - 1).to_string(), 0));
    assert!(clients.iter().all(|client| client.server == -3), "nobody has another one's server");
}
