//! Snapshots that the renderers' tests share.

use pen_proto::status::{ClientStatus, ConnectionStatus, MAIN, ServerStatus, ServiceStatus, Status, Totals};
use pen_proto::weight::Weight;

/// 2026-11-21 01:23:26 UTC.
const NOW_EPOCH_SECONDS: u64 = 1_795_224_206;

/// Nothing configured, nothing happened yet.
pub fn idle() -> Status {
    Status {
        version: "0.1.0".into(),
        pid: 4242,
        time_local: "2026-11-21 01:23:26".into(),
        time_epoch_seconds: NOW_EPOCH_SECONDS,
        uptime_seconds: 0,
        listen: vec!["127.0.0.1:8080".into()],
        workers: 1,
        mode: "no block no delayed_forward no hash roundrobin no stubborn no weight no prio".into(),
        current_server: -3,
        clients_max: 2048,
        connections_max: 500,
        ..Status::default()
    }
}

/// Four servers in every state a page can show, an emergency and an abuse server, clients and connections.
pub fn busy() -> Status {
    Status {
        uptime_seconds: 273_907,
        listen: vec!["0.0.0.0:80".into(), "[::]:80".into()],
        workers: 4,
        current_server: 1,
        servers: servers(),
        clients_max: 3000,
        clients: clients(),
        connections_max: 600,
        connections_used: 152,
        connections_last: 599,
        connections: connections(),
        idlers: 7,
        idlers_wanted: 8,
        totals: totals(),
        ..idle()
    }
}

/// The same with UDP.
pub fn busy_with_udp() -> Status {
    let totals = Totals {
        up_datagrams: 812_340,
        down_datagrams: 811_004,
        datagrams_dropped: 12,
        sessions_evicted: 3_001,
        ..totals()
    };
    Status { udp: true, totals, ..busy() }
}

/// The busy `main`, and beside it `web` with UDP, a server, a client and a session.
pub fn several() -> Status {
    let web = ServiceStatus {
        name: "web".into(),
        kind: "udp".into(),
        listen: vec!["127.0.0.1:5353".into()],
        mode: idle().mode,
        servers: vec![ServerStatus {
            address: "10.0.1.1".into(),
            failed_at_epoch_seconds: NOW_EPOCH_SECONDS - 18,
            blacklisted_seconds: 12,
            connections: 1,
            ..server(0)
        }],
        clients_max: 100,
        clients: vec![ClientStatus { slot: 4, address: "192.0.2.4".into(), ..ClientStatus::default() }],
        clients_from: Some(MAIN.into()),
        connections_used: 1,
        connections_last: 5,
        connections: vec![ConnectionStatus { number: 5, ..ConnectionStatus::default() }],
        totals: Totals { accepted: 77, up_datagrams: 8, ..Totals::default() },
        ..ServiceStatus::default()
    };
    Status { service: MAIN.into(), services: vec![web], ..busy() }
}

/// Text that tries to leave its place: quotes, tags, newlines, terminal escapes.
pub fn hostile() -> Status {
    let evil = "/run/<script>alert(\"1\")</script>&'\\\n\x1b[2J\u{202e}.sock";
    let mut status = idle();
    status.version = evil.into();
    status.service = evil.into();
    status.services = vec![ServiceStatus {
        name: format!("2{evil}"),
        listen: vec![evil.into()],
        ..several().services[0].clone()
    }];
    status.mode = evil.into();
    status.listen = vec![evil.into()];
    status.servers = vec![ServerStatus { address: evil.into(), port: 1, ..server(0) }];
    status.clients = vec![ClientStatus { address: evil.into(), ..ClientStatus::default() }];
    status.connections =
        vec![ConnectionStatus { client: evil.into(), server_address: evil.into(), ..Default::default() }];
    status
}

fn server(index: i32) -> ServerStatus {
    ServerStatus { index, address: "10.0.0.1".into(), port: 8080, ..ServerStatus::default() }
}

fn servers() -> Vec<ServerStatus> {
    vec![
        ServerStatus {
            connections: 96,
            idlers: 7,
            max: 200,
            hard: 240,
            weight: Some(Weight::whole(3)),
            sent_bytes: 48_120_331,
            received_bytes: 9_761_200_448,
            connections_total: 184_220,
            failures_total: 2,
            failed_at_epoch_seconds: NOW_EPOCH_SECONDS - 7300,
            ..server(0)
        },
        ServerStatus {
            address: "10.0.0.2".into(),
            connections: 50,
            max: 50,
            weight: Some(Weight::whole(1)),
            prio: 1,
            sent_bytes: 16_004_112,
            received_bytes: 3_141_592_653,
            connections_total: 61_004,
            ..server(1)
        },
        ServerStatus {
            address: "2001:db8::17".into(),
            failed_at_epoch_seconds: NOW_EPOCH_SECONDS - 18,
            blacklisted_seconds: 12,
            weight: Some(Weight::whole(1)),
            sent_bytes: 901_223,
            received_bytes: 120_733_001,
            connections_total: 9_120,
            failures_total: 37,
            ..server(2)
        },
        ServerStatus { address: "/run/app/web.sock".into(), port: 1, connections: 6, acl: 3, ..server(3) },
        ServerStatus { address: "10.0.9.1".into(), port: 80, connections_total: 12, ..server(-1) },
        ServerStatus { address: "10.0.9.2".into(), port: 80, received_bytes: 512, ..server(-2) },
    ]
}

fn clients() -> Vec<ClientStatus> {
    let client = |slot, address: &str, age_seconds, server, connects| ClientStatus {
        slot,
        address: address.into(),
        age_seconds,
        server,
        connects,
        sent_bytes: connects * 52_984,
        received_bytes: connects * 261,
    };
    vec![
        client(0, "203.0.113.7", 3, 0, 1204),
        client(1, "2001:db8:7::9", 41, 1, 88),
        client(2, "198.51.100.23", 5120, 0, 1),
        client(7, "", 60, -1, 2),
    ]
}

fn connections() -> Vec<ConnectionStatus> {
    vec![
        ConnectionStatus {
            number: 17,
            client: "203.0.113.7:50112".into(),
            client_slot: 0,
            server: 0,
            server_address: "10.0.0.1:8080".into(),
            state: 2,
            down_fd: 11,
            up_fd: 12,
            pending_down_bytes: 16_384,
            up_bytes: 412,
            down_bytes: 8_388_608,
            age_seconds: 63,
            ..ConnectionStatus::default()
        },
        ConnectionStatus {
            number: 599,
            client: "[2001:db8:7::9]:41007".into(),
            client_slot: 1,
            server: 1,
            server_address: "10.0.0.2:8080".into(),
            state: 1,
            down_fd: 14,
            up_fd: 15,
            pending_up_bytes: 78,
            ..ConnectionStatus::default()
        },
        ConnectionStatus {
            number: 600,
            client: "198.51.100.80:2000".into(),
            client_slot: -1,
            server: -2,
            server_address: "10.0.9.2:80".into(),
            state: 2 | 8,
            down_fd: 16,
            up_fd: 18,
            up_bytes: 9,
            age_seconds: 7261,
            idle_seconds: 3600,
            ..ConnectionStatus::default()
        },
    ]
}

fn totals() -> Totals {
    Totals {
        accepted: 254_431,
        closed: 254_279,
        rejected: 4,
        denied: 75,
        over_limit: 12,
        waiting: 3,
        queued: 40,
        queue_timeouts: 2,
        failovers: 39,
        connect_failures: 31,
        connect_timeouts: 8,
        idle_timeouts: 410,
        resets_by_client: 1_022,
        resets_by_server: 17,
        up_bytes: 65_025_666,
        down_bytes: 13_023_526_614,
        descriptor_shortages: 1,
        log_lines_dropped: 0,
        pending_connects: 3,
        idlers_used: 181_350,
        idlers_lost: 212,
        tls_handshakes: 91_204,
        tls_resumptions: 60_113,
        tls_failures: 318,
        proxy_errors: 6,
        ..Totals::default()
    }
}

/// Compares with `tests/golden/NAME`. With `PEN_GOLDEN=write` in the environment the file is written instead: look at
/// the difference before committing it.
pub fn assert_golden(name: &str, actual: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("PEN_GOLDEN").is_some_and(|wanted| wanted == "write") {
        return std::fs::write(&path, actual).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (number, (line, wanted)) in actual.lines().zip(golden.lines()).enumerate() {
        assert_eq!(line, wanted, "tests/golden/{name}, line {}", number + 1);
    }
    assert_eq!(actual.len(), golden.len(), "tests/golden/{name} has another end");
}
