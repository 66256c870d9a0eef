//! Style that a machine can check: layers, clocks, `unsafe`, file sizes, first lines, and words that belong to one
//! machine only. Each rule names the file, the line and what is wanted instead.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Module path (below `src/`) to layer; the longest entry that fits counts. A layer uses itself and those below, and
/// the crates of `core/`, `sys/` and `proto/`, whose manifests say what they may use.
const LAYERS: &[(&str, u8)] = &[
    ("calls", 1),
    ("geoip", 1),
    ("log", 1),
    ("metrics", 2),
    ("net", 1),
    ("conn", 2),
    ("checks", 2),
    ("config", 2),
    ("control", 2),
    ("discovery", 2),
    ("autosave", 2),
    ("dsr", 2),
    ("os", 1),
    ("imports", 2),
    ("news", 2),
    ("reload", 2),
    ("renewal", 2),
    ("hooks", 2),
    ("room", 2),
    ("runtime", 2),
    ("service", 2),
    ("shared", 2),
    ("udp", 2),
    ("worker", 2),
    ("cli", 3),
    ("demo", 3),
    ("glbd", 2),
    ("instance", 3),
    ("octopus", 3),
    ("lib", 3),
    ("main", 3),
    ("opening", 3),
    ("embed", 3),
    ("process", 3),
    ("supervision", 3),
    ("start", 3),
    ("testing", 3),
    ("trial", 3),
];

/// What the crate that decides does not touch. Its files beginning so hold what its tests share.
const UNTOUCHED_BY_CORE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
];
const TEST_FILES_OF_CORE: &[&str] = &["core/src/stats/samples.rs"];

const UNSAFE_HOMES: &[&str] = &["sys/src/", "preload/src/door"];

/// Where a clock may be read or a thread may sleep, with the reason.
const CLOCK_HOMES: &[(&str, &str)] = &[
    ("sys/src/clock.rs", "the clock of pen"),
    ("sys/src/local_time.rs", "the local time that messages begin with"),
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
        let Some(module) = source.module() else { continue };
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
    assert_eq!(named_modules("net::tls", "use crate::log::target;"), ["log::target"]);
    assert_eq!(named_modules("reload", "use crate::{config, net::tls};"), ["config", "net::tls"]);
    assert_eq!(
        named_modules("net::tls", "let x = crate::log::traffic::say(super::super::conn::X);"),
        ["log::traffic::say", "conn::X"]
    );
    assert_eq!(named_modules("net::tls", "use super::front::Front;"), ["net::front::Front"]);
    assert_eq!(layer("net::tls::Tls"), Some(1));
    assert_eq!(layer("network"), None);
}

#[test]
fn what_decides_opens_nothing() {
    let mut findings = String::new();
    let is_core = |source: &&Source| {
        source.path.starts_with("core/src/") && !TEST_FILES_OF_CORE.contains(&source.path.as_str())
    };
    for source in sources().iter().filter(is_core) {
        for (number, line) in source.code() {
            for word in UNTOUCHED_BY_CORE.iter().filter(|word| has_word(line, word)) {
                writeln!(findings, "{}:{number}: {word}: take it as an argument", source.path).unwrap();
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn unsafe_stays_at_home() {
    let mut findings = String::new();
    for source in sources().iter().filter(|source| source.is_rust()) {
        if starts_with_any(&source.path, UNSAFE_HOMES) || source.path == "tests/tidy.rs" {
            continue;
        }
        for (number, line) in source.code().filter(|(_, line)| has_word(line, "unsafe")) {
            writeln!(findings, "{}:{number}: belongs into sys/src: {}", source.path, line.trim()).unwrap();
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
    for (name, manifest) in [
        ("pen", "Cargo.toml"),
        ("pen-checks", "checks/Cargo.toml"),
        ("pen-core", "core/Cargo.toml"),
        ("pen-proto", "proto/Cargo.toml"),
        ("pen-sys", "sys/Cargo.toml"),
    ] {
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

/// What pen says reaches the page of penadmin as text.
#[test]
fn no_page_is_made_of_markup() {
    const WORDS: &[&str] =
        &["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval", "Function"];
    let mut findings = String::new();
    let scripts =
        |source: &&Source| source.path.starts_with("penadmin/page/") && source.path.ends_with(".js");
    for source in sources().iter().filter(scripts) {
        for (number, line) in source.text.lines().enumerate() {
            for word in WORDS.iter().filter(|word| has_word(line, word)) {
                writeln!(findings, "{}:{}: {word}: use dom.js", source.path, number + 1).unwrap();
            }
        }
    }
    assert_none(&findings);
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
