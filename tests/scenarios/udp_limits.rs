//! How many UDP sessions there are, how long they last, and who goes when there are too many.

use crate::common::datagram::{UdpClient, UdpServer};
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::process::{descriptors, rss_kib};
use crate::common::wait::{eventually, meanwhile};
use serde_json::Value;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn status(pen: &Pen) -> Value {
    serde_json::from_str(&pen.control("status json")).unwrap()
}

/// A server that tells its clients from where it sees them: the same for as long as the session is. It counts what it
/// gets.
fn mirror() -> (UdpServer, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let server = UdpServer::handling(&format!("127.0.0.1:{}", free_port()), move |socket, _, peer| {
        counted.fetch_add(1, SeqCst);
        socket.send_to(peer.to_string().as_bytes(), peer).expect("answer");
    });
    (server, count)
}

#[test]
fn a_session_ends_when_it_has_been_silent() {
    let (server, _) = mirror();
    for limits in ["udp_idle_timeout 1", "idle_timeout 1"] {
        let pen = Pen::before([&server]).options("-U").command(limits).start();
        let client = UdpClient::new(pen.address);
        let first = client.ask("?");
        assert_eq!(status(&pen)["connections_used"], 1);
        eventually("the end of the session", || status(&pen)["connections_used"].clone(), |used| used == 0);
        assert_eq!(status(&pen)["totals"]["idle_timeouts"], 1);
        assert_eq!(status(&pen)["servers"][0]["connections"], 0);
        assert_ne!(client.ask("?"), first, "another session");
    }
}

#[test]
fn a_session_lasts_while_either_side_speaks() {
    let (server, _) = mirror();
    let pen = Pen::before([&server]).options("-U").command("udp_idle_timeout 3").start();
    let client = UdpClient::new(pen.address);
    let first = client.ask("?");
    for _ in 0..16 {
        meanwhile(Duration::from_millis(250));
        assert_eq!(client.ask("?"), first);
    }
    pen.control("udp_idle_timeout 1");
    eventually("the end of the session", || status(&pen)["connections_used"].clone(), |used| used == 0);
}

/// The session that takes the place of another takes its socket too.
#[test]
fn what_comes_too_late_for_a_session_that_had_to_go_reaches_nobody() {
    let waiting = Mutex::new(Vec::new());
    let address = format!("127.0.0.1:{}", free_port());
    let server = UdpServer::handling(&address, move |socket, datagram, peer| {
        let mut waiting = waiting.lock().expect("lock");
        if datagram == b"later" {
            return waiting.push(peer);
        }
        for peer in waiting.drain(..) {
            socket.send_to(b"too late", peer).expect("send");
        }
        socket.send_to(b"at once", peer).expect("answer");
    });
    let pen = Pen::before([&server]).options("-U --threads 1").command("udp_sessions_max 1").start();
    for round in 1..=5 {
        let (patient, other) = (UdpClient::new(pen.address), UdpClient::new(pen.address));
        patient.send("later");
        eventually(
            "its session",
            || status(&pen)["totals"]["up_datagrams"].clone(),
            |up| up == 3 * round - 2,
        );
        assert_eq!(other.ask("now"), "at once");
        assert_eq!(other.ask("again"), "at once");
    }
}

#[test]
fn when_there_is_no_room_the_new_make_room_for_the_new() {
    let (server, _) = mirror();
    let pen = Pen::before([&server]).options("-U --threads 1").command("udp_sessions_max 8").start();
    let regular = UdpClient::new(pen.address);
    let its = regular.ask("?");
    assert_eq!(regular.ask("?"), its);
    // All stay bound: the port of one that is gone could be that of another, who would then be no stranger.
    let strangers: Vec<UdpClient> = (0..40).map(|_| UdpClient::new(pen.address)).collect();
    for stranger in &strangers {
        stranger.ask("?");
    }
    assert_eq!(regular.ask("?"), its, "who went on after an answer stays");
    let status = status(&pen);
    assert_eq!((status["connections_used"].as_u64(), status["connections_max"].as_u64()), (Some(8), Some(8)));
    assert_eq!(status["totals"]["sessions_evicted"], 33);
    // Less room now: those who must go do.
    pen.control("udp_sessions_max 2");
    eventually("the others to go", || pen.control("connections").lines().count(), |count| *count == 2);
    assert_eq!(regular.ask("?"), its);
}

#[test]
fn sessions_follow_the_descriptor_limit() {
    let (server, _) = mirror();
    let pen = Pen::before([&server]).through("prlimit --nofile=200").options("-U --threads 2").start();
    for _ in 0..400 {
        UdpClient::new(pen.address).ask("?");
    }
    assert_eq!(status(&pen)["connections_max"], 100);
    assert!(descriptors(pen.pid()) <= 200);
}

/// A hundred thousand addresses, each with one datagram: nobody is there, but the server answers every one of them.
#[test]
fn a_flood_of_invented_addresses_harms_nobody() {
    const ADDRESSES: u32 = 100_000;
    const IN_FLIGHT: u32 = 100;
    const SESSIONS: usize = 500;
    let (server, count) = mirror();
    let pen = Pen::before([&server])
        .options("-U --threads 2")
        .command(format!("udp_sessions_max {SESSIONS}"))
        .command("udp_idle_timeout 3600")
        .start();
    let regulars: Vec<UdpClient> = (0..50).map(|_| UdpClient::new(pen.address)).collect();
    let theirs: Vec<String> = regulars.iter().map(|client| client.ask("?")).collect();
    for (client, its) in regulars.iter().zip(&theirs) {
        assert_eq!(client.ask("?"), *its);
    }
    let memory_before = rss_kib(pen.pid());
    let before = count.load(SeqCst);
    for number in 0..ADDRESSES {
        let source = Ipv4Addr::from(0x7f01_0000 + number);
        let socket = UdpSocket::bind((source, 0)).unwrap();
        socket.send_to(b"flood", pen.address).unwrap();
        let sent = number + 1;
        if sent % IN_FLIGHT == 0 {
            let arrived = || count.load(SeqCst) - before;
            eventually("the flood to pass", arrived, |arrived| *arrived >= sent as usize);
        }
    }
    assert!(descriptors(pen.pid()) <= SESSIONS + 50, "{} descriptors", descriptors(pen.pid()));
    let grown = rss_kib(pen.pid()).saturating_sub(memory_before);
    assert!(grown < 16 * 1024, "{grown} KiB more");
    let totals = status(&pen)["totals"].clone();
    assert!(totals["sessions_evicted"].as_u64() >= Some(u64::from(ADDRESSES) - SESSIONS as u64), "{totals}");
    for (client, its) in regulars.iter().zip(&theirs) {
        assert_eq!(client.ask("?"), *its, "its session is still the same");
    }
}
