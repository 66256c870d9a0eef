//! Several services in one process, driven through the interface that the main thread has: connections and datagrams side by
//! side in the same workers, services and listeners that come and go under their clients, and counts that are exact for each.

mod common;

use common::backend::Backend;
use common::client::{Client, End};
use common::datagram::{UdpClient, UdpServer};
use common::ports::free_port;
use common::wait::eventually;
use pen::testing::{Detail, LogHub, Parts, Runtime, ServiceParts, ServiceSnapshot, Tls};
use pen_core::balance::{Endpoint, Pool, ServerId, ServerSetup};
use pen_core::settings::{ProcessConfig, ProcessSettings, Settings};
use pen_proto::addr::ListenAddr;
use pen_proto::commands::{Flag, Number};
use pen_sys::net::listen::{ListenOptions, Listener, begin_no_more};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

const WORKERS: usize = 2;

/// A listener at a port that was free just now; datagrams come to it if `is_udp`.
fn listener(is_udp: bool) -> Arc<Listener> {
    let address = ListenAddr::parse(&format!("127.0.0.1:{}", free_port())).unwrap();
    let datagram_sockets = if is_udp { WORKERS } else { 0 };
    let options = ListenOptions { backlog: 64, nodelay: true, mode: None, datagram_sockets, shared: false };
    let listener = Listener::open(&address, options).unwrap();
    listener.share(listener.is_divided());
    Arc::new(listener)
}

fn parts(
    name: &str,
    settings: Settings,
    servers: &[SocketAddr],
    listeners: &[&Arc<Listener>],
) -> ServiceParts {
    let mut pool = Pool::new(64);
    let selection = pool.add_selection(settings.rules());
    let setup = |server: &SocketAddr| ServerSetup::new(Endpoint::Inet(*server));
    pool.set_servers(selection, servers.iter().map(setup).collect(), None, None);
    ServiceParts {
        name: name.into(),
        settings,
        pool: Arc::new(Mutex::new(pool)),
        selection,
        listeners: listeners.iter().map(|listener| Arc::clone(listener)).collect(),
        tls: Tls::default(),
        log: LogHub::new().traffic_log(),
    }
}

fn tcp(name: &str, servers: &[SocketAddr], listeners: &[&Arc<Listener>]) -> ServiceParts {
    parts(name, Settings::default(), servers, listeners)
}

fn udp(name: &str, servers: &[SocketAddr], listener: &Arc<Listener>) -> ServiceParts {
    let mut settings = Settings::default();
    settings.set_flag(Flag::Udp, true);
    parts(name, settings, servers, &[listener])
}

/// A runtime that is stopped at the end, as its owner does.
struct Running(Runtime);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn start(services: Vec<ServiceParts>) -> Running {
    let process = ProcessSettings::from(&ProcessConfig::default());
    Running(Runtime::start(Parts { workers: WORKERS, process, services, dummy_name: None }).unwrap())
}

impl Running {
    fn of(&self, number: u16) -> ServiceSnapshot {
        let services = self.0.snapshot(Detail::Each).services;
        services.into_iter().find(|service| service.number == number).expect("the service")
    }

    /// Waits until so many connections were counted in and out.
    fn settles(&self, number: u16, accepted: u64, closed: u64) {
        let counts = || {
            let totals = self.of(number).totals;
            (totals.accepted, totals.closed)
        };
        eventually("the counts of a service", counts, |counts| *counts == (accepted, closed));
    }
}

fn address(listener: &Arc<Listener>) -> SocketAddr {
    listener.address.unwrap()
}

fn greeted(to: &Arc<Listener>, by: &str) -> Client {
    let mut client = Client::connect(address(to));
    assert_eq!(client.line(), by);
    client
}

fn works(client: &mut Client) -> bool {
    client.exchange("still there?") == "still there?"
}

fn is_refused(listener: SocketAddr) -> bool {
    TcpStream::connect(listener).is_err()
}

#[test]
fn connections_and_datagrams_are_served_side_by_side_and_counted_apart() {
    let (web, dns) = (Backend::named("web"), UdpServer::named("dns"));
    let (mail, door, names) = (listener(false), listener(false), listener(true));
    let post = Backend::named("post");
    let pen = start(vec![
        tcp("main", &[web.address()], &[&door]),
        udp("names", &[dns.address()], &names),
        tcp("mail", &[post.address()], &[&mail]),
    ]);
    let mut clients: Vec<_> = (0..8).map(|_| greeted(&door, "web")).collect();
    let askers: Vec<_> = (0..5).map(|_| UdpClient::new(address(&names))).collect();
    for asker in &askers {
        assert_eq!(asker.ask("who?"), "dns:who?");
    }
    let mut letter = greeted(&mail, "post");
    assert!(clients.iter_mut().all(works) && works(&mut letter));
    let snapshot = pen.0.snapshot(Detail::Each);
    let seen: Vec<_> =
        snapshot.services.iter().map(|service| (&*service.name, service.connections.len())).collect();
    assert_eq!(seen, [("main", 8), ("names", 5), ("mail", 1)]);
    assert_eq!(snapshot.connections_used, 14);
    assert_eq!(snapshot.totals().accepted, 14);
    let datagrams = snapshot.services.iter().map(|service| service.totals.up_datagrams).collect::<Vec<_>>();
    assert_eq!(datagrams, [0, 5, 0]);
    // What operators know them by is one thing each: closing it closes that.
    let number = pen.of(1).connections[0].number;
    assert!(pen.0.close_connection(number));
    assert!(!pen.0.close_connection(number));
    pen.settles(1, 5, 1);
    let number = pen.of(2).connections[0].number;
    assert!(pen.0.close_connection(number));
    assert_eq!(letter.ending(), End::Eof);
    assert!(clients.iter_mut().all(works));
    drop(clients);
    pen.settles(0, 8, 8);
    assert_eq!(pen.of(0).totals.up_bytes, 8 * 2 * "still there?\n".len() as u64);
}

#[test]
fn a_service_that_is_removed_serves_its_clients_to_the_end_and_then_gives_its_number() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let (main, door) = (listener(false), listener(false));
    let mut pen = start(vec![tcp("main", &[new.address()], &[&main])]);
    let number = pen.0.add_service(tcp("old", &[old.address()], &[&door])).unwrap();
    assert_eq!(number, 1);
    let mut client = greeted(&door, "old");
    let closed = address(&door);
    begin_no_more([&*door]);
    drop(door);
    pen.0.remove_service(number, false);
    assert!(is_refused(closed));
    assert!(works(&mut client), "who was there goes on");
    assert!(pen.of(number).leaving);
    let other = listener(false);
    let next = pen.0.add_service(tcp("next", &[new.address()], &[&other])).unwrap();
    assert_eq!(next, 2, "its number is still in use");
    let mut guest = greeted(&other, "new");
    client.end();
    assert_eq!(client.ending(), End::Eof);
    let left = || pen.0.snapshot(Detail::Each).services.len();
    eventually("the removed service to be gone", left, |left| *left == 2);
    assert_eq!(pen.0.snapshot(Detail::Each).totals().closed, 1, "what it counted is not forgotten");
    assert_eq!(pen.0.add_service(tcp("again", &[old.address()], &[])).unwrap(), number);
    assert_eq!(pen.of(number).totals.accepted, 0);
    assert!(works(&mut guest));
}

#[test]
fn a_service_that_is_removed_at_once_takes_its_clients_along() {
    let (web, dns) = (Backend::named("web"), UdpServer::named("dns"));
    let (main, door, names) = (listener(false), listener(false), listener(true));
    let mut pen = start(vec![
        tcp("main", &[web.address()], &[&main]),
        tcp("other", &[web.address()], &[&door]),
        udp("names", &[dns.address()], &names),
    ]);
    let mut stays = greeted(&main, "web");
    let mut goes: Vec<_> = (0..4).map(|_| greeted(&door, "web")).collect();
    let asker = UdpClient::new(address(&names));
    assert_eq!(asker.ask("who?"), "dns:who?");
    let service = pen.0.service(1).clone();
    pen.0.remove_service(1, true);
    pen.0.remove_service(2, false);
    assert!(goes.iter_mut().all(|client| client.ending() == End::Eof));
    assert_eq!(service.with(|chooser| chooser.server_statuses(0)[0].connections), 0);
    drop(service); // nobody else may have it
    assert!(works(&mut stays));
    eventually("their end", || pen.0.snapshot(Detail::Each).services.len(), |left| *left == 1);
    assert_eq!(pen.0.snapshot(Detail::Each).connections_used, 1, "sessions end with their listener");
    let totals = pen.0.snapshot(Detail::Each).totals();
    assert_eq!((totals.accepted, totals.closed), (6, 5));
}

#[test]
fn listeners_come_and_go_without_touching_the_others() {
    let (web, dns) = (Backend::named("web"), UdpServer::named("dns"));
    let (first, second) = (listener(false), listener(false));
    let (names, more_names) = (listener(true), listener(true));
    let pen = start(vec![tcp("main", &[web.address()], &[&first]), udp("names", &[dns.address()], &names)]);
    let mut client = greeted(&first, "web");
    let asker = UdpClient::new(address(&names));
    assert_eq!(asker.ask("1"), "dns:1");
    pen.0.set_listeners(0, vec![first.clone(), second.clone()]);
    pen.0.set_listeners(1, vec![names.clone(), more_names.clone()]);
    let mut guest = greeted(&second, "web");
    let other = UdpClient::new(address(&more_names));
    assert_eq!((other.ask("2"), asker.ask("3")), ("dns:2".into(), "dns:3".into()));
    assert_eq!(pen.of(1).totals.accepted, 2, "the first session went on");
    let closed = address(&first);
    begin_no_more([&*first]);
    drop(first);
    pen.0.set_listeners(0, vec![second.clone()]);
    pen.0.set_listeners(1, vec![more_names]);
    assert!(is_refused(closed));
    assert!(works(&mut client) && works(&mut guest));
    assert_eq!(other.ask("4"), "dns:4");
    pen.settles(1, 2, 1);
    greeted(&second, "web");
}

#[test]
fn settings_are_those_of_the_service_of_a_connection() {
    let web = Backend::named("web");
    let (main, door) = (listener(false), listener(false));
    let mut dummy = Settings::default();
    dummy.set_flag(Flag::Dummy, true);
    let pen = start(vec![
        tcp("main", &[web.address()], &[&main]),
        parts("dummy", dummy.clone(), &[web.address()], &[&door]),
    ]);
    let mut client = greeted(&main, "web");
    let mut asker = Client::connect(address(&door));
    asker.send("anything\n");
    assert!(asker.line().starts_with("HTTP/1."));
    let mut shut = Settings::default();
    shut.set_number(Number::ClientAcl, 9);
    pen.0.set_settings(0, shut);
    pen.0.set_settings(1, Settings::default());
    let mut guest = greeted(&door, "web");
    assert!(works(&mut client) && works(&mut guest));
    assert_eq!(pen.0.snapshot(Detail::Each).services.iter().map(|one| one.totals.rejected).sum::<u64>(), 0);
}

#[test]
fn connections_of_one_server_of_one_service_can_be_closed() {
    let (a, b) = (Backend::named("a"), Backend::named("b"));
    let (main, door) = (listener(false), listener(false));
    let mut settings = Settings::default();
    settings.set_flag(Flag::Roundrobin, true);
    let servers = [a.address(), b.address()];
    let pen = start(vec![
        parts("main", settings.clone(), &servers, &[&main]),
        parts("other", settings, &servers, &[&door]),
    ]);
    let clients = |to: &Arc<Listener>| -> Vec<(String, Client)> {
        let greeted = (0..4).map(|_| Client::connect(address(to)));
        greeted.map(|mut client| (client.line(), client)).collect()
    };
    let (mut here, mut there) = (clients(&main), clients(&door));
    assert_eq!(pen.0.close_server(0, ServerId::regular(1)), 2);
    for (name, client) in &mut here {
        match name.as_str() {
            "b" => assert_eq!(client.ending(), End::Eof),
            _ => assert!(works(client)),
        }
    }
    assert!(there.iter_mut().all(|(_, client)| works(client)));
    pen.settles(0, 4, 2);
    assert_eq!(pen.of(0).connections.len(), 2);
}

#[test]
fn services_that_come_and_go_under_load_leave_nothing_behind() {
    let (web, dns) = (Backend::named("web"), UdpServer::named("dns"));
    let main = listener(false);
    let mut pen = start(vec![tcp("main", &[web.address()], &[&main])]);
    let mut stays = greeted(&main, "web");
    for round in 0..30 {
        let (door, names) = (listener(false), listener(true));
        let first = pen.0.add_service(tcp("door", &[web.address()], &[&door])).unwrap();
        let second = pen.0.add_service(udp("names", &[dns.address()], &names)).unwrap();
        let mut guest = greeted(&door, "web");
        assert_eq!(UdpClient::new(address(&names)).ask("?"), "dns:?");
        assert!(works(&mut guest) && works(&mut stays));
        pen.0.remove_service(first, round % 2 == 0);
        pen.0.remove_service(second, round % 3 == 0);
        drop(guest);
        eventually(
            "the services to be gone",
            || pen.0.snapshot(Detail::Each).services.len(),
            |left| *left == 1,
        );
        assert!(first.max(second) <= 2, "numbers are used again");
    }
    eventually("only one to be left", || pen.0.snapshot(Detail::Each).connections_used, |used| *used == 1);
    let totals = pen.0.snapshot(Detail::Each).totals();
    assert_eq!((totals.accepted, totals.closed), (61, 60));
}

#[test]
fn idlers_are_kept_for_each_service_and_go_with_it() {
    let (web, post) = (Backend::named("web"), Backend::named("post"));
    let (main, mail) = (listener(false), listener(false));
    let with_idlers = |count| {
        let mut settings = Settings::default();
        settings.set_number(Number::Idlers, count);
        settings
    };
    let mut pen = start(vec![
        parts("main", with_idlers(3), &[web.address()], &[&main]),
        parts("mail", with_idlers(5), &[post.address()], &[&mail]),
    ]);
    let idlers = |pen: &Running| {
        let of = |service: &ServiceSnapshot| service.idlers.iter().map(|(_, count)| *count).sum::<usize>();
        pen.0.snapshot(Detail::Each).services.iter().map(of).collect::<Vec<_>>()
    };
    eventually("idlers of both", || idlers(&pen), |idlers| *idlers == [3, 5]);
    let mut client = greeted(&mail, "post");
    assert_eq!(pen.of(1).totals.idlers_used, 1);
    assert_eq!(pen.of(0).totals.idlers_used, 0);
    eventually("another in its place", || idlers(&pen), |idlers| *idlers == [3, 5]);
    pen.0.remove_service(1, false);
    eventually("the end of those that have no client", || post.open(), |open| *open == 1);
    assert!(works(&mut client));
    pen.0.set_settings(0, with_idlers(1));
    eventually("fewer", || web.open(), |open| *open == 1);
}

/// Tells others to stop when it goes.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// One connection after the other, each checked byte by byte. Returns how many.
fn visit_until(stop: &AtomicBool, door: SocketAddr) -> u64 {
    let mut visits = 0;
    while !stop.load(SeqCst) {
        let mut client = Client::connect(door);
        assert_eq!(client.line(), "web");
        let question = format!("{visits:0>9999}");
        assert!(client.exchange(&question) == question, "other bytes came back");
        client.end();
        assert_eq!(client.ending(), End::Eof);
        visits += 1;
    }
    visits
}

#[test]
fn changes_cost_nobody_a_byte() {
    let (web, dns) = (Backend::named("web"), UdpServer::named("dns"));
    let (main, names) = (listener(false), listener(true));
    let mut pen =
        start(vec![tcp("main", &[web.address()], &[&main]), udp("names", &[dns.address()], &names)]);
    let (mut stays, asker) = (greeted(&main, "web"), UdpClient::new(address(&names)));
    let stop = AtomicBool::new(false);
    let (door, stopped) = (address(&main), &stop);
    let visits = thread::scope(|scope| {
        let visitors = [(); 3].map(|()| scope.spawn(move || visit_until(stopped, door)));
        let stop_at_end = Stop(stopped); // also when something fails here
        for round in 0..500 {
            match round % 4 {
                0 => {
                    let other = listener(false);
                    pen.0.set_listeners(0, vec![other.clone(), main.clone()]);
                    assert!(works(&mut greeted(&other, "web")));
                }
                1 => pen.0.set_listeners(0, vec![main.clone()]),
                2 => {
                    let mut settings = Settings::default();
                    settings.set_number(Number::IdleTimeout, 100 + round);
                    pen.0.set_settings(0, settings);
                }
                _ => {
                    let other = listener(false);
                    let number = pen.0.add_service(tcp("other", &[web.address()], &[&other])).unwrap();
                    let mut guest = greeted(&other, "web");
                    let now = round % 8 == 3;
                    pen.0.remove_service(number, now);
                    match now {
                        true => assert_eq!(guest.ending(), End::Eof),
                        false => assert!(works(&mut guest)),
                    }
                }
            }
            assert!(works(&mut stays));
            assert_eq!(asker.ask("?"), "dns:?");
        }
        drop(stop_at_end);
        visitors.into_iter().map(|visitor| visitor.join().unwrap()).sum::<u64>()
    });
    drop(stays);
    pen.settles(0, visits + 126, visits + 126);
    assert_eq!(pen.of(1).totals.accepted, 1, "the session went on");
    let held = pen.0.service(0).with(|chooser| chooser.server_statuses(0)[0].connections);
    assert_eq!(held, 0);
    eventually("guests to be gone", || pen.0.snapshot(Detail::Each).connections_used, |used| *used == 1);
}
