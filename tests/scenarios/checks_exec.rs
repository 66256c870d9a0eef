//! Programs that check servers: what they say, how they fail, and that none is left behind.

use super::checks::{first_is, states};
use crate::common::backend::Backend;
use crate::common::pen::{Pen, Start};
use crate::common::ports::free_port;
use crate::common::process::cpu_percent;
use crate::common::programs::write_script;
use crate::common::wait::{eventually, timed};
use nix::sys::signal::Signal;
use pen_proto::status::ServerState;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Answers with the file `say`, when it is asked.
const OBEDIENT: &str = "while read word && [ \"$word\" = poll ]; do cat \"$(dirname \"$0\")/say\"; done\n";

/// Each of two servers in turn; the first is checked by this script.
fn with_script(servers: &[Backend; 2], script: &str) -> Start {
    let start = Pen::before(servers).options("-r").command("check_interval 0.05");
    let path = self::script(&start, script);
    say(path.parent().unwrap(), "3\n");
    start.command(format!("server 0 check exec {} one \"two words\"", path.display()))
}

/// The script as a program in the directory of a pen.
pub fn script(start: &Start, script: &str) -> PathBuf {
    let path = start.path("check.sh");
    write_script(&path, &format!("#!/bin/sh\n{script}"));
    path
}

/// Whole, however it is read meanwhile.
fn say(directory: &Path, answer: &str) {
    fs::write(directory.join("say~"), answer).unwrap();
    fs::rename(directory.join("say~"), directory.join("say")).unwrap();
}

fn two() -> [Backend; 2] {
    ["A", "B"].map(Backend::named)
}

/// How many processes name the directory of this pen in their command line, pen itself left out.
fn programs(pen: &Pen) -> usize {
    let name = pen.path("check.sh").display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let command = |entry: fs::DirEntry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok().filter(|pid| *pid != pen.pid())?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        String::from_utf8_lossy(&command).contains(&name).then_some(())
    };
    processes.filter_map(command).count()
}

#[test]
fn a_program_says_how_its_server_is() {
    let servers = two();
    let pen = with_script(&servers, OBEDIENT).start();
    let directory = pen.path("");
    first_is(&pen, ServerState::Up, "");
    for (answer, state, reason) in [
        ("2\n", ServerState::Avoid, "to be avoided (state 2)"),
        ("1\n", ServerState::Down, "not ready (state 1)"),
        (" 03\r\n", ServerState::Up, ""),
        ("0\n", ServerState::Down, "does not reach it (state 0)"),
        ("3 10.0.0.1:3306,,AUTO\n", ServerState::Up, ""),
        ("what?\n", ServerState::Down, "the program answers \"what?\", want 0..3"),
        ("3\n3\n", ServerState::Up, ""),
        ("\n", ServerState::Down, "does not reach it (state 0)"),
    ] {
        say(&directory, answer);
        first_is(&pen, state, reason);
    }
    assert_eq!(programs(&pen), 1, "the same one all the time");
}

#[test]
fn one_to_be_avoided_is_used_where_no_other_is_left() {
    let servers = two();
    let pen = with_script(&servers, OBEDIENT).command("server 1 check connect").start();
    say(&pen.path(""), "2\n");
    first_is(&pen, ServerState::Avoid, "");
    assert_eq!(pen.asks(3), "BBB");
    servers[1].pause();
    eventually("the other to be down", || states(&pen), |states| states[1].0 == ServerState::Down);
    assert_eq!(pen.asks(2), "AA");
}

#[test]
fn a_word_does_not_undo_a_failed_connect() {
    let servers = two();
    let pen = with_script(&servers, OBEDIENT).options("-b 3600").start();
    first_is(&pen, ServerState::Up, "");
    servers[0].pause();
    assert_eq!(pen.asks(2), "BB");
    first_is(&pen, ServerState::Down, "connect failed");
    say(&pen.path(""), "2\n");
    let count = |pen: &Pen| pen.stderr().matches("is to be avoided:").count();
    eventually("a word", || count(&pen), |count| *count == 1);
    say(&pen.path(""), "3\n");
    eventually("another", || pen.stderr().matches("is up").count(), |count| *count == 1);
    assert_eq!(states(&pen)[0], (ServerState::Down, "connect failed".into()));
    assert_eq!(pen.asks(2), "BB");
}

#[test]
fn a_program_gets_its_words_and_no_more_than_its_environment() {
    let servers = two();
    let script =
        "{ for word; do echo \"<$word>\"; done; env; } > \"$0.seen~\"; mv \"$0.seen~\" \"$0.seen\"\n";
    let pen = with_script(&servers, &format!("{script}{OBEDIENT}"))
        .command("exec_environment PEN_TEST_SEEN NOT_THERE")
        .through("env PEN_TEST_SEEN=yes PEN_TEST_HIDDEN=no")
        .start();
    first_is(&pen, ServerState::Up, "");
    let seen = pen.text("check.sh.seen");
    assert!(seen.starts_with(&format!("<{}>\n<one>\n<two words>\n", servers[0])), "{seen}");
    assert!(seen.contains("\nPEN_TEST_SEEN=yes\n") && seen.contains("\nPATH="), "{seen}");
    assert!(!seen.contains("HIDDEN"), "{seen}");
    pen.control("exec_environment");
    pen.control("exec_environment PEN_TEST_HIDDEN");
    eventually("a new program", || pen.text("check.sh.seen"), |seen| seen.contains("\nPEN_TEST_HIDDEN=no\n"));
}

#[test]
fn a_program_that_fails_takes_its_server_down_and_is_started_again() {
    let servers = two();
    for (script, reason) in [
        ("sleep 1000\n", "the program has not answered in time"),
        ("read word; echo broken >&2; exit 7\n", "the program ended with status 7: broken"),
        ("kill -9 $$\n", "was ended by signal 9"),
        ("read word; yes 3\n", "without end"),
        ("read word; tr '\\0' x </dev/zero\n", "without end"),
        ("read word; yes >&2\n", "without end: y"),
        ("exec >&-; sleep 1000\n", "has closed its output"),
    ] {
        let script = format!("echo >> \"$0.starts\"; [ -e \"$0.good\" ] || {{ {script} }}\n{OBEDIENT}");
        let script = script.replace("\n }", "; }").replace("; ; }", "; }");
        let pen = with_script(&servers, &script).command("check_timeout 1").start();
        first_is(&pen, ServerState::Down, reason);
        assert_eq!(pen.asks(2), "BB", "{script}");
        fs::write(pen.path("check.sh.good"), "").unwrap();
        first_is(&pen, ServerState::Up, "");
        let told = |word: &str| pen.stderr().lines().filter(|line| line.contains(word)).count();
        assert_eq!((told("is down:"), told("is up")), (1, 1), "{}", pen.stderr());
        assert!(pen.text("check.sh.starts").len() <= 6, "with growing pauses");
    }
}

#[test]
fn a_program_that_closes_its_standard_error_costs_nothing() {
    let servers = two();
    let pen = with_script(&servers, &format!("exec 2>&-\n{OBEDIENT}")).command("check_interval 3600").start();
    first_is(&pen, ServerState::Up, "");
    // It need not be asked for an hour.
    assert!(cpu_percent(pen.pid()) < 20, "pen spins");
}

#[test]
fn a_program_that_is_missing_is_told_once_and_used_when_it_comes() {
    let servers = two();
    let start = with_script(&servers, OBEDIENT);
    fs::rename(start.path("check.sh"), start.path("later.sh")).unwrap();
    let pen = start.start();
    first_is(&pen, ServerState::Down, "check.sh: no such file or directory");
    assert_eq!(pen.asks(2), "BB");
    fs::rename(pen.path("later.sh"), pen.path("check.sh")).unwrap();
    first_is(&pen, ServerState::Up, "");
    assert_eq!(pen.stderr().matches("is down:").count(), 1, "{}", pen.stderr());
}

#[test]
fn no_program_is_left_when_its_server_goes_or_pen_does() {
    let servers = two();
    // Neither `quit`, nor the end of its input, nor TERM ends it; and it has a child.
    let stubborn = "trap '' TERM\nsleep 1000 &\nread word; echo 3; while :; do sleep 1000; done\n";
    let mut pen = with_script(&servers, stubborn).command("check_timeout 3600").start();
    first_is(&pen, ServerState::Up, "");
    assert!(programs(&pen) > 0);
    // The process groups of all that run.
    let groups = || {
        let group = |stat: &str| {
            let mut fields = stat.rsplit(") ").next()?.split(' ');
            let is_running = !matches!(fields.next()?, "Z" | "X");
            fields.nth(1)?.parse::<i32>().ok().filter(|_| is_running)
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let stats = processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        stats.filter_map(|stat| group(&stat)).collect::<Vec<_>>()
    };
    let leader = leader(&pen);
    assert!(groups().contains(&leader));
    pen.control("server 0 check none");
    eventually(
        "nobody to be left",
        || (programs(&pen), groups().contains(&leader)),
        |left| *left == (0, false),
    );
    pen.control(&format!("server 0 check exec {}", pen.path("check.sh").display()));
    first_is(&pen, ServerState::Up, "");
    let leader = self::leader(&pen);
    pen.signal(Signal::SIGTERM);
    let (code, took) = timed(|| pen.wait());
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    // They were killed; the kernel takes its time.
    eventually(
        "nobody to be left",
        || (programs(&pen), groups().contains(&leader)),
        |left| *left == (0, false),
    );
}

/// The number of the program, which leads its process group.
fn leader(pen: &Pen) -> i32 {
    let name = pen.path("check.sh").display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let pid = |entry: fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        (pid != pen.pid() as i32 && String::from_utf8_lossy(&command).contains(&name)).then_some(pid)
    };
    processes.filter_map(pid).min().expect("a program")
}

#[test]
fn programs_are_not_taken_from_the_network_unless_that_was_allowed() {
    let servers = two();
    let port = free_port();
    let control = format!("127.0.0.1:{port}");
    let ask = |line: &str| {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(&control).unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    let pen = Pen::before(&servers).control_at(&control).start();
    for line in
        ["check exec /bin/true", "server 0 check exec /bin/true", "server add 127.0.0.1:9 check exec x"]
    {
        assert!(ask(line).contains("check exec: want it from a file"), "{line}: {}", ask(line));
    }
    assert_eq!(
        (ask("check"), ask("check connect"), ask("check")),
        (String::new(), String::new(), "connect\n".into())
    );
    assert!(ask("exec_enabled").contains("only at start"));
    drop(pen);
    let pen = Pen::before(&servers).control_at(&control).command("exec_enabled").start();
    assert_eq!(ask("check exec /no/such"), "");
    eventually("its end", || ask("servers json"), |json| json.contains("cannot start /no/such"));
    drop(pen);
}
