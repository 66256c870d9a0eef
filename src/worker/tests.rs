//! What a running pen can hardly be brought to do: a poller that refuses.

use super::*;
use crate::balance::{Endpoint, Pool, ServerSetup};
use crate::conn::Stage;
use crate::log::traffic::LogHub;
use crate::net::listen::{ListenOptions, Listener};
use crate::net::poller::REGISTRATIONS_LAST;
use crate::net::tls::Tls;
use crate::room::Kinds;
use crate::service::{Service, ServiceParts};
use crate::settings::{ProcessConfig, ProcessSettings, Settings};
use pen_proto::addr::{ClientAddr, ListenAddr};
use pen_proto::commands::{Flag, Number};
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

pub fn listener() -> Arc<Listener> {
    let options =
        ListenOptions { backlog: 8, nodelay: true, private: false, datagram_sockets: 0, shared: false };
    let address = ListenAddr {
        port: Some(pen_proto::addr::Port::Number(0)),
        ..ListenAddr::parse("127.0.0.1:1").unwrap()
    };
    Arc::new(Listener::open(&address, options).unwrap())
}

/// With room for one connection, in front of one server.
fn worker(server: &TcpListener) -> Worker {
    let mut process = ProcessConfig::default();
    process.values.set_number(Number::ConnMax, 1);
    let endpoint = Endpoint::Inet(server.local_addr().unwrap());
    let process = ProcessSettings::from(&process);
    worker_before(process, Settings::default(), vec![ServerSetup::new(endpoint)], vec![listener()])
}

/// The only worker, of one service.
pub fn worker_before(
    process: ProcessSettings,
    settings: Settings,
    servers: Vec<ServerSetup>,
    listeners: Vec<Arc<Listener>>,
) -> Worker {
    let mut pool = Pool::new(8);
    let selection = pool.add_selection(settings.rules());
    pool.set_servers(selection, servers, None, None);
    let pool = Arc::new(Mutex::new(pool));
    let log = LogHub::new().traffic_log();
    let parts =
        ServiceParts { name: "main".into(), settings, pool, selection, listeners, tls: Tls::default(), log };
    let poller = Poller::new().unwrap();
    let shared = Arc::new(Shared::new(process, None, false, [poller.waker()].into_iter()));
    shared.services().set(vec![Some(Arc::new(Service::new(0, parts)))]);
    shared.room().limit(&process, Kinds { tcp: true, udp: false });
    Worker::new(0, shared, poller).unwrap()
}

fn publish(worker: &Worker, change: impl FnOnce(&mut Settings)) {
    let published = worker.context.core.services[0].service.settings();
    let mut settings = Settings::clone(&published.get());
    change(&mut settings);
    published.set(settings);
    worker.context.core.shared.announce();
}

#[test]
fn a_socket_that_cannot_be_watched_is_closed_and_leaves_nothing() {
    if !REGISTRATIONS_LAST {
        return; // only epoll refuses descriptors that are open
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    for peek in [false, true] {
        let mut worker = worker(&server);
        publish(&worker, |settings| settings.set_flag(Flag::Peek, peek));
        worker.catch_up();
        assert!(worker.context.core.shared.room().take_connection());
        let no_socket = File::open("/dev/null").unwrap();
        worker.take_in(no_socket.into(), (ClientAddr::Unix, 0), (0, 0));
        assert!(worker.connections.is_empty());
        assert_eq!(worker.context.timers.next_deadline_ms(), None);
        assert!(worker.context.core.shared.room().take_connection(), "the place is free again");
        let local = &worker.context.core.services[0];
        let servers = local.service.with(|chooser| chooser.server_statuses(0));
        assert_eq!((servers[0].connections, servers[0].blacklisted_seconds), (0, 0), "nobody is blamed");
    }
}

#[test]
fn listeners_that_the_poller_refuses_are_tried_again() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut worker = worker(&server);
    let listeners = vec![listener(), listener()];
    worker.context.core.poller.add_listener(listeners[1].as_fd(), 7).unwrap();
    worker.context.core.services[0].service.listeners().set(listeners);
    worker.context.core.shared.announce();
    worker.catch_up();
    assert_eq!(worker.context.accepting.held(), [1]);
    worker.context.resume_accepting();
    assert_eq!(worker.context.accepting.held(), [1], "not at once");
    worker.context.core.now_ms = worker.context.accepting.retry_ms().unwrap();
    worker.context.resume_accepting();
    assert!(worker.context.accepting.held().is_empty());
    assert_eq!(worker.context.accepting.retry_ms(), None);
}

#[test]
fn a_full_worker_holds_the_listeners_at_which_clients_wait() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut worker = worker(&server);
    let listeners = vec![listener(), listener(), listener()];
    worker.context.core.services[0].service.listeners().set(listeners.clone());
    worker.context.core.shared.announce();
    worker.catch_up();
    let shared = worker.context.core.shared.clone();
    assert!(shared.room().take_connection(), "the only place");
    let _waiting = TcpStream::connect(listeners[1].address.unwrap()).unwrap();
    for number in worker.context.core.listeners.of(0).map(|(number, _)| number).collect::<Vec<_>>() {
        worker.accept(number);
        worker.accept(number);
        let open = worker.context.core.listeners.listener(number);
        if open.is_some_and(|open| Arc::ptr_eq(open, &listeners[1])) {
            assert_eq!(worker.context.accepting.held(), [number]);
            break;
        }
        assert!(worker.context.accepting.held().is_empty(), "nobody waits there");
    }
    worker.context.resume_accepting();
    assert_eq!(worker.context.accepting.held().len(), 1, "it is still full");
    shared.room().give_connection();
    worker.context.resume_accepting();
    assert!(worker.context.accepting.held().is_empty());
    assert!(!shared.room().is_awaited());
}

#[test]
fn a_listener_that_stays_is_left_alone() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut worker = worker(&server);
    let (_, stays) =
        worker.context.core.listeners.of(0).next().map(|(number, one)| (number, one.clone())).unwrap();
    let published = worker.context.core.services[0].service.clone();
    let numbers =
        |worker: &Worker| worker.context.core.listeners.of(0).map(|(number, _)| number).collect::<Vec<_>>();
    for (listeners, expected) in
        [(vec![listener(), stays.clone()], vec![0, 1]), (vec![stays.clone()], vec![0]), (vec![], vec![])]
    {
        published.listeners().set(listeners);
        worker.context.core.shared.announce();
        worker.catch_up();
        assert_eq!(numbers(&worker), expected);
    }
}

#[test]
fn a_connection_is_put_off_once_however_many_turns_it_has_used() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut worker = worker(&server);
    publish(&worker, |settings| settings.set_flag(Flag::Peek, true));
    worker.catch_up();
    let _clients = [(); 2].map(|()| {
        let (client, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        worker.context.core.shared.room().take_connection_anyway();
        worker.take_in(ours.into(), (ClientAddr::Unix, 0), (0, 0));
        client
    });
    [0, 1, 0, 0].into_iter().for_each(|index| worker.step(index, |_, _| Verdict::Again));
    assert_eq!(worker.unfinished, [0, 1]);
}

#[test]
fn who_comes_after_a_change_of_settings_meets_them_in_the_same_wake_up() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut worker = worker(&server);
    publish(&worker, |settings| settings.set_flag(Flag::Dummy, true));
    let address = worker.context.core.listeners.listener(0).and_then(|listener| listener.address);
    let _client = TcpStream::connect(address.unwrap()).unwrap();
    // Readiness was told, and settings were looked at, before the change: what the wake-up does now is this.
    worker.accept(0);
    let stage = worker.connections.get(0).map(|connection| connection.stage);
    assert_eq!(stage, Some(Stage::Dummy { answered: false }));
    assert_ne!(
        worker.context.core.generation,
        worker.context.core.shared.generation(),
        "listeners and messages are still to come"
    );
}
