//! What a running pen can hardly be brought to do: a poller that refuses.

use super::*;
use crate::balance::{Endpoint, Pool, ServerSetup};
use crate::conn::Stage;
use crate::log::traffic::LogHub;
use crate::net::listen::ListenOptions;
use crate::net::poller::REGISTRATIONS_LAST;
use crate::net::tls::Tls;
use crate::runtime::Parts;
use pen_proto::addr::{ClientAddr, ListenAddr};
use std::fs::File;
use std::net::{TcpListener, TcpStream};

fn listener() -> Listener {
    let options =
        ListenOptions { backlog: 8, nodelay: true, private: false, datagram_sockets: 0, shared: false };
    Listener::open(
        &ListenAddr { port: Some(pen_proto::addr::Port::Number(0)), ..address("127.0.0.1:1") },
        options,
    )
    .unwrap()
}

fn address(text: &str) -> ListenAddr {
    ListenAddr::parse(text).unwrap()
}

/// With room for one connection, in front of one server.
fn worker(server: &TcpListener) -> Worker {
    let mut settings = Settings::default();
    settings.set_number(Number::ConnMax, 1);
    let mut pool = Pool::new(8);
    let selection = pool.add_selection(settings.rules());
    let endpoint = Endpoint::Inet(server.local_addr().unwrap());
    pool.set_servers(selection, vec![ServerSetup::new(endpoint)], None, None);
    let poller = Poller::new().unwrap();
    let parts = Parts {
        settings,
        pool,
        selection,
        listeners: vec![listener()],
        tls: Tls::default(),
        dummy_name: None,
    };
    let shared = Arc::new(Shared::new(parts, [poller.waker()].into_iter()));
    Worker::new(0, shared, poller, LogHub::new().traffic_log()).unwrap()
}

#[test]
fn a_socket_that_cannot_be_watched_is_closed_and_leaves_nothing() {
    if !REGISTRATIONS_LAST {
        return; // only epoll refuses descriptors that are open
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    for peek in [false, true] {
        let mut worker = worker(&server);
        Arc::make_mut(&mut worker.settings).set_flag(Flag::Peek, peek);
        assert!(worker.shared.take_room(1));
        let no_socket = File::open("/dev/null").unwrap();
        worker.take_in(no_socket.into(), ClientAddr::Unix, 0, 0);
        assert!(worker.connections.indices().is_empty());
        assert_eq!(worker.timers.next_deadline_ms(), None);
        assert!(worker.shared.take_room(1), "the place is free again");
        let servers = worker.shared.pool().at(worker.shared.selection).server_statuses(0);
        assert_eq!((servers[0].connections, servers[0].blacklisted_seconds), (0, 0), "nobody is blamed");
    }
}

#[test]
fn listeners_that_the_poller_refuses_are_tried_again() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut worker = worker(&server);
    let listeners = Arc::new(vec![listener(), listener()]);
    worker.poller.add_listener(listeners[1].as_fd(), 0).unwrap();
    let error = worker.change_listeners(listeners).unwrap_err();
    assert!(!worker.accepting.is_on());
    worker.listen_later(&error);
    worker.resume_accepting();
    assert!(!worker.accepting.is_on(), "not at once");
    worker.now_ms = worker.accepting.retry_ms().unwrap();
    worker.resume_accepting();
    assert!(worker.accepting.is_on());
    assert_eq!(worker.accepting.retry_ms(), None);
}

#[test]
fn a_connection_is_put_off_once_however_many_turns_it_has_used() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut worker = worker(&server);
    [3, 4, 3, 3].into_iter().for_each(|index| worker.put_off(index));
    assert_eq!(worker.unfinished, [3, 4]);
}

#[test]
fn who_comes_after_a_change_of_settings_meets_them_in_the_same_wake_up() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut worker = worker(&server);
    let mut settings = Settings::clone(&worker.settings);
    settings.set_flag(Flag::Dummy, true);
    worker.shared.set_settings(settings);
    let _client = TcpStream::connect(worker.listeners[0].address.unwrap()).unwrap();
    // Readiness was told, and settings were looked at, before the change: what the wake-up does now is this.
    worker.accept(0);
    let stage = worker.connections.get(0).map(|connection| connection.stage);
    assert_eq!(stage, Some(Stage::Dummy { answered: false }));
    assert_ne!(worker.generation, worker.shared.generation(), "listeners and messages are still to come");
}
