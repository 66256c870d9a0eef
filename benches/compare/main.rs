//! pen beside other balancers on this machine: processor time for a connection, a round trip and a GiB, memory, system
//! calls, start-up, and what single settings cost. Prints tables in Markdown; docs/performance.md says what they mean.
//!
//! `cargo bench --bench compare`, or `benches/figures` for all of it. Programs that are not installed are left out. With
//! root it works in a network namespace of its own, otherwise on the loopback of the machine.

mod load;
mod measure;
mod peers;
mod process;
mod table;

use load::Task;
use measure::Bench;
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use peers::Peer;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use table::Results;

const USAGE: &str = "\
usage: cargo bench --bench compare -- [OPTION]... [WORKLOAD]...
  --rounds N          rounds, in which the programs take turns (default 3)
  --seconds S         measured time of each run (default 1)
  --idle N            idle connections (default 10000, or what the descriptor limit allows)
  --peers A,B         of the others only those whose names begin like this
  --like NAME=PROGRAM one more program with pen's command line; may be repeated
  --write FILE        puts the tables between the marks for figures in this file
workloads: connections, one, trips, down, up, idle, two, calls, start, options (default: all)";

/// What is between these marks is replaced by `--write`.
const MARKS: [&str; 2] = ["<!-- figures -->\n", "<!-- end of figures -->"];

struct Workload {
    name: &'static str,
    title: &'static str,
    columns: &'static [&'static str],
}

const WORKLOADS: &[Workload] = &[
    Workload {
        name: "connections",
        title: "Short connections, 64 at a time",
        columns: &["CPU µs per connection", "connections per second"],
    },
    Workload {
        name: "one",
        title: "Short connections, one at a time",
        columns: &["CPU µs per connection", "connections per second"],
    },
    Workload {
        name: "trips",
        title: "Round trips on 100 connections",
        columns: &["CPU µs per round trip", "round trips per second"],
    },
    Workload {
        name: "down",
        title: "Streams to 4 clients",
        columns: &["CPU seconds per GiB", "Gbit per second"],
    },
    Workload {
        name: "up",
        title: "Streams from 4 clients",
        columns: &["CPU seconds per GiB", "Gbit per second"],
    },
    Workload {
        name: "idle",
        title: "Idle connections",
        columns: &[
            "bytes per connection, all memory",
            "bytes that each added",
            "CPU µs per round trip without them",
            "CPU µs beside them",
        ],
    },
    Workload {
        name: "two",
        title: "Short connections, 64 at a time, two workers",
        columns: &["CPU µs per connection", "connections per second"],
    },
    Workload {
        name: "calls",
        title: "System calls",
        columns: &["per connection, one at a time", "per connection, 32 at a time", "per round trip"],
    },
    Workload {
        name: "start",
        title: "Start and size",
        columns: &[
            "ms to start",
            "ms with 10,000 lines of configuration",
            "KiB of memory, empty",
            "KiB with the 10,000 lines",
            "KiB of program file",
        ],
    },
    Workload {
        name: "options",
        title: "What is switched on: short connections, 64 at a time",
        columns: &["CPU µs per connection", "connections per second"],
    },
];

struct Options {
    rounds: usize,
    time: Duration,
    idle_clients: u64,
    only: Option<Vec<String>>,
    like: Vec<Peer>,
    write: Option<PathBuf>,
    workloads: Vec<&'static Workload>,
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        rounds: 3,
        time: Duration::from_secs(1),
        idle_clients: 10_000,
        only: None,
        like: Vec::new(),
        write: None,
        workloads: Vec::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word}: a value is missing"));
        let wrong = |value: &str| format!("{word}: {value}: want a number");
        match word.as_str() {
            "--bench" => {} // added by cargo
            "--rounds" => options.rounds = value().and_then(|text| text.parse().map_err(|_| wrong(&text)))?,
            "--seconds" => {
                let seconds = value().and_then(|text| text.parse().map_err(|_| wrong(&text)))?;
                options.time = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
            }
            "--idle" => {
                options.idle_clients = value().and_then(|text| text.parse().map_err(|_| wrong(&text)))?
            }
            "--peers" => options.only = Some(value()?.split(',').map(str::to_owned).collect()),
            "--like" => {
                let text = value()?;
                let (name, program) = text.split_once('=').ok_or("--like: want NAME=PROGRAM")?;
                options.like.push(Peer::like_pen(name, Path::new(program)));
            }
            "--write" => options.write = Some(value()?.into()),
            name => options.workloads.push(
                WORKLOADS
                    .iter()
                    .find(|workload| workload.name == name)
                    .ok_or(format!("unknown: {name}\n{USAGE}"))?,
            ),
        }
    }
    if options.workloads.is_empty() {
        options.workloads = WORKLOADS.iter().collect();
    }
    Ok(options)
}

/// The programs that take part in a workload, and what is added to the configuration of each.
fn programs(workload: &Workload, options: &Options) -> Vec<(Peer, String)> {
    let denied =
        |count: u32| (0..count).map(|host| format!("acl 1 deny 10.0.{}.{}\n", host / 256, host % 256));
    let list: String = denied(1_000).chain(["acl 1 deny 10.9.9.9\nclient_acl 1\n".to_owned()]).collect();
    if workload.name == "options" {
        let variants = [
            ("pen", "", &[][..], 2),
            ("pen with a log", "log traffic.log\n", &[], 2),
            ("pen with a JSON log", "log traffic.log\nlog_format json\n", &[], 2),
            ("pen -H", "", &["-H"], 2),
            ("pen with 1,000 entries in an access list", &list, &[], 2),
            ("pen with 1,000 servers", "", &["-r"], 1_000),
            ("pen with 1,000 servers, by weight", "", &["-r", "-W"], 1_000),
        ];
        let variant = |(name, extra, options, servers): (&str, &str, &[&str], usize)| {
            (Peer::ours(name).with_options(options).with_servers(servers), extra.to_owned())
        };
        return variants.into_iter().map(variant).collect();
    }
    let wanted = |peer: &Peer| {
        let named =
            options.only.as_ref().is_none_or(|names| names.iter().any(|name| peer.name.starts_with(name)));
        named && (!peer.splices() || matches!(workload.name, "down" | "up"))
    };
    let like = options.like.iter().cloned();
    let others = Peer::installed().into_iter().filter(wanted);
    let mut all: Vec<Peer> = [Peer::ours("pen")].into_iter().chain(like).chain(others).collect();
    if workload.name == "two" {
        // The original has no workers; what has pen's command line otherwise is taken for single-threaded too.
        all.retain(|peer| !peer.is_pen() || peer.name == "pen");
        all = all.into_iter().map(|peer| peer.with_workers(2)).collect();
    }
    all.into_iter().map(|peer| (peer, String::new())).collect()
}

fn measure(bench: &Bench<'_>, workload: &Workload, peer: &Peer, extra: &str) -> io::Result<Vec<f64>> {
    match workload.name {
        "connections" | "two" | "options" => bench.connections(peer, 64, extra),
        "one" => bench.connections(peer, 1, extra),
        "trips" => bench.round_trips(peer),
        "down" => bench.stream(peer, Task::Take),
        "up" => bench.stream(peer, Task::Give),
        "idle" => bench.idle(peer),
        "calls" => bench.system_calls(peer),
        _ => bench.start(peer),
    }
}

/// A network of our own, in which nobody else listens and closed connections leave nothing behind.
fn own_network() -> bool {
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        return false;
    }
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    // Without these it works as well, with more noise.
    let _ = fs::write("/proc/sys/net/ipv4/ip_local_port_range", "16000 64999");
    let _ = fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", "0");
    up.is_ok_and(|status| status.success())
}

/// As many descriptors as we may have, which the programs inherit.
fn raise_descriptor_limit() -> nix::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
}

/// The cores that this process may use: one for the programs, another for the load, if there are two.
fn divide_cores() -> nix::Result<(Vec<usize>, Vec<usize>)> {
    let all = sched_getaffinity(Pid::from_raw(0))?;
    let all: Vec<usize> = (0..CpuSet::count()).filter(|core| all.is_set(*core) == Ok(true)).collect();
    if let [first, second, ..] = all[..] {
        let mut own = CpuSet::new();
        own.set(second)?;
        sched_setaffinity(Pid::from_raw(0), &own)?;
        return Ok((vec![first], vec![first, second]));
    }
    Ok((all.clone(), all))
}

fn run(options: &Options) -> io::Result<String> {
    let own_network = own_network();
    raise_descriptor_limit()?;
    let (cores, all_cores) = divide_cores()?;
    let directory = std::env::temp_dir().join(format!("pen-compare-{}", std::process::id()));
    fs::create_dir(&directory)?;
    let bench = Bench {
        directory: &directory,
        cores,
        all_cores,
        time: options.time,
        idle_clients: options.idle_clients.min(peers::connections_possible() - 200),
        sources: if own_network { 1 } else { 200 },
    };
    let mut results = Results::default();
    for round in 0..options.rounds {
        for workload in &options.workloads {
            eprintln!("round {} of {}: {}", round + 1, options.rounds, workload.name);
            let mut programs = programs(workload, options);
            let first = round % programs.len();
            programs.rotate_left(first);
            for (peer, extra) in &programs {
                match measure(&bench, workload, peer, extra) {
                    Ok(values) => results.add(workload.name, &peer.name, values),
                    Err(error) => eprintln!("{}, {}: {error}", workload.name, peer.name),
                }
            }
        }
    }
    fs::remove_dir_all(&directory)?;
    Ok(report(&results, options, &bench, own_network))
}

fn report(results: &Results, options: &Options, bench: &Bench<'_>, own_network: bool) -> String {
    let line = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpu = line("/proc/cpuinfo");
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let mut text = format!(
        "{}, Linux {}; {} rounds of {} s; {}; {} idle connections.\n",
        cpu.unwrap_or("processor unknown"),
        line("/proc/sys/kernel/osrelease").trim(),
        options.rounds,
        options.time.as_secs_f64(),
        if own_network { "a network namespace of its own" } else { "the machine's own loopback" },
        bench.idle_clients,
    );
    for workload in &options.workloads {
        let names: Vec<String> = programs(workload, options).into_iter().map(|(peer, _)| peer.name).collect();
        let table = results.table(workload.name, &names, workload.columns);
        text += &format!("\n### {}\n\n{table}", workload.title);
    }
    text
}

/// # Errors
/// When the file cannot be read or written, or has no marks.
fn write_between_marks(file: &Path, report: &str) -> io::Result<()> {
    let old = fs::read_to_string(file)?;
    let parts =
        old.split_once(MARKS[0]).and_then(|(before, rest)| Some((before, rest.split_once(MARKS[1])?.1)));
    let (before, after) =
        parts.ok_or_else(|| io::Error::other(format!("{}: has no marks", file.display())))?;
    fs::write(file, format!("{before}{}\n{report}\n{}{after}", MARKS[0], MARKS[1]))
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if !words.iter().any(|word| word == "--bench") {
        return ExitCode::SUCCESS; // cargo test: there is nothing to test
    }
    let outcome = options(words.into_iter()).and_then(|options| {
        let report = run(&options).map_err(|error| error.to_string())?;
        println!("{report}");
        let written = options.write.as_ref().map(|file| write_between_marks(file, &report));
        written.transpose().map(|_| ()).map_err(|error| error.to_string())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}
