//! What a running pen can hardly be brought to do: a poller that refuses.

use super::*;
use crate::balance::{Endpoint, Pool, ServerSetup};
use crate::conn::Socket;
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
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

pub fn listener() -> Arc<Listener> {
    let options = ListenOptions { backlog: 8, nodelay: true, mode: None, datagram_sockets: 0, shared: false };
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

/// A connection that is relayed between two pairs of sockets, and their far ends.
fn relayed(number: u32) -> (Connection, UnixStream, UnixStream) {
    let pair = || {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        (near, far)
    };
    let ((near_client, client), (near_server, server)) = (pair(), pair());
    let mut connection = Connection::new(near_client.into(), ClientAddr::Unix, 0, (0, 0), 0);
    connection.number = number;
    connection.server =
        Socket { fd: Some(near_server.into()), readable: true, writable: true, ..Socket::default() };
    connection.stage = Stage::Relaying;
    (connection, client, server)
}

fn heard(socket: &mut Socket) {
    (socket.readable, socket.drain_before_end) = (true, true);
}

#[test]
fn a_step_says_what_comes_of_it_and_leaves_closing_to_the_loop() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let context = &mut worker(&server).context;
    let (mut connection, mut client, mut server) = relayed(0);
    client.write_all(b"question").unwrap();
    assert_eq!(context.serve(&mut connection), Verdict::Stay);
    server.read_exact(&mut [0; 8]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    heard(&mut connection.client);
    assert_eq!(context.serve(&mut connection), Verdict::Stay, "the server may say something yet");
    assert_eq!(server.read(&mut [0]).unwrap(), 0, "the end was passed on");
    server.write_all(b"answer").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    heard(&mut connection.server);
    assert_eq!(context.serve(&mut connection), Verdict::Close(CloseReason::Finished));
    assert!(connection.client.fd.is_some(), "the step has closed nothing");
    client.read_exact(&mut [0; 6]).unwrap();
}

#[test]
fn a_step_that_has_used_up_its_turn_goes_on_after_the_others() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let context = &mut worker(&server).context;
    // A ring: what goes to the server comes from the client.
    let (mut connection, client, mut end) = relayed(0);
    drop(client);
    end.write_all(b"x").unwrap();
    let (one, other) = UnixStream::pair().unwrap();
    [&one, &other].into_iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
    (&other).write_all(&[b'x'; 100_000]).unwrap();
    (connection.client.fd, connection.server.fd) = (Some(one.into()), Some(other.into()));
    heard(&mut connection.client);
    assert_eq!(context.serve(&mut connection), Verdict::Again);
}

#[test]
fn each_stage_ends_at_its_time() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut worker = worker(&server);
    publish(&worker, |settings| settings.set_number(Number::IdleTimeout, 7));
    worker.catch_up();
    let context = &mut worker.context;
    let now_ms = context.core.now_ms;
    let (mut connection, _client, _server) = relayed(0);
    connection.active_ms = now_ms;
    let pending = |context: &Context| context.core.shared.room().pending();
    for (stage, expected_ms) in [
        (Stage::Choosing, None),
        (Stage::ProxyHeader, Some(5_000)),
        (Stage::Handshake, Some(10_000)),
        (Stage::Goodbye, Some(handshake::GOODBYE_MS)),
        (Stage::Shortage, Some(accept::SHORTAGE_RETRY_MS)),
        (Stage::Dummy { answered: true }, Some(dummy::DUMMY_LINGER_MS)),
        (Stage::Relaying, Some(7_000)),
    ] {
        context.enter(&mut connection, stage);
        let deadline_ms = context.timers.next_deadline_ms();
        assert_eq!(deadline_ms.is_some(), expected_ms.is_some(), "{stage:?}");
        let mut rung = Vec::new();
        if let Some(ms) = expected_ms {
            context.timers.expire(now_ms, |number| rung.push(number));
            assert!(rung.is_empty(), "{stage:?} ends at once");
            assert!(deadline_ms.unwrap() <= now_ms + ms + crate::timers::TICK_MS, "{stage:?}");
        }
    }
    connection.asked_ms = now_ms;
    context.enter(&mut connection, Stage::Connecting);
    assert_eq!(pending(context), 1);
    context.enter(&mut connection, Stage::Choosing);
    assert_eq!(pending(context), 1, "it is on its way to the next");
    context.enter(&mut connection, Stage::Relaying);
    assert_eq!(pending(context), 0);
}
