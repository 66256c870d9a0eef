//! The control server on real sockets, with a pen that only remembers and a clock that stands still.

use super::*;
use crate::acl::Acl;
use crate::control::client::{IDLE_MS, LEAVING_MS, QUIET_MS, SESSION_IDLE_MS};
use crate::control::fake::FakePen;
use crate::control::names;
use crate::net::listen::ListenOptions;
use crate::settings::{Config, MAIN};
use crate::tempdir::TempDir;
use nix::sys::resource::{Resource, setrlimit};
use pen_proto::addr::{Host, ListenAddr, Port};
use pen_proto::commands::{AclEntry, AclMatch};
use pen_proto::status::ServerStatus;
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Mutex;
use std::thread::{self, JoinHandle};

/// Turns after which a test gives up; each waits a few milliseconds at most.
const TURNS_MAX: usize = 20_000;

struct House {
    server: ControlServer,
    engine: Engine<FakePen>,
    pen: FakePen,
    now_ms: Rc<Cell<u64>>,
}

impl House {
    fn new() -> House {
        House::with(Config::default(), |_| Ok(Ipv4Addr::LOCALHOST.into()))
    }

    /// On a free port of the loopback.
    fn with(config: Config, lookup: names::Lookup) -> House {
        let host = Host::Ip(Ipv4Addr::LOCALHOST.into());
        House::at(ListenAddr { host, port: Some(Port::Number(0)), text: "loopback".into() }, config, lookup)
    }

    fn at(address: ListenAddr, config: Config, lookup: names::Lookup) -> House {
        let options = ListenOptions {
            backlog: 200,
            nodelay: true,
            mode: Some(0o600),
            datagram_sockets: 0,
            shared: false,
        };
        let listener = Listener::open(&address, options).unwrap();
        let now_ms = Rc::new(Cell::new(1_000_000));
        let clock = now_ms.clone();
        let server = ControlServer::new(vec![listener], Box::new(move || clock.get())).unwrap();
        let mut engine = Engine::with_lookup(config, lookup);
        engine.config_mut().make_service(MAIN);
        let pen = FakePen::new();
        engine.settle().unwrap();
        engine.start(pen.clone());
        House { server, engine, pen, now_ms }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.listeners()[0].address.unwrap()).unwrap()
    }

    /// Makes the answer to `servers` about a thousand times so many bytes long.
    fn offer_servers(&self, count: i32) {
        let address = "x".repeat(1000);
        let servers =
            (0..count).map(|index| ServerStatus { index, address: address.clone(), ..Default::default() });
        self.pen.told_mut().status.servers = servers.collect();
    }

    /// One turn that waits for nothing.
    fn turn(&mut self) {
        self.server.turn(Some(Duration::ZERO), &mut self.engine).unwrap();
    }

    /// Turns until nothing more happens by itself. Loopback delivers at once, so a few turns are enough.
    fn settle(&mut self) {
        for _ in 0..10 {
            self.turn();
        }
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&House) -> bool) {
        for _ in 0..TURNS_MAX {
            if done(self) {
                return;
            }
            self.server.turn(Some(Duration::from_millis(5)), &mut self.engine).unwrap();
        }
        panic!("gave up waiting until {what}");
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms.set(self.now_ms.get() + ms);
        self.settle();
    }

    /// Serves until a client thread is done.
    fn serve<T>(&mut self, client: JoinHandle<T>) -> T {
        self.until("the client is done", |_| client.is_finished());
        client.join().unwrap()
    }

    /// What a client gets that sends `text` and reads to the end.
    fn ask(&mut self, text: &str) -> String {
        let (mut stream, text) = (self.connect(), text.to_string());
        self.serve(thread::spawn(move || {
            stream.write_all(text.as_bytes()).unwrap();
            read_all(stream)
        }))
    }
}

fn read_all(mut stream: impl Read) -> String {
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// What has arrived, without waiting; `None` when the server has closed.
fn arrived(stream: &mut TcpStream) -> Option<String> {
    stream.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    let got = stream.read(&mut buffer);
    stream.set_nonblocking(false).unwrap();
    match got {
        Ok(0) => None,
        Ok(count) => Some(String::from_utf8_lossy(&buffer[..count]).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(String::new()),
        Err(_) => None,
    }
}

#[test]
fn one_command_is_answered_and_the_connection_closed() {
    let mut house = House::new();
    assert_eq!(house.ask("blacklist\n"), "30\n");
    assert_eq!(house.ask("blacklist\r\nmode\r\n"), "30\n");
    assert_eq!(house.ask("\n"), "");
    assert_eq!(house.ask("# a comment\n"), "");
    assert!(house.ask("bogus\n").starts_with("error: "));
    assert_eq!(house.ask("pid\n"), format!("{}\n", std::process::id()));
}

#[test]
fn a_command_in_pieces_is_one_command() {
    let mut house = House::new();
    let mut stream = house.connect();
    stream.write_all(b"bla").unwrap();
    house.settle();
    assert_eq!(arrived(&mut stream), Some(String::new()));
    stream.write_all(b"cklist\n").unwrap();
    house.settle();
    assert_eq!(arrived(&mut stream).unwrap(), "30\n");
}

#[test]
fn old_clients_send_no_line_end() {
    let mut house = House::new();
    let mut quiet = house.connect();
    quiet.write_all(b"blacklist").unwrap();
    house.settle();
    house.pass(QUIET_MS - 1);
    assert_eq!(arrived(&mut quiet), Some(String::new()));
    house.pass(1);
    assert_eq!(arrived(&mut quiet).unwrap(), "30\n");
    let mut ended = house.connect();
    ended.write_all(b"blacklist").unwrap();
    ended.shutdown(Shutdown::Write).unwrap();
    house.settle();
    assert_eq!(arrived(&mut ended).unwrap(), "30\n");
    assert_eq!(arrived(&mut ended), None);
}

#[test]
fn a_session_answers_in_frames_until_quit() {
    let mut house = House::new();
    let reply = house.ask("session\nblacklist\n\nblacklist 9\nbogus\nsession\nquit\nblacklist 11\n");
    let greeting = format!("pen {}\n", env!("CARGO_PKG_VERSION"));
    let start = format!("ok {}\n{greeting}ok 3\n30\nok 0\n", greeting.len());
    assert!(reply.starts_with(&start), "{reply}");
    assert!(reply.ends_with("ok 0\n"), "{reply}");
    assert_eq!(reply.matches("\nerror ").count(), 2, "{reply}");
    assert_eq!(house.engine.config().services[0].number(Number::Blacklist), 9);
}

#[test]
fn a_session_ends_with_the_clients_end_of_file() {
    let mut house = House::new();
    let mut stream = house.connect();
    stream.write_all(b"session\n").unwrap();
    house.settle();
    assert!(arrived(&mut stream).unwrap().starts_with("ok "));
    stream.write_all(b"blacklist").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    house.settle();
    assert_eq!(arrived(&mut stream).unwrap(), "ok 3\n30\n");
    assert_eq!(arrived(&mut stream), None);
    assert!(house.server.clients.is_empty());
}

#[test]
fn nobody_holds_up_anybody() {
    let mut house = House::new();
    house.offer_servers(20_000);
    let silent: Vec<TcpStream> = (0..50).map(|_| house.connect()).collect();
    let mut slow_reader = house.connect();
    slow_reader.write_all(b"servers\n").unwrap();
    let mut long_writer = house.connect();
    let long_line = thread::spawn(move || {
        let line = format!("#{}\n", "x".repeat(LINE_BYTES_MAX - 1));
        long_writer.write_all(b"session\n").unwrap();
        long_writer.write_all(line.as_bytes()).unwrap();
        long_writer.write_all(b"blacklist\nquit\n").unwrap();
        read_all(long_writer)
    });
    house.until("the long line is coming in", |house| {
        house.server.clients.values().any(|client| client.talk.has_unfinished(1 << 20))
    });
    assert_eq!(house.ask("blacklist\n"), "30\n");
    assert!(house.serve(long_line).ends_with("ok 0\nok 3\n30\nok 0\n"));
    let reading = house.serve(thread::spawn(move || read_all(slow_reader)));
    assert_eq!(reading.lines().count(), 20_000);
    assert!(reading.ends_with("rx 0\n"));
    drop(silent);
}

#[test]
fn a_line_without_end_is_refused() {
    let mut house = House::new();
    let mut stream = house.connect();
    let client = thread::spawn(move || {
        let endless = vec![b'x'; LINE_BYTES_MAX * 3 / 2];
        stream.write_all(&endless).unwrap();
        read_all(stream)
    });
    assert_eq!(house.serve(client), format!("error: a line has at most {LINE_BYTES_MAX} bytes\n"));
}

#[test]
fn who_does_not_take_answers_is_not_read() {
    let mut house = House::new();
    house.offer_servers(100);
    let reply_bytes = house.ask("servers\n").len();
    let mut stream = house.connect();
    stream.write_all(b"session\n").unwrap();
    stream.set_nonblocking(true).unwrap();
    let commands = "servers\n".repeat(1000);
    let mut turns_without_progress = 0;
    // The kernel's buffers take some megabytes first, and under load not at once: turns that wait give it the time.
    house.until("the client cannot send any more", |_| {
        turns_without_progress += 1;
        match stream.write(commands.as_bytes()) {
            Ok(_) => turns_without_progress = 0,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        turns_without_progress > 100
    });
    let client = house.server.clients.values().next().unwrap();
    assert!(!client.talk.pending().is_empty());
    assert!(client.talk.pending().len() <= reply_bytes + 20, "one reply is kept, not all of them");
}

#[test]
fn the_reply_survives_what_the_client_sent_after_its_command() {
    let mut house = House::new();
    house.offer_servers(2_000);
    let mut stream = house.connect();
    stream.write_all(b"servers\n").unwrap();
    stream.write_all(&[b'z'; 50_000]).unwrap();
    let reply = house.serve(thread::spawn(move || read_all(stream)));
    assert_eq!(reply.lines().count(), 2_000);
}

#[test]
fn silence_has_its_limits() {
    let mut house = House::new();
    let (mut silent, mut session, mut leaving) = (house.connect(), house.connect(), house.connect());
    session.write_all(b"session\n").unwrap();
    leaving.write_all(b"blacklist\n").unwrap();
    house.settle();
    assert!(arrived(&mut session).unwrap().starts_with("ok "));
    assert_eq!(arrived(&mut leaving).unwrap(), "30\n");
    assert_eq!(house.server.clients.len(), 3);
    house.pass(LEAVING_MS);
    assert_eq!(house.server.clients.len(), 2, "who has its reply and does not go is dropped");
    house.pass(IDLE_MS - LEAVING_MS);
    assert_eq!(arrived(&mut silent), None);
    assert_eq!(arrived(&mut session), Some(String::new()));
    house.pass(SESSION_IDLE_MS - IDLE_MS);
    assert_eq!(arrived(&mut session), None);
    assert!(house.server.clients.is_empty());
}

#[test]
fn the_longest_silent_client_makes_room() {
    let mut house = House::new();
    let mut streams: Vec<TcpStream> = Vec::new();
    for _ in 0..CLIENTS_MAX {
        streams.push(house.connect());
        house.pass(1);
    }
    streams[0].write_all(b"sess").unwrap();
    house.pass(1);
    assert_eq!(house.server.clients.len(), CLIENTS_MAX);
    assert_eq!(house.ask("blacklist\n"), "30\n");
    assert_eq!(arrived(&mut streams[1]), None, "it was silent longest");
    assert_eq!(arrived(&mut streams[0]), Some(String::new()), "it has just spoken");
}

#[test]
fn fewer_clients_may_be_served() {
    let mut house = House::new();
    house.server.limit_clients(2);
    let mut streams: Vec<TcpStream> = Vec::new();
    for _ in 0..4 {
        streams.push(house.connect());
        house.pass(1);
    }
    assert_eq!(house.server.clients.len(), 2);
    assert_eq!(arrived(&mut streams[1]), None);
    assert_eq!(arrived(&mut streams[3]), Some(String::new()));
    house.server.limit_clients(0);
    assert_eq!(house.ask("blacklist\n"), "30\n", "one is always served");
}

#[test]
fn control_acl_keeps_strangers_out() {
    let mut config = Config::default();
    let entry = AclEntry { permit: true, what: AclMatch::V4 { address: 0x0a00_0000, mask: 0xff00_0000 } };
    config.process.acls[3] = Acl::from(vec![entry]);
    config.process.values.set_number(Number::ControlAcl, 3);
    let mut house = House::with(config, |_| Err("unused".into()));
    assert_eq!(house.ask(""), "");
    assert!(house.server.clients.is_empty());
}

#[test]
fn who_only_looks_leaves_room_for_who_may_do_more() {
    let directory = TempDir::new();
    let path = directory.join("control");
    let mut house = House::at(ListenAddr::parse(path.to_str().unwrap()).unwrap(), Config::default(), |_| {
        Err("unused".into())
    });
    house.server.limit_clients(4);
    house.offer_servers(2000);
    house.server.grant(Rights::of_nobody());
    // They ask for more than their sockets hold and take nothing: none of them is silent.
    let busy: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.write_all(b"servers\n").unwrap();
            house.settle();
            stream
        })
        .collect();
    assert_eq!(house.server.clients.len(), 2, "half of the places");
    house.server.grant(Rights::new(None, None));
    let ask = |house: &mut House| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(b"session\nblacklist 7\n").unwrap();
        house.settle();
        let mut reply = [0; 64];
        let count = stream.read(&mut reply).unwrap();
        assert!(String::from_utf8_lossy(&reply[..count]).ends_with("ok 2\n7\n"));
        stream
    };
    let operators: Vec<_> = (0..4).map(|_| ask(&mut house)).collect();
    assert!(house.server.clients.values().all(|client| client.reach == Reach::Everything));
    house.server.grant(Rights::of_nobody());
    let mut late = UnixStream::connect(&path).unwrap();
    late.write_all(b"blacklist\n").unwrap();
    house.settle();
    let got = late.read(&mut [0; 8]);
    assert!(got.as_ref().map_or(true, |count| *count == 0), "no operator goes for one who looks: {got:?}");
    assert_eq!(house.server.clients.len(), 4);
    drop((busy, operators));
}

#[test]
fn a_unix_socket_is_private_and_removed() {
    let directory = TempDir::new();
    let path = directory.join("control");
    let mut house = House::at(ListenAddr::parse(path.to_str().unwrap()).unwrap(), Config::default(), |_| {
        Err("unused".into())
    });
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"blacklist\n").unwrap();
    let reply = house.serve(thread::spawn(move || read_all(stream)));
    assert_eq!(reply, "30\n");
    drop(house);
    assert!(!path.exists());
}

#[test]
fn a_name_server_holds_up_only_who_asked() {
    static GATE: Mutex<()> = Mutex::new(());
    let mut house = House::with(Config::default(), |name| {
        drop(GATE.lock().unwrap());
        if name == "backend" { Ok([10, 0, 0, 9].into()) } else { Err(format!("no host {name}")) }
    });
    let closed = GATE.lock().unwrap();
    let mut asking = house.connect();
    asking.write_all(b"session\nserver 0 address backend port 80\nserver 1 address other\n").unwrap();
    house.settle();
    assert!(arrived(&mut asking).unwrap().starts_with("ok "));
    assert_eq!(house.ask("blacklist\n"), "30\n", "others go on");
    assert_eq!(house.pen.deeds(), Vec::<String>::new());
    drop(closed);
    house.until("the name was looked up", |house| house.engine.config().services[0].servers.len() == 1);
    assert_eq!(house.pen.deeds(), ["servers 10.0.0.9:80"]);
    house.until("the second name was looked up", |house| house.server.waiting.is_empty());
    house.settle();
    assert_eq!(arrived(&mut asking).unwrap(), "ok 0\nerror 14\nno host other\n");
}

#[test]
fn a_name_server_that_never_answers_is_given_up() {
    static GATE: Mutex<()> = Mutex::new(());
    let mut house = House::with(Config::default(), |_| {
        drop(GATE.lock().unwrap());
        Ok([10, 0, 0, 9].into())
    });
    let closed = GATE.lock().unwrap();
    let mut askers: Vec<TcpStream> = (0..6).map(|_| house.connect()).collect();
    for asker in &mut askers {
        asker.write_all(b"server 0 address backend\n").unwrap();
    }
    house.settle();
    house.pass(LOOKUP_MS);
    for asker in &mut askers {
        assert_eq!(
            arrived(asker).unwrap(),
            "error: host \"backend\": no answer from the name server within 5 seconds\n"
        );
    }
    drop(closed);
    assert!(house.ask("server 0 address backend port 1\n").is_empty(), "helpers are free again");
    assert_eq!(house.pen.deeds(), ["servers 10.0.0.9:1"]);
}

#[test]
fn included_commands_answer_the_asker() {
    let directory = TempDir::new();
    let (good, bad) = (directory.join("good"), directory.join("bad"));
    std::fs::write(&good, "blacklist\nblacklist 7\n").unwrap();
    std::fs::write(&bad, "blacklist 8\nbogus\n").unwrap();
    let (good, bad) = (good.display(), bad.display());
    let mut house = House::new();
    assert_eq!(house.ask(&format!("include {good}\n")), "30\n7\n");
    let error = house.ask(&format!("include {bad}\n"));
    assert!(error.starts_with(&format!("error: include: {bad}:2: ")), "{error}");
    assert_eq!(house.engine.config().services[0].number(Number::Blacklist), 7);
}

#[test]
fn the_last_reply_is_given_before_pen_ends() {
    let mut house = House::new();
    house.offer_servers(10_000);
    let mut stream = house.connect();
    stream.write_all(b"servers\n").unwrap();
    house.until("the reply is on its way", |house| {
        house.server.clients.values().any(|client| !client.talk.pending().is_empty())
    });
    let reader = thread::spawn(move || read_all(stream));
    house.server.say_goodbye(Duration::from_secs(10));
    drop(house);
    assert_eq!(reader.join().unwrap().lines().count(), 10_000);
}

#[test]
fn a_waker_ends_the_wait() {
    let mut house = House::new();
    let waker = house.server.waker();
    let other = thread::spawn(move || waker.wake());
    house.server.turn(None, &mut house.engine).unwrap();
    other.join().unwrap();
}

/// The descriptor limit belongs to the process, so this test runs in one of its own.
#[test]
fn the_operator_gets_in_without_descriptors() {
    const CHILD: &str = "PEN_TEST_WITHOUT_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        let name = "control::server::tests::the_operator_gets_in_without_descriptors";
        let program = std::env::current_exe().unwrap();
        let output =
            std::process::Command::new(program).args([name, "--exact"]).env(CHILD, "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let mut house = House::new();
    let mut streams: Vec<TcpStream> = (0..4).map(|_| house.connect()).collect();
    setrlimit(Resource::RLIMIT_NOFILE, 64, 64).unwrap();
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    house.settle();
    streams[0].write_all(b"blacklist\n").unwrap();
    streams[3].write_all(b"blacklist\n").unwrap();
    house.settle();
    assert_eq!(arrived(&mut streams[3]).unwrap(), "30\n", "the last caller got in");
    assert_eq!(arrived(&mut streams[0]), None, "at the cost of the first");
    hoard.clear();
    house.settle();
    assert!(house.server.spare.is_some());
    setrlimit(Resource::RLIMIT_NOFILE, 2, 64).unwrap();
    house.settle();
    assert!(house.server.clients.is_empty(), "poll takes no socket any more");
}
