//! pen beside other balancers on this machine: processor time for a connection, a round trip, a GiB, a TLS handshake and a
//! datagram, memory, system calls, start-up, and what single settings cost. Prints tables in Markdown; docs/performance.md says what they mean.
//!
//! `cargo bench --bench compare`, or `benches/figures` for all of it. Programs that are not installed are left out. With
//! root it works in a network namespace of its own, otherwise on the loopback of the machine.

mod bare;
mod builds;
mod datagrams;
mod load;
mod measure;
mod peers;
mod process;
mod reader;
mod report;
mod runs;
mod table;
mod wire;
mod workloads;

use measure::Bench;
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use peers::Peer;
use pen_sys::local_time;
use report::Report;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use table::Results;
use workloads::{Others, WORKLOADS, Workload, measure, programs};

const USAGE: &str = "\
usage: cargo bench --bench compare -- [OPTION]... [WORKLOAD]...
  --rounds N          rounds, in which the programs take turns (default 3)
  --seconds S         measured time of each run (default 1)
  --idle N            idle connections (default 10000, or what the descriptor limit allows)
  --peers A,B         of the others only those whose names begin like this
  --like NAME=PROGRAM one more program with pen's command line; may be repeated
  --remark TEXT       is added to the conditions that are told with the tables
  --write FILE        puts the tables between the marks for figures in this file; only with all workloads
  --only A,B          these workloads; the same as their names as words
workloads: connections, one, trips, down, up, idle, two, tls-full, tls-resumed, tls-stream, tls-idle, udp-known, udp-new,
udp-up, udp-down, calls, start, build, options, http, clones-connections, clones-up, clones-down, clones-trips (default: all); tls, udp
and clones stand for all that begin like this";

struct Options {
    rounds: usize,
    time: Duration,
    idle_clients: u64,
    others: Others,
    remark: String,
    write: Option<PathBuf>,
    workloads: Vec<&'static Workload>,
}

impl Options {
    fn add_workloads(&mut self, name: &str) -> Result<(), String> {
        let named = Workload::named(name);
        if named.is_empty() {
            return Err(format!("unknown: {name}\n{USAGE}"));
        }
        self.workloads.extend(named);
        // In the order of the list, and each once.
        let chosen = std::mem::take(&mut self.workloads);
        let is_chosen = |workload: &&Workload| chosen.iter().any(|chosen| chosen.name == workload.name);
        self.workloads = WORKLOADS.iter().filter(is_chosen).collect();
        Ok(())
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        rounds: 3,
        time: Duration::from_secs(1),
        idle_clients: 10_000,
        others: Others::default(),
        remark: String::new(),
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
            "--peers" => options.others.only = Some(value()?.split(',').map(str::to_owned).collect()),
            "--like" => {
                let text = value()?;
                let (name, program) = text.split_once('=').ok_or("--like: want NAME=PROGRAM")?;
                options.others.like.push(Peer::like_pen(name, Path::new(program)));
            }
            "--only" => {
                for name in value()?.split(',') {
                    options.add_workloads(name)?;
                }
            }
            "--remark" => options.remark = value()?,
            "--write" => options.write = Some(value()?.into()),
            name => options.add_workloads(name)?,
        }
    }
    if options.workloads.is_empty() {
        options.workloads = WORKLOADS.iter().collect();
    }
    if options.write.is_some() && options.workloads.len() < WORKLOADS.len() {
        return Err("--write: want all workloads, so that a document has the figures of one run".into());
    }
    Ok(options)
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
    // The host may prefer one that paces what is sent, with a timer for each piece, even on loopback: bbr.
    let _ = fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "reno");
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

/// What came of it, and what pen could not do.
fn run(options: &Options) -> io::Result<(Report, Vec<String>)> {
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
        certificate: wire::make_certificate(&directory).map_err(|error| error.to_string()),
    };
    let mut results = Results::default();
    let mut failures = Vec::new();
    for round in 0..options.rounds {
        let due = |workload: &&&Workload| round == 0 || !workload.is_done_once();
        for workload in options.workloads.iter().filter(due) {
            eprintln!("round {} of {}: {}", round + 1, options.rounds, workload.name);
            let mut programs = programs(workload, &options.others);
            let first = round % programs.len();
            programs.rotate_left(first);
            for (peer, extra) in &programs {
                match measure(&bench, workload, peer, extra) {
                    Ok(values) => results.add(workload.name, &peer.name, values),
                    Err(error) => {
                        let text = format!("{}, {}: {error}", workload.name, peer.name);
                        eprintln!("{text}");
                        if peer.is_ours() {
                            failures.push(text);
                        }
                        let unknown = vec![f64::NAN; workload.columns.len()];
                        results.add(workload.name, &peer.name, unknown);
                    }
                }
            }
        }
    }
    fs::remove_dir_all(&directory)?;
    Ok((report(&results, options, &bench, own_network), failures))
}

fn report(results: &Results, options: &Options, bench: &Bench<'_>, own_network: bool) -> Report {
    let line = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let kernel = line("/proc/sys/kernel/osrelease");
    let cpu = line("/proc/cpuinfo");
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let conditions = format!(
        "{}; {}, {} cores, Linux {}; {} rounds of {} s; {}; {} idle connections{}{}.",
        local_time::now().format("%F"),
        cpu.unwrap_or("processor unknown"),
        bench.all_cores.len(),
        kernel.trim().split('-').next().unwrap_or_default(),
        options.rounds,
        options.time.as_secs_f64(),
        if own_network { "a network namespace of its own" } else { "the machine's own loopback" },
        bench.idle_clients,
        if options.remark.is_empty() { "" } else { "; " },
        options.remark,
    );
    let names = |workload: &'static Workload| {
        programs(workload, &options.others).into_iter().map(|(peer, _)| peer.name)
    };
    let (settings, compared): (Vec<&'static Workload>, Vec<&'static Workload>) =
        options.workloads.iter().partition(|workload| workload.is_of_settings());
    // Most programs take part in the streams.
    let mut all: Vec<String> = Vec::new();
    for name in compared.iter().flat_map(|workload| names(workload)) {
        let near = all.iter().rposition(|known| name.starts_with(known.as_str()));
        match all.contains(&name) {
            true => {}
            false => all.insert(near.map_or(all.len(), |index| index + 1), name),
        }
    }
    let programs = if compared.is_empty() { String::new() } else { results.side_by_side(&compared, &all) };
    let table = |workload: &&'static Workload| {
        (workload.title, results.table(workload, &names(workload).collect::<Vec<_>>()))
    };
    Report { conditions, programs, settings: settings.iter().map(table).collect() }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == bare::WORD) {
        return match bare::serve(&words[1..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bare loop: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if !words.iter().any(|word| word == "--bench") {
        return ExitCode::SUCCESS; // cargo test: there is nothing to test
    }
    let outcome = options(words.into_iter()).and_then(|options| {
        let (report, failures) = run(&options).map_err(|error| error.to_string())?;
        println!("{report}");
        let written = options.write.as_ref().map(|file| report.write_to(file));
        written.transpose().map_err(|error| error.to_string())?;
        match failures.is_empty() {
            true => Ok(()),
            false => Err(format!("pen has failed:\n{}", failures.join("\n"))),
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}
