//! What the parts without I/O cost: the client table, the choice of a server, access lists, the
//! parsers.
//!
//! `cargo bench --bench pure`; `cargo test --bench pure` runs everything once and measures nothing. The parts are used as
//! their users use them: the client table only through the pool.

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use pen_core::acl::{Acl, CountrySource};
use pen_core::balance::{Admission, Asker, Attempt, Endpoint, Pool, SelectionKey, ServerId, ServerSetup};
use pen_core::http::Exchanges;
use pen_core::proxy_protocol;
use pen_core::settings::Settings;
use pen_core::uri::{self, Asked, Uri};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{AclEntry, AclMatch, Flag, HttpMode, OneOf, PolicyKind};
use pen_proto::weblog::WebLine;
use pen_proto::{logline, parse};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const NOW_SECONDS: u32 = 1_000_000;
const TABLE_SIZES: [u32; 3] = [2_048, 65_536, 1_000_000];
const SERVER_COUNTS: [usize; 3] = [2, 100, 1_000];
const LIST_LENGTHS: [u32; 3] = [10, 1_000, 100_000];

/// One service with a client table of its own.
type Service = (Pool, SelectionKey);

fn service(settings: &Settings, clients_max: u32, servers: usize) -> Service {
    service_with_max(settings, clients_max, servers, 0)
}

/// `max` is the servers' maximum of connections, 0 for none.
fn service_with_max(settings: &Settings, clients_max: u32, servers: usize, max: u32) -> Service {
    let mut pool = Pool::new(clients_max);
    let selection = pool.add_selection(settings.rules());
    let address = |index: usize| Endpoint::Inet(([127, 0, 0, 1], 1 + index as u16).into());
    let setup = |index| ServerSetup { max, ..ServerSetup::new(address(index)) };
    pool.set_servers(selection, (0..servers).map(setup).collect(), None, None);
    (pool, selection)
}

fn come((pool, selection): &mut Service, client: u32) -> Attempt {
    let address = ClientAddr::Ip(Ipv4Addr::from_bits(client).into());
    // Each client asks for something else.
    let asker = Asker { uri: Some(Uri(client.into())), ..Asker::from(address) };
    match pool.at(*selection).admit(asker, 40_000, NOW_SECONDS) {
        Admission::Connect(attempt, endpoint) => {
            black_box(endpoint);
            attempt
        }
        Admission::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// A connection that comes and goes.
fn visit(service: &mut Service, client: u32) {
    let attempt = come(service, client);
    service.0.at(service.1).abandon(attempt);
}

/// A known client is found, a new one inserted, a new one in a full table takes the place of the oldest. The step
/// between one client and the next is a prime, so that neighbours in time are none in memory.
fn client_table(criterion: &mut Criterion) {
    const STEP: u32 = 7_919;
    let settings = Settings::default();
    let mut group = criterion.benchmark_group("client");
    for size in TABLE_SIZES {
        let full = || {
            let mut service = service(&settings, size, 1);
            (0..size).for_each(|client| visit(&mut service, client));
            service
        };
        group.bench_function(BenchmarkId::new("find", size), |bencher| {
            let (mut service, mut client) = (full(), 0);
            bencher.iter(|| {
                client = (client + STEP) % size;
                visit(&mut service, client);
            });
        });
        group.bench_function(BenchmarkId::new("insert", size), |bencher| {
            let (mut table, mut client) = (service(&settings, size, 1), 0);
            bencher.iter(|| {
                if client == size {
                    (table, client) = (service(&settings, size, 1), 0);
                }
                client += 1;
                visit(&mut table, client);
            });
        });
        group.bench_function(BenchmarkId::new("evict", size), |bencher| {
            let (mut service, mut client) = (full(), size);
            bencher.iter(|| {
                client = client.wrapping_add(1);
                visit(&mut service, client);
            });
        });
    }
    group.finish();
}

/// Clients are not tracked, so that each is a new choice.
fn choice(criterion: &mut Criterion) {
    let modes = [
        ("roundrobin", None),
        ("weight", Some(Flag::Weight)),
        ("prio", Some(Flag::Prio)),
        ("hash", Some(Flag::Hash)),
    ];
    let mut forgetful = Settings::default();
    forgetful.set_flag(Flag::Roundrobin, true);
    let modes = modes.map(|(name, flag)| {
        let mut settings = forgetful.clone();
        flag.into_iter().for_each(|flag| settings.set_flag(flag, true));
        (name, settings)
    });
    let mut group = criterion.benchmark_group("choose");
    for (name, settings) in modes.into_iter().chain(policies(&forgetful)) {
        for servers in SERVER_COUNTS {
            group.bench_function(BenchmarkId::new(name, servers), |bencher| {
                let (mut service, mut client) = (service(&settings, 2_048, servers), 0);
                bencher.iter(|| {
                    client = (client + 1) % 1_024;
                    visit(&mut service, client);
                });
            });
        }
    }
    group.finish();
}

/// The choice alone: nobody is looked up, counted or gets a place.
fn choice_alone(criterion: &mut Criterion) {
    let mut forgetful = Settings::default();
    forgetful.set_flag(Flag::Roundrobin, true);
    let mut group = criterion.benchmark_group("choose alone");
    for (name, settings) in policies(&forgetful) {
        for servers in SERVER_COUNTS {
            group.bench_function(BenchmarkId::new(name, servers), |bencher| {
                let ((mut pool, selection), mut client) = (service(&settings, 2_048, servers), 0_u32);
                bencher.iter(|| {
                    client = client.wrapping_add(1);
                    let address = ClientAddr::Ip(Ipv4Addr::from_bits(client).into());
                    let asker = Asker { uri: Some(Uri(client.into())), ..Asker::from(address) };
                    pool.at(selection).choose_only(asker, NOW_SECONDS)
                });
            });
        }
    }
    group.finish();
}

/// Those that are chosen by `policy`.
fn policies(settings: &Settings) -> Vec<(&'static str, Settings)> {
    let kinds = PolicyKind::ALL.iter().filter(|kind| **kind != PolicyKind::Pen);
    let with = |kind: &PolicyKind| {
        let mut settings = settings.clone();
        settings.set_choice(*kind);
        (kind.word(), settings)
    };
    kinds.map(with).collect()
}

/// Farms in which the first server looked at is not the answer. Clients are not tracked here either.
fn choice_in_a_busy_farm(criterion: &mut Criterion) {
    let mut turns = Settings::default();
    turns.set_flag(Flag::Roundrobin, true);
    let mut weight = turns.clone();
    weight.set_flag(Flag::Weight, true);
    let mut group = criterion.benchmark_group("choose, busy");
    for servers in SERVER_COUNTS {
        let mut measure = |name: &str, mut service: Service| {
            group.bench_function(BenchmarkId::new(name, servers), |bencher| {
                bencher.iter(|| visit(&mut service, 7));
            });
        };
        // As many connections as servers leave none idle, in turn or by weight. They last as long as the benchmark.
        let busy = |settings: &Settings, max, connections| {
            let mut service = service_with_max(settings, 2_048, servers, max);
            let attempts: Vec<Attempt> = (0..connections).map(|_| come(&mut service, 7)).collect();
            std::mem::forget(attempts);
            service
        };
        measure("weight, all have connections", busy(&weight, 0, servers));
        for (name, settings) in policies(&turns) {
            measure(&format!("{name}, all have connections"), busy(&settings, 0, servers));
        }
        let mut top = turns.clone();
        top.set_flag(Flag::Top, true);
        top.set_choice(PolicyKind::RoundRobin);
        measure("round_robin, top", busy(&top, 0, servers));
        measure("roundrobin, all but one full", busy(&turns, 1, servers - 1));
        let mut blacklisted = service(&turns, 2_048, servers);
        for server in 1..servers {
            blacklisted.0.at(blacklisted.1).blacklist(ServerId::regular(server), 1_000, NOW_SECONDS);
        }
        measure("roundrobin, all but one blacklisted", blacklisted);
    }
    group.finish();
}

/// Lists of single addresses of which none is the client's. What is measured is one look, without the balancer.
fn access_lists(criterion: &mut Criterion) {
    let v4 = |host: u32| AclMatch::V4 { address: 0x0a00_0000 + 2 * host, mask: u32::MAX };
    let v6 = |host: u32| AclMatch::V6 { address: (0x2001_0db8 << 96) + 2 * u128::from(host), prefix: 128 };
    let mut group = criterion.benchmark_group("acl");
    for length in LIST_LENGTHS {
        let mut measure = |name: &str, what: &dyn Fn(u32) -> AclMatch, base: IpAddr| {
            let acl = list((0..length).map(|host| AclEntry { permit: false, what: what(host) }).collect());
            let nobody = CountrySource::default();
            group.bench_function(BenchmarkId::new(name, length), |bencher| {
                let mut step = 0;
                bencher.iter(|| {
                    step = (step + 7_919) % length;
                    let client = match base {
                        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() + 2 * step).into(),
                        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() + 2 * u128::from(step)).into(),
                    };
                    assert!(acl.permits(ClientAddr::Ip(client), &nobody));
                });
            });
        };
        measure("IPv4", &v4, Ipv4Addr::new(10, 0, 0, 1).into());
        measure("IPv6", &v6, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    }
    group.finish();
}

fn list(entries: Vec<AclEntry>) -> Acl {
    let mut acl = Acl::from(entries);
    acl.arrange().unwrap();
    acl
}

fn parsers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.bench_function("command line", |bencher| {
        let line = "server 17 address 192.0.2.17 port 8080 max 100 hard 120 weight 3";
        bencher.iter(|| parse::parse_line(black_box(line)).expect("a good line"));
    });
    let pen_line = b"203.0.113.7 1795224206 198.51.100.7 GET /index.html HTTP/1.1";
    group.bench_function("pen log line", |bencher| {
        bencher.iter(|| logline::parse_line(black_box(pen_line)).expect("a good line").client);
    });
    let web_line = b"203.0.113.7 - - [21/Nov/2026:06:23:26 +0000] \"GET /index.html HTTP/1.1\" 200 5120 \"-\" \"curl/8\"";
    group.bench_function("web log line", |bencher| {
        bencher.iter(|| black_box(WebLine::parse(black_box(web_line)).expect("a good line")));
    });
    let request =
        b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: curl/8.14\r\nAccept: */*\r\n\r\n";
    for policy in [PolicyKind::UriHash, PolicyKind::UriStatic] {
        group.bench_function(format!("request line for {}", policy.word()), |bencher| {
            bencher.iter(|| {
                assert!(matches!(uri::read(policy, black_box(request), false), Asked::For(_)));
            });
        });
    }
    let client = ClientAddr::Ip(Ipv4Addr::new(203, 0, 113, 7).into());
    group.bench_function("http head", |bencher| {
        let fresh = || (Exchanges::new(client, "http", HttpMode::Add), Vec::with_capacity(512));
        let rewrite = |(mut exchanges, mut out): (Exchanges, Vec<u8>)| {
            exchanges.push(black_box(request), &mut out);
            out
        };
        bencher.iter_batched(fresh, rewrite, BatchSize::SmallInput);
    });
    let answer =
        b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok";
    group.bench_function("http request and answer, followed", |bencher| {
        let mut exchanges = Exchanges::new(client, "http", HttpMode::Replace);
        let mut out = Vec::with_capacity(512);
        bencher.iter(|| {
            out.clear();
            exchanges.push(black_box(request), &mut out);
            exchanges.answer(black_box(answer))
        });
    });
    group.bench_function("proxy header", |bencher| {
        let line = b"PROXY TCP4 203.0.113.7 198.51.100.7 40000 443\r\n";
        bencher.iter(|| proxy_protocol::parse(black_box(line)).expect("a good header"));
    });
    group.finish();
}

criterion_group!(benches, client_table, choice, choice_alone, choice_in_a_busy_farm, access_lists, parsers);
criterion_main!(benches);
