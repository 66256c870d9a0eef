//! An imaginary site on an imaginary day, for the picture in the documents.

use pen_proto::status::{ClientStatus, ServerStatus, Status, Totals};
use std::f64::consts::TAU;
use std::fmt::Write;

/// 2026-11-20 17:00:00 UTC.
const NOW: u64 = 1_795_194_000;
const STEP_SECONDS: u64 = 600;
const STEPS: u64 = 144;

/// Addresses, soft maxima, and the parts of the load that they take.
const SERVERS: [(&str, u32, f64); 8] = [
    ("10.0.0.11", 200, 0.24),
    ("10.0.0.12", 200, 0.22),
    ("10.0.0.13", 200, 0.18),
    ("10.0.0.14", 100, 0.12),
    ("10.0.0.15", 100, 0.09),
    ("10.0.0.16", 25, 0.06),
    ("2001:db8::17", 100, 0.05),
    ("2001:db8::18", 100, 0.04),
];

/// The one that failed in the last hours.
const FAILED: usize = 3;
const FAILED_SINCE_STEP: u64 = 139;

/// Connections open at a server after so many steps: few at night, most in the evening, never quite even.
fn connections(server: usize, step: u64) -> u32 {
    if server == FAILED && step >= FAILED_SINCE_STEP {
        return 0;
    }
    let day = step as f64 / STEPS as f64;
    let tide = 0.56 - 0.42 * (TAU * (day + 0.42)).cos() + 0.1 * (2.0 * TAU * (day + 0.1)).sin();
    let ripple = 1.0
        + 0.09 * ((step * 7 + server as u64 * 31) as f64 * 1.7).sin()
        + 0.06 * ((step * step) as f64 * 0.37).sin();
    (430.0 * SERVERS[server].2 * tide * ripple) as u32
}

/// What a server was given since pen started: connections and bytes in both directions.
fn totals(server: usize, step: u64) -> (u64, u64) {
    let opened: u64 = (0..=step).map(|step| u64::from(connections(server, step)) * 41).sum();
    (opened, opened * (29_000 + 4_000 * server as u64))
}

pub fn history() -> String {
    let mut text = String::new();
    for step in 0..STEPS {
        let time = NOW - (STEPS - step) * STEP_SECONDS;
        let uptime = 1_036_800 + step * STEP_SECONDS;
        let servers: Vec<String> = (0..SERVERS.len())
            .map(|server| {
                let (opened, bytes) = totals(server, step);
                format!("[{server},{:?},{},{opened},{bytes}]", endpoint(server), connections(server, step))
            })
            .collect();
        let servers = servers.join(",");
        writeln!(text, "{{\"pen\":\"\",\"time\":{time},\"uptime\":{uptime},\"servers\":[{servers}]}}")
            .unwrap();
    }
    text
}

fn endpoint(server: usize) -> String {
    let address = SERVERS[server].0;
    if address.contains(':') { format!("[{address}]:8080") } else { format!("{address}:8080") }
}

pub fn status() -> Status {
    let servers: Vec<ServerStatus> = (0..SERVERS.len()).map(server).collect();
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: 4242,
        time_local: "2026-11-20 18:00:00".into(),
        time_epoch_seconds: NOW,
        uptime_seconds: 1_036_800 + STEPS * STEP_SECONDS,
        listen: vec!["192.0.2.80:80".into(), "[2001:db8::80]:80".into()],
        workers: 4,
        connections_used: servers.iter().map(|server| u64::from(server.connections)).sum(),
        connections_max: 4096,
        clients_max: 2048,
        clients: (0..1312).map(client).collect(),
        totals: Totals { accepted: 2_204_431, failovers: 39, ..Totals::default() },
        servers,
        ..Status::default()
    }
}

fn server(index: usize) -> ServerStatus {
    let (address, max, _) = SERVERS[index];
    let (opened, bytes) = totals(index, STEPS);
    let has_failed = index == FAILED;
    ServerStatus {
        index: index as i32,
        address: address.into(),
        port: 8080,
        connections: connections(index, STEPS).min(max),
        max,
        sent_bytes: bytes / 23,
        received_bytes: bytes - bytes / 23,
        connections_total: opened,
        failures_total: if has_failed { 39 } else { 0 },
        failed_at_epoch_seconds: if has_failed { NOW - 12 } else { 0 },
        blacklisted_seconds: if has_failed { 18 } else { 0 },
        ..ServerStatus::default()
    }
}

fn client(number: u32) -> ClientStatus {
    let connects = 1 + 900 / u64::from(number + 1);
    let (network, host) = if number.is_multiple_of(3) { ("203.0.113", 7) } else { ("198.51.100", 30) };
    ClientStatus {
        slot: number,
        address: format!("{network}.{}", (host + number * 11) % 254 + 1),
        age_seconds: u64::from(number * 7 % 290),
        server: (number % 4) as i32,
        connects,
        sent_bytes: connects * 183_000,
        received_bytes: connects * 4_100,
    }
}
