//! docs/compatibility.md is complete and true: every option and every command of Pen 0.34.1 has a row, so has everything
//! new, each says what the command table says, and each names tests that exist.

mod common;

use common::skip;
use pen_proto::commands::{From, Kind, ROWS, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Option letters of Pen 0.34.1: those that its usage text or its parser knows.
const LETTERS: &str = "ABCDEFGHKLNOPQRSTUWXZabcdefhijlmnopqrstuwx";

/// Commands of Pen 0.34.1: those of its manual page, and those that only its source knows.
const COMMANDS: &[&str] = &[
    "abort_on_error",
    "acl",
    "ascii",
    "blacklist",
    "block",
    "client_acl",
    "clients_max",
    "close",
    "conn_max",
    "connection",
    "control",
    "control_acl",
    "debug",
    "delayed_forward",
    "dsr_if",
    "dsr_ip",
    "dummy",
    "epoll",
    "exit",
    "hash",
    "http",
    "idle_timeout",
    "idlers",
    "include",
    "keepalive",
    "kqueue",
    "listen",
    "log",
    "mode",
    "peek",
    "pending_max",
    "pid",
    "poll",
    "prio",
    "recent",
    "roundrobin",
    "select",
    "server",
    "servers",
    "socket",
    "source",
    "ssl_ciphers",
    "ssl_client_renegotiation_interval",
    "ssl_ocsp_response",
    "ssl_option",
    "ssl_sni_path",
    "status",
    "stubborn",
    "tarpit_acl",
    "tcp_fastclose",
    "tcp_nodelay",
    "timeout",
    "tracking",
    "transparent",
    "web_stats",
    "weight",
    "write",
];

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A line of the tables of options and commands.
#[derive(Debug)]
struct Line {
    verdict: String,
    remarks: String,
}

/// The lines of the table under a heading, as cells, up to the next heading.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = read("docs/compatibility.md");
    let section =
        text.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no heading {heading}"));
    let section = section.split("\n#").next().unwrap_or("");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    // A pipe in a cell is written `\|`.
    let cells = |line: &str| -> Vec<String> {
        let plain = line.replace("\\|", "/");
        let plain = plain.trim().trim_start_matches('|').strip_suffix('|').expect("a line ends with a pipe");
        plain.split('|').map(|cell| cell.trim().to_string()).collect()
    };
    rows.map(cells).collect()
}

/// What stands between backticks.
fn codes(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The lines of both tables by option, such as `-b`, or command; a line may be about several.
fn lines() -> BTreeMap<String, Line> {
    let mut lines = BTreeMap::new();
    for cells in ["Options", "Commands"].into_iter().flat_map(table) {
        let [names, verdict, remarks] = &cells[..] else { panic!("want three cells: {cells:?}") };
        for name in codes(names).filter_map(|code| code.split(' ').next()) {
            let line = Line { verdict: verdict.clone(), remarks: remarks.clone() };
            assert!(lines.insert(name.to_string(), line).is_none(), "{name} has two lines");
        }
    }
    lines
}

/// The tests that hold a line, by its name.
fn proofs() -> BTreeMap<String, Vec<String>> {
    let mut proofs = BTreeMap::new();
    for cells in table("What proves it") {
        let [name, tests] = &cells[..] else { panic!("want two cells: {cells:?}") };
        let tests: Vec<String> = codes(tests).map(String::from).collect();
        let twice = proofs.insert(name.trim_matches('`').to_string(), tests);
        assert!(twice.is_none(), "{name} is proved twice");
    }
    proofs
}

/// As it is written on a command line, or in a configuration file.
fn names_of(row: &Row) -> Vec<String> {
    let letter = row.letter.map(|letter| format!("-{letter}"));
    let long = row.long.map(|long| format!("--{long}"));
    letter.into_iter().chain(long).chain(row.is_command().then(|| row.word.to_string())).collect()
}

/// The verdicts that fit what the command table says about a row under this name.
fn fitting_verdicts(row: &Row, name: &str) -> &'static [&'static str] {
    // A command may be new although its option is Pen's: `exit_enabled` is the command behind `-X`.
    let is_pens = LETTERS.chars().any(|letter| name == format!("-{letter}")) || COMMANDS.contains(&name);
    match row.kind {
        Kind::Gone(_) => &["no effect", "accepted"],
        _ if is_pens => &["same", "better", "accepted"],
        _ => &["new"],
    }
}

#[test]
fn the_page_and_the_command_table_agree() {
    let mut lines = lines();
    for row in ROWS {
        for name in names_of(row) {
            let line =
                lines.remove(&name).unwrap_or_else(|| panic!("docs/compatibility.md: no line about {name}"));
            let fitting = fitting_verdicts(row, &name);
            assert!(
                fitting.contains(&line.verdict.as_str()),
                "{name}: {:?}, want one of {fitting:?}",
                line.verdict
            );
        }
    }
    assert!(lines.is_empty(), "in docs/compatibility.md, but not in the command table: {:?}", lines.keys());
}

#[test]
fn nothing_of_pen_is_forgotten() {
    let lines = lines();
    let letters = LETTERS.chars().map(|letter| format!("-{letter}"));
    for name in letters.chain(COMMANDS.iter().map(|word| word.to_string())) {
        assert!(lines.contains_key(&name), "docs/compatibility.md: no line about {name}");
        assert_ne!(lines[&name].verdict, "new", "{name} is Pen's");
    }
    // What the table calls Pen's is Pen's. `exit_enabled`, `-m` and `-q` have commands of our own.
    for row in ROWS.iter().filter(|row| row.from == From::Pen && row.is_command()) {
        assert!(COMMANDS.contains(&row.word), "{} is not Pen's", row.word);
    }
}

#[test]
fn what_differs_says_how() {
    for (name, line) in lines() {
        if ["better", "accepted", "new"].contains(&line.verdict.as_str()) {
            let says_itself = ["--help", "--version", "version"].contains(&name.as_str());
            assert!(!line.remarks.is_empty() || says_itself, "{name}: {}, but how?", line.verdict);
        }
    }
}

/// Names of the tests in the sources, as `file::test`.
fn tests_in(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().into_string().expect("UTF-8");
        if path.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
            tests_in(&path, found);
        } else if let Some(file) = name.strip_suffix(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let after_marks = text.split("#[test]\n").skip(1);
            let names = after_marks.filter_map(|rest| rest.split_once("fn ")?.1.split('(').next());
            found.extend(names.map(|test| format!("{file}::{test}")));
        }
    }
}

#[test]
fn everything_is_proved_by_tests_that_exist() {
    let mut tests = BTreeSet::new();
    tests_in(Path::new(ROOT), &mut tests);
    let this = "compatibility::everything_is_proved_by_tests_that_exist";
    assert!(tests.len() > 300 && tests.contains(this), "{} tests", tests.len());
    let proofs = proofs();
    let lines = lines();
    for (name, line) in &lines {
        let named = proofs.get(name).map(Vec::as_slice).unwrap_or_default();
        assert!(!named.is_empty() || line.verdict == "new", "{name}: no line under \"What proves it\"");
        let missing = named.iter().find(|test| !tests.contains(*test));
        assert_eq!(missing, None, "{name}: there is no such test");
    }
    let idle = proofs.keys().find(|name| !lines.contains_key(*name) && *name != "penctl.cgi");
    assert_eq!(idle, None, "proved, but not in the tables");
}

/// The first words of the items in a page of the original's manual.
fn items(page: &str) -> Option<BTreeSet<String>> {
    let page = format!("/usr/share/man/man1/{page}.1.gz");
    if !Path::new(&page).exists() {
        // Small installations leave manual pages out, so this is no matter of what is installed.
        skip(&format!("{page} is not there"));
        return None;
    }
    let output = Command::new("gzip").args(["-dc", &page]).output().expect("gzip");
    let text =
        String::from_utf8_lossy(&output.stdout).replace("\\fI", "").replace("\\fR", "").replace("\\-", "-");
    let items = text.split("\n.TP\n").skip(1).filter_map(|item| {
        let mut words = item.split_whitespace();
        words.find(|word| *word != "no").map(String::from)
    });
    Some(items.collect())
}

/// So that the lists at the top of this file are not ours alone to know.
#[test]
fn everything_in_the_manual_of_pen_is_known() {
    let Some(options) = items("pen") else { return };
    let letters: BTreeSet<&str> = options.iter().filter_map(|option| option.strip_prefix('-')).collect();
    assert!(letters.len() > 25, "{options:?}");
    for letter in letters {
        assert!(LETTERS.contains(letter), "-{letter}");
    }
    let Some(commands) = items("penctl") else { return };
    let commands: BTreeSet<&str> =
        commands.iter().map(String::as_str).filter(|word| *word != "host:port").collect();
    assert!(commands.len() > 50, "{commands:?}");
    for command in commands {
        assert!(COMMANDS.contains(&command), "{command}");
    }
}

/// Every scenario in which the differential tests expect something else than the original does.
#[test]
fn every_difference_that_is_tested_is_told() {
    let text = read("docs/compatibility.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let told: BTreeSet<&str> = rows.flat_map(codes).collect();
    let tests = read("tests/differential.rs");
    let differences =
        tests.lines().filter_map(|line| line.trim_start().strip_prefix("differs(\"")?.split_once('"'));
    let tested: Vec<&str> = differences.map(|(what, _)| what).collect();
    assert!(tested.len() > 10, "{tested:?}");
    for what in tested {
        assert!(told.contains(what), "docs/compatibility.md: no table row about {what:?}");
    }
}
