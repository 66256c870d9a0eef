//! GLB's daemon as pen's commands: its command line and its file of variables become lines. Pure.

pub mod shell;

use pen_proto::addr::Host;
use pen_proto::commands::{OneOf, PolicyKind};
use pen_proto::glb::options::{Options, described};
use pen_proto::glb::{Address, Destination, Share};
use pen_proto::words::written;
use std::fmt::Write;

/// Seconds between two checks when nothing else is said.
const INTERVAL_SECONDS: f64 = 1.0;
const FIFO: &str = "/tmp/glbd.fifo";
/// What GLB sets on its sockets: silence, interval and number of probes.
const KEEPALIVE: [(&str, u32); 3] =
    [("keepalive_idle", 10), ("keepalive_interval", 5), ("keepalive_probes", 3)];

/// As GLB has it, with what is different here.
pub const HELP: &str = "\
Usage: glbd [OPTIONS] LISTEN_ADDRESS [DESTINATION_LIST]
       LISTEN_ADDRESS    [HOST:]PORT, IPv6 in brackets; without a host all IPv4 addresses
       DESTINATION_LIST  HOST[:PORT[:WEIGHT]]..., divided by blanks or commas; PORT is that of LISTEN_ADDRESS
                         unless given, WEIGHT is 1
  -h, --help             print this help
  -a, --defer-accept     take a client when it has sent something
  -b, --round            choose in turn, as often as weights say
  -c, --control ADDR     [HOST:]PORT of the control socket; without a host 127.0.0.1
  -d, --daemon           run in the background, as the user daemon when started by root
  -f, --fifo NAME        control FIFO (/tmp/glbd.fifo)
  -i, --interval S       seconds between checks (1); a destination that failed is skipped for S + 1
  -l, --linger           end connections with a reset
  -m, --max_conn N       so many connections at once
  -n, --nodelay          switch TCP_NODELAY off
  -r, --random           choose by lot, as often as weights say
  -s, --source           choose by the client's address
  -t, --threads N        worker threads (1)
  -v, --verbose          say more, and print the table every 5 seconds
  -w, --watchdog SPEC    dummy, or exec:PROGRAM ARGUMENT...
  -x, --extra S          check a chosen destination whose last check is older
  -D, --discover         take further destinations from the watchdog
  -K, --keepalive        switch SO_KEEPALIVE off
  -L, --latency N        let weights follow the time that checks take, over N samples
  -S, --single           use one destination until it fails; implies -T
  -T, --top              use only destinations of the highest weight
  -V, --version          print the version
  -Y                     has no effect: a slow connect holds up nobody
This is pen. Least connections is the policy unless another is chosen.
";

/// What pen is to do in GLB's place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Translation {
    /// `HOST:PORT`.
    pub listen: String,
    /// `HOST:PORT`, and the weight as written.
    pub servers: Vec<(String, String)>,
    /// Commands of pen.
    pub lines: Vec<String>,
    /// What the operator should know.
    pub notes: Vec<String>,
    /// The program of the watchdog with its arguments, as a shell would read it.
    pub program: Option<String>,
}

/// Translates a command line.
///
/// # Errors
/// It says no address, or something that cannot be done.
pub fn translate(options: &Options) -> Result<Translation, String> {
    let listen = options.listen.as_ref().ok_or("Missing required argument: LISTEN_ADDR.")?;
    let mut translation = Translation { listen: address(listen, "0.0.0.0"), ..Translation::default() };
    for destination in &options.destinations {
        translation.add_server(destination, listen.port)?;
    }
    let lines = &mut translation.lines;
    lines.push("roundrobin".to_owned());
    lines.push(format!("policy {}", policy(options).word()));
    if options.top {
        lines.push("top".to_owned());
    }
    let interval_seconds = options.interval_seconds.unwrap_or(INTERVAL_SECONDS);
    lines.push(format!("blacklist {}", interval_seconds as u64 + 1));
    if options.delay {
        lines.push("no tcp_nodelay".to_owned());
    }
    if !options.no_keepalive {
        lines.push("keepalive".to_owned());
    }
    lines.extend(KEEPALIVE.map(|(word, value)| format!("{word} {value}")));
    lines.push(format!("threads {}", options.threads.unwrap_or(1).max(1)));
    if let Some(max) = options.connections_max.filter(|max| *max > 0) {
        lines.push(format!("conn_max {max}"));
    }
    lines.push(format!("control_fifo {}", written(options.fifo.as_deref().unwrap_or(FIFO))));
    if let Some(control) = &options.control {
        lines.push(format!("control_glb {}", address(control, "127.0.0.1")));
    }
    if options.defer_accept {
        lines.push("defer_accept".to_owned());
    }
    if options.reset_on_close {
        lines.extend(["tcp_fastclose both", "reset_on_close"].map(str::to_owned));
    }
    if options.synchronous {
        translation.notes.push("-Y has no effect: a slow connect holds up nobody".to_owned());
    }
    translation.watch(options, interval_seconds)?;
    Ok(translation)
}

fn policy(options: &Options) -> PolicyKind {
    options.policy.unwrap_or(PolicyKind::LeastConn)
}

impl Translation {
    fn add_server(&mut self, destination: &Destination, own_port: u16) -> Result<(), String> {
        let Share::Weight(weight) = destination.share else {
            return Err(format!(
                "Invalid destination spec: {}: want a weight of 0 or more",
                destination.host
            ));
        };
        let at = format!("{}:{}", bracketed(&destination.host), destination.port.unwrap_or(own_port));
        match self.servers.iter_mut().find(|(known, _)| *known == at) {
            Some((_, known)) => *known = weight.to_string(),
            None => self.servers.push((at, weight.to_string())),
        }
        Ok(())
    }

    fn watch(&mut self, options: &Options, interval_seconds: f64) -> Result<(), String> {
        let Some(watchdog) = &options.watchdog else {
            let idle = [(options.discover, "-D"), (options.extra_seconds.is_some(), "-x")];
            let idle = idle.into_iter().chain([(options.latency.is_some_and(|samples| samples > 0), "-L")]);
            let notes = idle.filter(|(given, _)| *given);
            self.notes.extend(notes.map(|(_, letter)| format!("{letter} has no effect without -w")));
            return Ok(());
        };
        let (kind, program) = watchdog.split_once(':').unwrap_or((watchdog, ""));
        match (kind, program) {
            ("dummy", _) => self.lines.push("check dummy".to_owned()),
            ("exec", "") => return Err("the exec watchdog wants a program: -w exec:PROGRAM".to_owned()),
            ("exec", program) => self.program = Some(program.to_owned()),
            (kind, _) => return Err(format!("'{kind}' watchdog not implemented.")),
        }
        self.lines.push(format!("check_interval {}", in_seconds(interval_seconds)));
        if options.discover {
            self.lines.push("discover".to_owned());
        }
        if let Some(samples) = options.latency.filter(|samples| *samples > 0) {
            self.lines.push(format!("latency {samples}"));
        }
        if let Some(seconds) = options.extra_seconds.filter(|seconds| *seconds > 0.0) {
            self.lines.push(format!("check_extra {}", in_seconds(seconds)));
        }
        Ok(())
    }
}

/// As a command has it, with at most three decimals.
fn in_seconds(seconds: f64) -> String {
    let text = format!("{:.3}", seconds.max(0.001));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn address(address: &Address, host: &str) -> String {
    match &address.host {
        Some(host) => format!("{}:{}", bracketed(host), address.port),
        None => format!("{host}:{}", address.port),
    }
}

fn bracketed(host: &Host) -> String {
    let text = host.to_string();
    if text.contains(':') { format!("[{text}]") } else { text }
}

/// What GLB prints when it starts in the foreground.
pub fn banner(options: &Options, translation: &Translation, connections_max: u64) -> String {
    let on = |is_on: bool| if is_on { "ON" } else { "OFF" };
    let yes = |is_so: bool| if is_so { "YES" } else { "NO" };
    let control = options.control.as_ref().map(|control| address(control, "127.0.0.1"));
    let mut text = format!(
        "{}\nIncoming address: {}, control FIFO: {}\nControl  address:  {}\n",
        version(),
        translation.listen,
        options.fifo.as_deref().unwrap_or(FIFO),
        control.as_deref().unwrap_or("none")
    );
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "Number of threads: {}, max conn: {connections_max}, nodelay: {}, keepalive: {}, defer accept: {}, \
         linger: {}, daemon: {}, lat.count: {}, policy: '{}', top: {}, verbose: {}",
        options.threads.unwrap_or(1).max(1),
        on(!options.delay),
        on(!options.no_keepalive),
        on(options.defer_accept),
        on(options.reset_on_close),
        yes(options.daemon),
        options.latency.unwrap_or(0),
        described(policy(options)),
        yes(options.top),
        yes(options.verbose)
    );
    let _ = writeln!(text, "Destinations: {}", translation.servers.len());
    for (number, (at, weight)) in translation.servers.iter().enumerate() {
        let (host, port) = at.rsplit_once(':').unwrap_or((at, ""));
        let weight: f64 = weight.parse().unwrap_or(1.0);
        let _ = writeln!(text, "{number:4}: {host:>15}:{port:<5}, w: {weight:.3}");
    }
    text
}

/// Of the daemon that pen stands in for.
pub fn version() -> String {
    format!("glb v1.0.2 (pen {})", env!("CARGO_PKG_VERSION"))
}

/// Reads a file of shell variables, as GLB's start script does, into the words of a command line.
///
/// # Errors
/// The line that assigns nothing, or that there is no address.
pub fn words_of_variables(text: &str) -> Result<Vec<String>, String> {
    let mut values: Vec<(String, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = |reason: String| format!("{}: {reason}", number + 1);
        let (name, value) = line.split_once('=').ok_or_else(|| at("want NAME=VALUE".to_owned()))?;
        let known = |name: &str| values.iter().rev().find(|(known, _)| known == name).map(|(_, v)| v.clone());
        let words = shell::split(value, &known).map_err(at)?;
        values.push((name.to_owned(), words.into_iter().next().unwrap_or_default()));
    }
    let value = |name: &str| {
        let found = values.iter().rev().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    let mut words = Vec::new();
    for (name, option) in [
        ("CONTROL_ADDR", "--control"),
        ("CONTROL_FIFO", "--fifo"),
        ("THREADS", "--threads"),
        ("MAX_CONN", "--max_conn"),
    ] {
        words.extend(value(name).into_iter().flat_map(|value| [option.to_owned(), value]));
    }
    let nothing = |_: &str| None;
    words.extend(shell::split(&value("OTHER_OPTIONS").unwrap_or_default(), &nothing)?);
    words.push(value("LISTEN_ADDR").ok_or("want LISTEN_ADDR=[HOST:]PORT")?);
    words.extend(value("DEFAULT_TARGETS").unwrap_or_default().split_whitespace().map(str::to_owned));
    Ok(words)
}

/// The lines of a configuration file that does what this says.
pub fn configuration(translation: &Translation) -> String {
    let mut text = format!("listen {}\n", translation.listen);
    for line in &translation.lines {
        text += &format!("{line}\n");
    }
    for (number, (at, weight)) in translation.servers.iter().enumerate() {
        let (host, port) = at.rsplit_once(':').unwrap_or((at, ""));
        text += &format!("server {number} address {host} port {port} weight {weight}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> Result<Translation, String> {
        translate(&Options::parse(&line.split_whitespace().collect::<Vec<_>>())?)
    }

    #[test]
    fn a_command_line_becomes_commands() {
        let translation = translated(
            "-S -n -K -a -l -t 4 -m 500 -i 9.5 -c 4000 -f /run/f [::1]:3306 10.0.0.1 [::2]:3307:0.5,10.0.0.1::3 -Y -D",
        )
        .unwrap();
        assert_eq!(translation.listen, "[::1]:3306");
        let servers = [("10.0.0.1:3306", "3"), ("[::2]:3307", "0.5")];
        assert_eq!(translation.servers, servers.map(|(at, weight)| (at.to_owned(), weight.to_owned())));
        let lines = translation.lines.join("; ");
        assert_eq!(
            lines,
            "roundrobin; policy single; top; blacklist 10; no tcp_nodelay; keepalive_idle 10; keepalive_interval 5; \
             keepalive_probes 3; threads 4; conn_max 500; control_fifo /run/f; control_glb 127.0.0.1:4000; \
             defer_accept; tcp_fastclose both; reset_on_close"
        );
        let notes = ["-Y has no effect: a slow connect holds up nobody", "-D has no effect without -w"];
        assert_eq!(translation.notes, notes);
    }

    #[test]
    fn the_watchdog_is_a_check() {
        let lines = |line: &str| translated(line).map(|translation| translation.lines.join("; "));
        assert!(lines("-w dummy 1").unwrap().ends_with("; check dummy; check_interval 1"));
        let watched = translated("-w exec:mysql.sh -D -L 3 -x 0.5 -i 0.25 1").unwrap();
        assert_eq!(watched.program.as_deref(), Some("mysql.sh"));
        let expected = "; check_interval 0.25; discover; latency 3; check_extra 0.5";
        assert!(watched.lines.join("; ").ends_with(expected), "{:?}", watched.lines);
        assert_eq!(lines("-w foo 1").unwrap_err(), "'foo' watchdog not implemented.");
        assert_eq!(lines("-w exec: 1").unwrap_err(), "the exec watchdog wants a program: -w exec:PROGRAM");
    }

    #[test]
    fn the_banner_is_glbs() {
        let words = ["127.0.0.1:17100", "-c", "17090", "127.0.0.1:17101", "127.0.0.1:17102"];
        let options = Options::parse(&words).unwrap();
        let banner = banner(&options, &translate(&options).unwrap(), 9981);
        let (_, rest) = banner.split_once('\n').unwrap();
        assert_eq!(
            rest,
            "Incoming address: 127.0.0.1:17100, control FIFO: /tmp/glbd.fifo\n\
             Control  address:  127.0.0.1:17090\n\
             Number of threads: 1, max conn: 9981, nodelay: ON, keepalive: ON, defer accept: OFF, linger: OFF, \
             daemon: NO, lat.count: 0, policy: 'least connected', top: NO, verbose: NO\n\
             Destinations: 2\n   \
             0:       127.0.0.1:17101, w: 1.000\n   \
             1:       127.0.0.1:17102, w: 1.000\n"
        );
    }

    #[test]
    fn variables_become_a_command_line() {
        let file = "# GLB\nLISTEN_ADDR=\"8010\"\nCONTROL_ADDR=\"127.0.0.1:8011\"\n\nTHREADS=2\nMAX_CONN=\n\
                    HOST='10.0.0.1'\nDEFAULT_TARGETS=\"$HOST:80 10.0.0.2:80:2\" # two\nOTHER_OPTIONS=\"--round -w 'exec:a b'\"\n";
        let words = words_of_variables(file).unwrap();
        assert_eq!(
            words,
            [
                "--control",
                "127.0.0.1:8011",
                "--threads",
                "2",
                "--round",
                "-w",
                "exec:a b",
                "8010",
                "10.0.0.1:80",
                "10.0.0.2:80:2"
            ]
        );
        assert_eq!(words_of_variables("THREADS=1"), Err("want LISTEN_ADDR=[HOST:]PORT".to_owned()));
        assert_eq!(words_of_variables("\nnonsense"), Err("2: want NAME=VALUE".to_owned()));
        let refused = words_of_variables("LISTEN_ADDR=$(hostname):80").unwrap_err();
        assert!(refused.starts_with("1: ") && refused.contains("\"(\""), "{refused}");
        let translation = translated("8010 10.0.0.1:80:2 [::1]:81").unwrap();
        let configuration = configuration(&translation);
        assert!(configuration.starts_with("listen 0.0.0.0:8010\nroundrobin\npolicy least_conn\n"));
        assert!(configuration.ends_with(
            "server 0 address 10.0.0.1 port 80 weight 2\nserver 1 address [::1] port 81 weight 1\n"
        ));
    }
}
