//! `idlers` over a link with a delay, between two network namespaces: they save a client a round trip, and a server that
//! vanishes behind them is noticed.
//!
//! Needs root and ip(8), and for the delay the kernel's netem, or else a TUN device and python3. Where something is
//! missing a test says what and does nothing. It runs itself again inside the first namespace, where pen, its clients and
//! the harness live; the servers are in the second.

mod common;

use common::backend::{Backend, greet_and_echo};
use common::client::{Client, ending};
use common::pen::Pen;
use common::wait::{eventually, timed};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// One way.
const DELAY_MS: u64 = 50;
const ROUND_TRIP: Duration = Duration::from_millis(2 * DELAY_MS);
const ROUNDS: usize = 9;
const NEAR_ADDRESS: &str = "10.99.0.1";
const FAR_ADDRESS: &str = "10.99.0.2";
/// Set, to the name of the second namespace, when the test runs inside the first.
const FAR: &str = "PEN_TEST_FAR_NAMESPACE";

#[test]
fn a_ready_connection_saves_a_round_trip() {
    in_namespace("a_ready_connection_saves_a_round_trip", |far| {
        let answering = serve_in(far, |mut stream| {
            let line = common::backend::read_line(&stream).unwrap_or_default();
            // A client that is gone needs no answer.
            let _ = stream.write_all(format!("{line}\n").as_bytes());
        });
        let greeting = serve_in(far, |mut stream| {
            let _ = stream.write_all(b"welcome\n");
            ending(&mut stream);
        });
        for (speaker, server, request) in [("client", answering, "hello\n"), ("server", greeting, "")] {
            let [without, with] = [0, 4].map(|idlers| median_to_first_byte(server, idlers, request));
            eprintln!("the {speaker} speaks first: {without:?} without idlers, {with:?} with");
            assert!(without > ROUND_TRIP * 3 / 2, "{without:?}: the link is not slow, this shows nothing");
            assert!(without.saturating_sub(with) > ROUND_TRIP * 3 / 4, "{with:?} instead of {without:?}");
        }
    });
}

/// Its idlers do not show it: nothing comes over them, no end either.
#[test]
fn a_server_that_vanished_is_given_up_like_one_that_does_not_accept() {
    in_namespace("a_server_that_vanished_is_given_up_like_one_that_does_not_accept", |far| {
        let near = Backend::named("near");
        // It does not speak first: of a greeting nobody knows whether it comes before the address goes.
        let server = serve_in(far, |stream| {
            if common::backend::read_line(&stream).is_some() {
                greet_and_echo("far", stream);
            }
        });
        let pen =
            Pen::before([near.address(), server]).command("idlers 2").options("-t 2").command("threads 1");
        let pen = pen.start();
        await_idlers(&pen, 2);
        assert_eq!(pen.connect().exchange("hello"), "far");
        await_idlers(&pen, 2);
        // What comes for an address that is nobody's is dropped without a word.
        ip(&format!("-n {far} addr del {FAR_ADDRESS}/24 dev slow1")).unwrap();
        let mut client = pen.connect();
        client.send("hello\n");
        assert_eq!(client.line(), "near");
        assert_eq!(client.line(), "hello");
        let status: serde_json::Value = serde_json::from_str(&pen.control("status json")).unwrap();
        assert!(status["totals"]["idlers_used"].as_u64() >= Some(2), "{status}");
        assert!(status["servers"][1]["blacklisted_seconds"].as_u64() > Some(0), "{status}");
        assert_eq!(status["servers"][1]["idlers"], 0);
    });
}

/// Runs `check` in the first of two namespaces, with the name of the second. `test` is the name of the test.
fn in_namespace(test: &str, check: fn(far: &str)) {
    if let Ok(far) = std::env::var(FAR) {
        return check(&far);
    }
    if !common::root() {
        return common::skip("network namespaces need root");
    }
    match Namespaces::with_slow_link() {
        Ok(namespaces) => namespaces.run_inside(test),
        Err(reason) => common::skip(&reason),
    }
}

fn await_idlers(pen: &Pen, count: usize) {
    let ready = format!("Idlers: {count}/{count}\n");
    eventually("idlers", || pen.control("idlers"), |reply| *reply == ready);
}

/// The median time from a client's connect to the end of the first line of the answer.
fn median_to_first_byte(server: SocketAddr, idlers: usize, request: &str) -> Duration {
    let pen = Pen::before([server]).command(format!("idlers {idlers}")).command("threads 2").start();
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            await_idlers(&pen, idlers);
            let (client, time) = timed(|| {
                let mut client = Client::connect(pen.address);
                client.send(request);
                client.line();
                client
            });
            drop(client);
            time
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

/// Serves connections to the far end of the link, each in a thread of its own, until the test ends.
fn serve_in(namespace: &str, serve: fn(TcpStream)) -> SocketAddr {
    let file = File::open(Path::new("/run/netns").join(namespace)).unwrap();
    // A socket stays in the namespace of the thread that made it.
    let bind = move || {
        setns(file, CloneFlags::CLONE_NEWNET).unwrap();
        TcpListener::bind((FAR_ADDRESS, 0)).unwrap()
    };
    let listener = thread::spawn(bind).join().unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Two namespaces with a slow link between them; gone when dropped.
struct Namespaces {
    near: String,
    far: String,
    /// What carries the packets when the kernel has no delay to offer.
    carrier: Option<Child>,
}

impl Namespaces {
    /// # Errors
    /// What is missing.
    fn with_slow_link() -> Result<Namespaces, String> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Relaxed);
        let [near, far] = ["near", "far"].map(|end| format!("pen-{end}-{}-{number}", std::process::id()));
        ip(&format!("netns add {near}"))?;
        let mut namespaces = Namespaces { near, far, carrier: None };
        ip(&format!("netns add {}", namespaces.far))?;
        if let Err(netem) = namespaces.link_by_netem() {
            let link = namespaces.link_by_tun();
            link.map_err(|tun| format!("no link with a delay; netem: {netem}; TUN: {tun}"))?;
        }
        let Namespaces { near, far, .. } = &namespaces;
        for (namespace, device, address) in [(near, "slow0", NEAR_ADDRESS), (far, "slow1", FAR_ADDRESS)] {
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {namespace} addr add {address}/24 dev {device}"))?;
            ip(&format!("-n {namespace} link set {device} up"))?;
        }
        Ok(namespaces)
    }

    fn link_by_netem(&self) -> Result<(), String> {
        let Namespaces { near, far, .. } = self;
        ip(&format!("-n {near} link add slow0 type veth peer name slow1 netns {far}"))?;
        let delayed = [(near, "slow0"), (far, "slow1")].into_iter().try_for_each(|(namespace, device)| {
            run("tc", &format!("-n {namespace} qdisc add dev {device} root netem delay {DELAY_MS}ms"))
        });
        if delayed.is_err() {
            ip(&format!("-n {near} link del slow0"))?;
        }
        delayed
    }

    fn link_by_tun(&mut self) -> Result<(), String> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slow_link.py");
        let mut carrier = Command::new("ip")
            .args(["netns", "exec", &self.near, "python3", script, &DELAY_MS.to_string(), &self.far])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut word = String::new();
        let stdout = carrier.stdout.take().expect("a pipe");
        self.carrier = Some(carrier);
        BufReader::new(stdout).read_line(&mut word).map_err(|error| error.to_string())?;
        if word == "ready\n" { Ok(()) } else { Err(format!("{script} failed")) }
    }

    fn run_inside(&self, test: &str) {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.near]).arg(program).args([test, "--exact", "--nocapture"]);
        assert!(command.env(FAR, &self.far).status().unwrap().success(), "see above");
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        if let Some(carrier) = &mut self.carrier {
            // It may have failed by itself.
            let _ = carrier.kill();
            let _ = carrier.wait();
        }
        // The second may not exist.
        let _ = ip(&format!("netns del {}", self.near));
        let _ = ip(&format!("netns del {}", self.far));
    }
}

fn ip(words: &str) -> Result<(), String> {
    run("ip", words)
}

/// # Errors
/// What the program said.
fn run(program: &str, words: &str) -> Result<(), String> {
    let output = Command::new(program).args(words.split(' ')).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {words}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
