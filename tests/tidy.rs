//! Style that a machine can check: layers, clocks, `unsafe`, file sizes, first lines, and words that belong to one
//! machine only. Each rule names the file, the line and what is wanted instead.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Module path (below `src/`) to layer; the longest entry that fits counts. A layer uses itself and those below.
const LAYERS: &[(&str, u8)] = &[
    ("acl", 1),
    ("balance", 1),
    ("chunked", 1),
    ("dsr", 3),
    ("dsr::director", 1),
    ("dsr::filter", 1),
    ("dsr::flows", 1),
    ("dsr::fragments", 1),
    ("dsr::frame", 1),
    ("dsr::link", 1),
    ("dsr::neighbours", 1),
    ("dsr::reply", 1),
    ("dsr::track", 1),
    ("half_close", 1),
    ("http", 1),
    ("proxy_protocol", 1),
    ("settings", 1),
    ("slab", 1),
    ("stats", 1),
    ("timers", 1),
    ("tls", 1),
    ("geoip", 2),
    ("log", 2),
    ("net", 2),
    ("sys", 2),
    ("conn", 3),
    ("config", 3),
    ("control", 3),
    ("outage", 3),
    ("reload", 3),
    ("runtime", 3),
    ("turn", 3),
    ("udp", 3),
    ("udp::sessions", 1),
    ("worker", 3),
    ("cli", 4),
    ("demo", 4),
    ("instance", 4),
    ("lib", 4),
    ("main", 4),
    ("process", 4),
    ("start", 4),
];

/// A helper of unit tests, which every layer may use.
const TEST_MODULES: &[&str] = &["test_dir"];

const UNSAFE_HOMES: &[&str] = &["src/sys/", "src/net/poller.rs"];

/// Where a clock may be read or a thread may sleep, with the reason.
const CLOCK_HOMES: &[(&str, &str)] = &[
    ("src/sys/clock.rs", "the clock of pen"),
    ("src/log/local_time.rs", "the local time that messages begin with"),
    ("mergelogs/src/progress.rs", "a program of its own; paces what it says on a terminal"),
    ("tests/common/wait.rs", "the waiting of the tests"),
];

const LINES_MAX: usize = 600;

/// Words that mean something on one machine or in one workplace only. Put together here, so that this file may
/// contain them.
const FOREIGN_WORDS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/home", "/"),
    concat!("/Us", "ers/"),
    concat!("crates", ".io"),
    concat!("docker", ".io"),
    concat!("deb.debian", ".org"),
    concat!("py", "pi.org"),
    concat!("npm", "js"),
];

/// Files that name registries by nature.
const MAY_NAME_REGISTRIES: &[&str] = &["Cargo.lock", "fuzz/Cargo.lock"];

struct Source {
    /// Below the top of the project, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// The lines with their numbers, without remarks. A string with `//` in it is cut as well, which hides nothing
    /// that these rules look for.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// `net::poller` for `src/net/poller.rs`; `None` outside `src/`.
    fn module(&self) -> Option<String> {
        let path = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        Some(path.trim_end_matches("/mod").replace('/', "::"))
    }
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), &mut sources);
    assert!(sources.iter().any(|source| source.path == "tests/tidy.rs"), "looked in the wrong place");
    sources
}

fn collect(directory: &Path, sources: &mut Vec<Source>) {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy();
        if name == ".git" || name.starts_with("target") {
            continue;
        }
        if path.is_dir() {
            collect(&path, sources);
        } else if let Ok(text) = fs::read_to_string(&path) {
            // What is no text has nothing to say here.
            let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
            sources.push(Source { path: path.to_string_lossy().into_owned(), text });
        }
    }
}

/// Fails with all findings at once.
fn assert_none(findings: &str) {
    assert!(findings.is_empty(), "\n{findings}");
}

fn starts_with_any(path: &str, homes: &[&str]) -> bool {
    homes.iter().any(|home| path.starts_with(home))
}

/// Whether the word stands there by itself and not as a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let is_inner = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        !is_inner(line[..at].chars().next_back()) && !is_inner(line[at + word.len()..].chars().next())
    })
}

fn layer(module: &str) -> Option<u8> {
    let fits = |name: &str| module == name || module.starts_with(&format!("{name}::"));
    LAYERS.iter().filter(|(name, _)| fits(name)).max_by_key(|(name, _)| name.len()).map(|(_, layer)| *layer)
}

/// Modules that a line of `module` names by `crate::` or `super::`.
fn named_modules(module: &str, line: &str) -> Vec<String> {
    let mut names: Vec<String> = line.split("crate::").skip(1).flat_map(listed).collect();
    let depth = line.matches("super::").count();
    let parents: Vec<&str> = module.split("::").collect();
    if depth > 0 && depth <= parents.len() {
        let base = parents[..parents.len() - depth].join("::");
        let tail = line.rsplit("super::").next().unwrap_or("");
        let join = |name: String| if base.is_empty() { name } else { format!("{base}::{name}") };
        names.extend(listed(tail).into_iter().map(join));
    }
    names
}

/// `a::b` for `a::b;`, and `a`, `b::c` for `{a, b::c}`.
fn listed(text: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let path = |text: &str| text.chars().take_while(|c| is_path(*c)).collect::<String>();
    match text.strip_prefix('{') {
        None => vec![path(text)],
        Some(list) => list.split(',').map(|item| path(item.trim())).filter(|name| !name.is_empty()).collect(),
    }
}

#[test]
fn every_module_has_a_layer_and_uses_no_higher_one() {
    let mut findings = String::new();
    for source in sources().iter().filter(|source| source.is_rust()) {
        let Some(module) = source.module().filter(|module| !TEST_MODULES.contains(&module.as_str())) else {
            continue;
        };
        let path = &source.path;
        let Some(own) = layer(&module) else {
            writeln!(findings, "{path}: no layer: add it to LAYERS (design: layers)").unwrap();
            continue;
        };
        for (number, line) in source.code() {
            for name in named_modules(&module, line) {
                if let Some(used) = layer(&name).filter(|used| *used > own) {
                    writeln!(findings, "{path}:{number}: layer {own} uses {name} of layer {used}").unwrap();
                }
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn named_modules_are_found() {
    assert_eq!(named_modules("net::listen", "use crate::sys::socket;"), ["sys::socket"]);
    assert_eq!(named_modules("reload", "use crate::{config, net::listen};"), ["config", "net::listen"]);
    assert_eq!(
        named_modules("net::listen", "let x = crate::log::diag::say(super::super::conn::X);"),
        ["log::diag::say", "conn::X"]
    );
    assert_eq!(named_modules("net::listen", "use super::poller::Poller;"), ["net::poller::Poller"]);
    assert_eq!(layer("net::poller::Poller"), Some(2));
    assert_eq!(layer("network"), None);
}

#[test]
fn unsafe_stays_at_home() {
    let mut findings = String::new();
    for source in sources().iter().filter(|source| source.is_rust()) {
        if starts_with_any(&source.path, UNSAFE_HOMES) || source.path == "tests/tidy.rs" {
            continue;
        }
        for (number, line) in source.code().filter(|(_, line)| has_word(line, "unsafe")) {
            writeln!(findings, "{}:{number}: belongs into src/sys: {}", source.path, line.trim()).unwrap();
        }
    }
    assert_none(&findings);
}

#[test]
fn nobody_sleeps_or_looks_at_the_clock() {
    const WORDS: &[&str] = &["thread::sleep", "Instant::now", "SystemTime::now", "Utc::now", "Local::now"];
    let mut findings = String::new();
    for source in sources().iter().filter(|source| source.is_rust()) {
        if CLOCK_HOMES.iter().any(|(path, _)| *path == source.path) || source.path == "tests/tidy.rs" {
            continue;
        }
        for (number, line) in source.code() {
            for word in WORDS.iter().filter(|word| has_word(line, word)) {
                writeln!(
                    findings,
                    "{}:{number}: {word}: take the time as an argument, wait by eventually",
                    source.path
                )
                .unwrap();
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn files_are_short() {
    let mut findings = String::new();
    for source in sources().iter().filter(|source| source.is_rust()) {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            writeln!(findings, "{}: {lines} lines, want at most {LINES_MAX}", source.path).unwrap();
        }
    }
    assert_none(&findings);
}

#[test]
fn files_begin_by_saying_what_they_are() {
    let mut findings = String::new();
    for source in sources().iter().filter(|source| source.is_rust()) {
        // A fuzz target begins with the attribute that takes its `main` away.
        let first = source.text.lines().find(|line| !line.starts_with("#!["));
        if !first.is_some_and(|line| line.starts_with("//! ")) {
            writeln!(findings, "{}:1: want //! and what it owns, must not do, who calls it", source.path)
                .unwrap();
        }
        if source.text.contains(concat!("//! (in ", "work)")) {
            writeln!(findings, "{}: in work", source.path).unwrap();
        }
    }
    assert_none(&findings);
}

#[test]
fn nothing_belongs_to_one_machine_only() {
    let mut findings = String::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            let registry = starts_with_any(&source.path, MAY_NAME_REGISTRIES);
            for word in FOREIGN_WORDS.iter().filter(|word| line.contains(*word) && !registry) {
                writeln!(findings, "{}:{}: {word}", source.path, number + 1).unwrap();
            }
        }
    }
    assert_none(&findings);
}

/// The fuzz targets have a lock file of their own, which cargo would complete without a word.
#[test]
fn the_fuzz_targets_lock_what_the_crates_depend_on() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let lock = read("fuzz/Cargo.lock");
    for (name, manifest) in [("pen", "Cargo.toml"), ("pen-proto", "proto/Cargo.toml")] {
        let manifest = read(manifest);
        let section =
            manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]\n")).unwrap();
        let words = section
            .lines()
            .filter(|line| !line.starts_with('#') && line.contains('='))
            .map(|line| line.split(['.', ' ']).next().unwrap());
        let wanted: BTreeSet<&str> = words.collect();
        let entry = lock
            .split("[[package]]\n")
            .find(|entry| entry.starts_with(&format!("name = \"{name}\"\n")))
            .unwrap();
        let locked: BTreeSet<&str> =
            entry.lines().filter_map(|line| line.strip_prefix(" \"")?.strip_suffix("\",")).collect();
        assert_eq!(
            locked, wanted,
            "{name}: cargo check --manifest-path fuzz/Cargo.toml, and commit fuzz/Cargo.lock"
        );
    }
}

#[test]
fn no_merge_was_left_half_done() {
    let mut findings = String::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if ["<<<<<<< ", ">>>>>>> "].iter().any(|marker| line.starts_with(marker)) {
                writeln!(findings, "{}:{}: {line}", source.path, number + 1).unwrap();
            }
        }
    }
    assert_none(&findings);
}
