//! Unit tests of `traffic`.

use super::*;
use crate::tempdir::TempDir;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

const CLIENT: ClientAddr = ClientAddr::Ip(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)));

fn file(path: &Path) -> Option<Output> {
    Some(Output::File(crate::sys::files::open_append(path).unwrap()))
}

/// A log file whose reader waits for each line, so that a test need not look again and again.
fn pipe() -> (Option<Output>, BufReader<io::PipeReader>) {
    let (reader, writer) = io::pipe().unwrap();
    (Some(Output::File(File::from(OwnedFd::from(writer)))), BufReader::new(reader))
}

fn read_line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_line_reaches_the_file_although_the_writer_slept() {
    let mut hub = LogHub::new();
    let mut log = hub.traffic_log();
    assert_eq!(log.target(), Target::Off);
    let (output, mut reader) = pipe();
    hub.set_target(output).unwrap();
    assert_eq!(log.target(), Target::File);
    for second in 0..20 {
        log.line(&CLIENT, second, "10.0.0.1", b"GET / HTTP/1.1\r\nHost: x\r\n");
        assert_eq!(read_line(&mut reader), format!("203.0.113.7 {second} 10.0.0.1 GET / HTTP/1.1\n"));
        if second % 2 == 0 {
            // Only half of the lines find a sleeping writer.
            while !hub.shared.writer_asleep.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        }
    }
}

#[test]
fn one_thread_writes_all_logs_and_starts_again_when_there_was_none() {
    let hub = LogHub::new();
    for round in 0..2 {
        let mut hubs = [hub.another(), hub.another(), hub.another()];
        let mut readers: Vec<_> = hubs
            .iter_mut()
            .map(|hub| {
                let (output, reader) = pipe();
                hub.set_target(output).unwrap();
                reader
            })
            .collect();
        let [first, second, third] = hubs;
        let mut logs = [&first, &second, &third].map(LogHub::traffic_log);
        for (number, (log, reader)) in logs.iter_mut().zip(&mut readers).enumerate() {
            log.line(&CLIENT, number as u64, "s", b"x");
            assert_eq!(read_line(reader), format!("203.0.113.7 {number} s x\n"), "round {round}");
        }
        let threads = [&first, &third].map(|hub| hub.shared.writer.get().map(Thread::id));
        assert_eq!(threads[0], threads[1]);
        drop(second);
        assert_eq!(read_line(&mut readers[1]), "", "its file is closed");
        logs[2].line(&CLIENT, 7, "s", b"x");
        assert_eq!(read_line(&mut readers[2]), "203.0.113.7 7 s x\n");
        assert_eq!((first.shutdown(), third.shutdown()), (0, 0));
    }
}

#[test]
fn the_end_writes_the_lines_of_all_workers() {
    let dir = TempDir::new();
    let path = dir.join("log");
    let mut hub = LogHub::new();
    hub.set_target(file(&path)).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let mut log = hub.traffic_log();
            scope.spawn(move || {
                for number in 0..5000 {
                    log.line(&CLIENT, number, &format!("worker-{worker}"), b"data");
                }
            });
        }
    });
    assert_eq!(hub.shutdown(), 0);
    let text = std::fs::read_to_string(&path).unwrap();
    for worker in 0..4 {
        let name = format!(" worker-{worker} data");
        let numbers =
            text.lines().filter_map(|line| line.strip_suffix(&name)?.split(' ').nth(1)?.parse::<u64>().ok());
        assert!(numbers.eq(0..5000), "worker {worker}");
    }
    assert_eq!(text.lines().count(), 20_000);
}

#[test]
fn a_worker_drops_what_its_queue_cannot_hold_and_nothing_else() {
    let dir = TempDir::new();
    let path = dir.join("log");
    let mut hub = LogHub::new();
    let mut log = hub.traffic_log();
    // Without a file there is no writer yet that could empty the queue.
    let line_bytes = "203.0.113.7 1 10.0.0.1 \n".len() + 60;
    let fitting = (QUEUE_BYTES_MAX / line_bytes) as u64;
    for _ in 0..fitting + 7 {
        log.line(&CLIENT, 1, "10.0.0.1", &[b'x'; 60]);
    }
    assert_eq!(hub.dropped_lines(), 7);
    hub.set_target(file(&path)).unwrap();
    assert_eq!(hub.shutdown(), 7);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count() as u64, fitting);
    assert!(text.lines().all(|line| line.len() + 1 == line_bytes));
}

#[test]
fn reopening_leaves_every_line_in_one_of_the_files() {
    let dir = TempDir::new();
    let mut hub = LogHub::new();
    let mut log = hub.traffic_log();
    for generation in 0..10 {
        let path = dir.join(generation.to_string());
        hub.set_target(file(&path)).unwrap();
        log.line(&CLIENT, generation, "10.0.0.1", b"data");
    }
    assert_eq!(hub.shutdown(), 0);
    let mut times: Vec<u64> = Vec::new();
    for generation in 0..10 {
        let text = std::fs::read_to_string(dir.join(generation.to_string())).unwrap();
        times.extend(text.lines().map(|line| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()));
    }
    assert!(times.into_iter().eq(0..10));
}

#[test]
fn ended_connections_share_the_file_with_lines() {
    let dir = TempDir::new();
    let path = dir.join("log");
    let mut hub = LogHub::new();
    let mut log = hub.traffic_log();
    hub.set_target(file(&path)).unwrap();
    log.json(&ConnectionRecord {
        start_epoch_milliseconds: 0,
        duration_milliseconds: 1,
        client: CLIENT,
        client_port: Some(1),
        server: Some(0),
        server_address: Some("10.0.0.1"),
        server_port: Some(80),
        up_bytes: 2,
        down_bytes: 3,
        reason: "client closed",
        retries: 0,
        listener: "*:80",
        service: "main",
    });
    log.line(&CLIENT, 1, "10.0.0.1", b"data");
    hub.shutdown();
    let text = std::fs::read_to_string(&path).unwrap();
    let (json, line) = text.split_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap()["down_bytes"], 3);
    assert_eq!(line, "203.0.113.7 1 10.0.0.1 data\n");
}

fn receive(server: &UdpSocket) -> String {
    let mut buffer = [0; 2048];
    let length = server.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn a_log_server_gets_one_datagram_each_over_both_families() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(server) = UdpSocket::bind(address) else {
            eprintln!("skipped: no {address} here");
            continue;
        };
        let mut hub = LogHub::new();
        let mut log = hub.traffic_log();
        hub.set_target(Some(Output::Network(connect(server.local_addr().unwrap()).unwrap()))).unwrap();
        assert_eq!(log.target(), Target::Network);
        log.datagram(&CLIENT, "10.0.0.1", b"GET /short HTTP/1.1\r\n\r\n");
        assert_eq!(receive(&server), "+ 203.0.113.7 10.0.0.1 GET /short HTTP/1.1\n");
        log.datagram(&CLIENT, "10.0.0.1", &[b'x'; 5000]);
        assert_eq!(receive(&server).len(), 1024);
        assert_eq!(hub.dropped_lines(), 0);
    }
}

#[test]
fn a_dead_log_server_stops_nothing_and_is_missed() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let mut hub = LogHub::new();
    let mut log = hub.traffic_log();
    hub.set_target(Some(Output::Network(connect(address).unwrap()))).unwrap();
    drop(server);
    for _ in 0..10 {
        log.datagram(&CLIENT, "10.0.0.1", b"lost");
    }
    assert!(hub.dropped_lines() > 0);
    let server = UdpSocket::bind(address).unwrap();
    log.datagram(&CLIENT, "10.0.0.1", b"found again");
    assert_eq!(receive(&server), "+ 203.0.113.7 10.0.0.1 found again\n");
}

#[test]
fn targets_change_while_workers_write() {
    let dir = TempDir::new();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut hub = LogHub::new();
    let mut log = hub.traffic_log();
    hub.set_target(file(&dir.join("log"))).unwrap();
    log.line(&CLIENT, 1, "10.0.0.1", b"to the file");
    hub.set_target(Some(Output::Network(connect(server.local_addr().unwrap()).unwrap()))).unwrap();
    log.datagram(&CLIENT, "10.0.0.1", b"to the first server");
    assert_eq!(receive(&server), "+ 203.0.113.7 10.0.0.1 to the first server\n");
    let second = UdpSocket::bind("127.0.0.1:0").unwrap();
    hub.set_target(Some(Output::Network(connect(second.local_addr().unwrap()).unwrap()))).unwrap();
    log.datagram(&CLIENT, "10.0.0.1", b"to the second");
    assert_eq!(receive(&second), "+ 203.0.113.7 10.0.0.1 to the second\n");
    hub.set_target(None).unwrap();
    assert_eq!(log.target(), Target::Off);
    log.datagram(&CLIENT, "10.0.0.1", b"to nobody");
    hub.set_target(file(&dir.join("log"))).unwrap();
    log.line(&CLIENT, 2, "10.0.0.1", b"and back");
    assert_eq!(hub.shutdown(), 0);
    let text = std::fs::read_to_string(dir.join("log")).unwrap();
    assert_eq!(text, "203.0.113.7 1 10.0.0.1 to the file\n203.0.113.7 2 10.0.0.1 and back\n");
}
