//! The documents say what the program does: lists written from the command table, command lines that parse, links that
//! lead somewhere, limits that are those of the code, manual pages without mistakes.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` rewrites the parts between markers.

use pen::testing::check_command_line as check_pen;
use pen_proto::commands::{Kind, ROWS, Row, row_spelled};
use pen_proto::help;
use pen_proto::parse;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "common/skip.rs"]
mod skip;
use skip::skip_outside_ci;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn path(name: &str) -> PathBuf {
    Path::new(ROOT).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn names_in(directory: &str, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(path(directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a directory entry").file_name().into_string().expect("UTF-8"))
        .filter(|name| name.ends_with(extension))
        .map(|name| if directory == "." { name } else { format!("{directory}/{name}") })
        .collect();
    names.sort();
    names
}

fn markdown() -> Vec<String> {
    let names = [names_in(".", ".md"), names_in("docs", ".md")].concat();
    assert!(names.len() > 5, "{names:?}");
    names
}

/// A part of a file that is written from the command table, between two lines that stay.
struct Generated {
    file: &'static str,
    begin: &'static str,
    end: &'static str,
    text: String,
}

fn generated() -> Vec<Generated> {
    let in_man = |file, begin, text| Generated { file, begin, end: ".\\\" end", text };
    vec![
        Generated {
            file: "README.md",
            begin: "<!-- options",
            end: "<!-- end of options",
            text: option_table(),
        },
        in_man("docs/man/pen.1", ".\\\" options", help::mdoc_options()),
        in_man("docs/man/pen.1", ".\\\" commands", help::mdoc_commands()),
        in_man("docs/man/penctl.1", ".\\\" commands", help::mdoc_commands()),
    ]
}

impl Generated {
    /// The lines before, between and after, the markers not between.
    fn split<'a>(&self, text: &'a str) -> (&'a str, &'a str, &'a str) {
        let missing = |marker| panic!("{}: no line begins with {marker:?}", self.file);
        let line_start = |marker: &str, text: &str| {
            let mut found = text.match_indices(marker).map(|(at, _)| at);
            found.find(|&at| at == 0 || text.as_bytes()[at - 1] == b'\n')
        };
        let begin = line_start(self.begin, text).unwrap_or_else(|| missing(self.begin));
        let begin = begin + text[begin..].find('\n').expect("a line end") + 1;
        let end = begin + line_start(self.end, &text[begin..]).unwrap_or_else(|| missing(self.end));
        (&text[..begin], &text[begin..end], &text[end..])
    }
}

#[test]
fn generated_parts_are_those_of_the_table() {
    for part in generated() {
        let text = read(part.file);
        let (before, between, after) = part.split(&text);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            let text = format!("{before}{}{after}", part.text);
            fs::write(path(part.file), text).unwrap_or_else(|error| panic!("{}: {error}", part.file));
        } else {
            let hint = "is out of date: run the test with UPDATE_DOCS=1";
            assert!(between == part.text, "{}: the part after {:?} {hint}", part.file, part.begin);
        }
    }
}

fn option_table() -> String {
    let mut text = String::from("| Option | Default | Command | Meaning |\n| --- | --- | --- | --- |\n");
    for row in ROWS.iter().filter(|row| row.is_option() && is_offered(row)) {
        let argument = row.option_arg().map(|arg| format!(" {}", arg.name)).unwrap_or_default();
        let command = if row.is_command() { format!("`{}`", row.word) } else { String::new() };
        let default = match row.kind {
            Kind::Number { default, .. } => default.to_string(),
            _ => String::new(),
        };
        let option = spelling(row);
        text.push_str(&format!("| `{option}{argument}` | {default} | {command} | {} |\n", row.summary));
    }
    text.replace("|HOST", "\\|HOST")
}

fn is_offered(row: &Row) -> bool {
    !matches!(row.kind, Kind::Gone(_))
}

/// As on the command line.
fn spelling(row: &Row) -> String {
    match (row.letter, row.long) {
        (Some(letter), _) => format!("-{letter}"),
        (None, Some(long)) => format!("--{long}"),
        (None, None) => row.word.to_string(),
    }
}

/// The options in a text: `-x` and `--long` that begin a word.
fn options_in(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| c.is_whitespace() || "`|[],".contains(c))
        .filter(|word| {
            let name = word.trim_start_matches('-');
            let is_option = word.len() == name.len() + if name.len() == 1 { 1 } else { 2 };
            is_option && name.starts_with(|c: char| c.is_ascii_alphabetic())
        })
        .map(String::from)
}

#[test]
fn the_readme_has_the_options_that_help_lists() {
    let usage = help::usage();
    let offered = usage.lines().filter(|line| line.starts_with("  -"));
    let listed: BTreeSet<String> = offered.filter_map(|line| options_in(line).next()).collect();
    let parts = generated();
    let readme = read(parts[0].file);
    let table = parts[0].split(&readme).1;
    let first_cells = table.lines().skip(2).filter_map(|line| line.split(" | ").next());
    let in_readme: BTreeSet<String> = first_cells.flat_map(options_in).collect();
    assert!(in_readme.len() > 20, "{in_readme:?}");
    assert_eq!(in_readme, listed);
}

#[test]
fn the_manual_page_has_every_option_and_every_command() {
    let page = read("docs/man/pen.1").replace("\\-", "-").replace("\\&", "");
    for row in ROWS {
        let option = match (row.letter, row.long) {
            (Some(letter), _) => Some(format!(".It Fl {letter}")),
            (None, Some(long)) => Some(format!(".It Fl Fl {long}")),
            (None, None) => None,
        };
        let command = row.is_command().then(|| format!("Cm {}", row.word));
        for item in option.into_iter().chain(command) {
            let is_there =
                page.lines().any(|line| line.ends_with(&item) || line.contains(&format!("{item} ")));
            assert!(is_there, "docs/man/pen.1: no item {item}");
        }
    }
}

/// Whether a program that only checks is there. In CI its absence is an error, elsewhere it is said.
fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        skip_outside_ci(&format!("{program} is not installed"));
    }
    found
}

#[test]
fn manual_pages_have_no_mistakes() {
    let pages = [names_in("docs/man", ".1"), names_in("docs/man", ".7")].concat();
    assert!(pages.len() >= 2, "{pages:?}");
    if !is_installed("mandoc") {
        return;
    }
    for page in pages {
        let mut lint = Command::new("mandoc");
        let output = lint.args(["-T", "lint", "-W", "warning", &page]).current_dir(ROOT).output();
        let output = output.expect("mandoc runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
}

/// The targets of a file's links.
fn links(text: &str) -> Vec<&str> {
    let after_bracket = text.split("](").skip(1);
    after_bracket.filter_map(|rest| rest.split_once(')').map(|(target, _)| target)).collect()
}

/// How a heading is named in a link, as the usual renderers do it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().trim().to_lowercase().replace(' ', "-")
}

#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    for name in markdown() {
        let text = read(&name);
        let directory = path(&name).parent().expect("a directory").to_path_buf();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path(&name) } else { directory.join(file) };
            assert!(target.exists(), "{name}: {link} does not exist");
            if !fragment.is_empty() {
                let target =
                    fs::read_to_string(&target).unwrap_or_else(|error| panic!("{name}: {link}: {error}"));
                let mut headings = target.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line.trim_start_matches('#')) == fragment),
                    "{name}: {link}"
                );
            }
            count += 1;
        }
    }
    assert!(count > 20, "{count} links");
}

/// Lines outside of blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Parts of a row between `|` that is not escaped.
fn cells(row: &str) -> usize {
    row.replace("\\|", "").matches('|').count()
}

/// A `|` in a cell, in code too, would begin another one.
#[test]
fn rows_have_as_many_cells_as_their_table() {
    let mut count = 0;
    for name in markdown() {
        let text = read(&name);
        let mut columns = None;
        for line in prose(&text) {
            columns = line.starts_with('|').then(|| *columns.get_or_insert(cells(line)));
            let Some(columns) = columns else { continue };
            assert_eq!(cells(line), columns, "{name}: {line}");
            count += 1;
        }
    }
    assert!(count > 200, "{count} rows");
}

#[test]
fn spelling_is_right() {
    if !is_installed("codespell") {
        return;
    }
    let mut codespell = Command::new("codespell");
    // mdoc's macro, a word of ip(8), and what Rust calls its packages.
    codespell.args(["--ignore-words-list", "nd,iif,crate"]).args(markdown());
    codespell.args([
        "docs/man",
        "proto/src/commands",
        "proto/src/help",
        "penctl/src",
        "webstats/src",
        "packaging",
    ]);
    let output = codespell.current_dir(ROOT).output().expect("codespell runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_index_has_every_page() {
    let index = read("docs/README.md");
    let linked: BTreeSet<&str> = links(&index).into_iter().collect();
    for page in names_in("docs", ".md") {
        let page = page.trim_start_matches("docs/");
        assert!(page == "README.md" || linked.contains(page), "docs/README.md: no link to {page}");
    }
}

/// The lines of the `sh` blocks in a file, continued lines joined.
fn shell_lines(text: &str) -> Vec<String> {
    let blocks =
        text.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block);
    blocks
        .flat_map(|block| block.replace("\\\n", " ").lines().map(String::from).collect::<Vec<_>>())
        .collect()
}

/// The words of a simple command, quotes removed, up to a comment, a redirection or the next command.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (None, ';' | '>' | '&' | '|') => break,
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// `penctl [-e COMMAND]... [ADDRESS|NAME [COMMAND]]`, `penctl --list`, `penctl watch [ADDRESS|NAME]`.
fn check_penctl(arguments: &[String]) -> Result<(), String> {
    let mut arguments = arguments.iter();
    let mut commands = Vec::new();
    let address = loop {
        match arguments.next().map(String::as_str) {
            Some("-e") => commands.extend(arguments.next().cloned()),
            Some("--list" | "watch") => {
                let rest: Vec<&String> = arguments.collect();
                return if rest.len() <= 1 { Ok(()) } else { Err(format!("too many words: {rest:?}")) };
            }
            Some(address) => break address,
            None => break ":1",
        }
    };
    // A name of a pen would be allowed; in a document it is an address that was forgotten.
    if pen_proto::commands::row(address).is_some() || address.starts_with('-') {
        return Err(format!("{address} is no address"));
    }
    commands.push(arguments.map(String::as_str).collect::<Vec<_>>().join(" "));
    commands.iter().try_for_each(|command| parse::line(command).map(drop).map_err(|error| error.to_string()))
}

#[test]
fn command_lines_in_the_documents_are_understood() {
    let mut checked = 0;
    for name in markdown() {
        for line in shell_lines(&read(&name)) {
            let words = words(&line);
            let result = match words.first().map(String::as_str) {
                Some("pen") => check_pen(&words[1..]),
                Some("penctl") => check_penctl(&words[1..]),
                _ => continue,
            };
            assert_eq!(result, Ok(()), "{name}: {line}");
            checked += 1;
        }
    }
    assert!(checked > 15, "{checked} command lines");
}

/// Code of the form `penctl CTL COMMAND`, with letters for numbers.
#[test]
fn remedies_are_understood() {
    let text = read("docs/troubleshooting.md");
    let remedies = text.split('`').filter_map(|code| code.strip_prefix("penctl CTL "));
    let remedies: Vec<String> = remedies
        .map(|command| command.replace(" N", " 1").replace(" M", " 1").replace("PORT", "80"))
        .collect();
    assert!(remedies.len() > 5, "{remedies:?}");
    for remedy in remedies {
        let parsed = parse::line(&remedy).map(drop).map_err(|error| error.to_string());
        assert_eq!(parsed, Ok(()), "docs/troubleshooting.md: {remedy}");
    }
}

/// `pen_...` in a document is in the sources of the figures.
#[test]
fn metrics_that_are_named_exist() {
    let sources = [names_in("core/src/stats", ".rs"), names_in("core/src/stats/prometheus", ".rs")].concat();
    let sources: String =
        sources.iter().chain(&names_in("webstats/src", ".rs")).map(|name| read(name)).collect();
    let mut count = 0;
    for page in ["troubleshooting", "performance", "tls", "client-address"] {
        let text = read(&format!("docs/{page}.md"));
        for code in text.split('`').filter(|code| code.starts_with("pen_")) {
            let name = code.split('{').next().unwrap_or(code);
            assert!(sources.contains(&format!("\"{name}\"")), "docs/{page}.md: {name}");
            count += 1;
        }
    }
    assert!(count > 15, "{count} names");
}

#[test]
fn nonsense_is_not_understood() {
    for line in ["pen -b x 80 host", "pen 80x host", "pen 80 host:99999", "pen --nosuch", "pen -D 80 host"] {
        assert!(check_pen(&words(line)[1..]).is_err(), "{line}");
    }
    for line in ["penctl /run/x servrs", "penctl servers", "penctl -e 'server x' /run/x"] {
        assert!(check_penctl(&words(line)[1..]).is_err(), "{line}");
    }
    assert_eq!(words("pen -O 'a b' \"\" x # y"), ["pen", "-O", "a b", "", "x"]);
}

#[test]
fn unit_files_start_pen_as_pen_understands_it() {
    let mut checked = 0;
    for name in ["packaging/pen.service", "docs/systemd.md"] {
        for line in read(name).lines() {
            let Some(command) = line.strip_prefix("ExecStart=").filter(|command| !command.is_empty()) else {
                continue;
            };
            let words = words(command);
            assert!(words[0].ends_with("/pen"), "{name}: {line}");
            assert_eq!(check_pen(&words[1..]), Ok(()), "{name}: {line}");
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked} lines");
}

/// Links of the form `[`NAME = VALUE`](FILE)` in the table of limits.
#[test]
fn limits_are_those_of_the_code() {
    let text = read("docs/architecture.md");
    let mut checked = 0;
    for part in text.split("[`").skip(1) {
        let Some((claim, rest)) = part.split_once("`](") else { continue };
        let (Some((name, value)), Some((file, _))) = (claim.split_once(" = "), rest.split_once(')')) else {
            continue;
        };
        let code = read(&format!("docs/{file}"));
        let is_it = |line: &&str| {
            let line = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(super) ");
            line.starts_with(&format!("const {name}: "))
        };
        let line = code.lines().find(is_it).unwrap_or_else(|| panic!("{file} has no constant {name}"));
        assert!(line.ends_with(&format!(" = {value};")), "{claim}, but {file}: {line}");
        checked += 1;
    }
    assert!(checked > 20, "{checked} limits");
}

/// The crates that a manifest depends on, our own aside.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_list = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_list = line.ends_with("dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| is_list) {
            let name = name.trim().trim_end_matches(".workspace");
            names.extend((!name.starts_with("pen")).then(|| name.to_string()));
        }
    }
    names
}

#[test]
fn every_dependency_is_explained() {
    let text = read("docs/dependencies.md");
    let explained: BTreeSet<String> =
        text.lines().filter_map(|line| line.strip_prefix("### ")).map(String::from).collect();
    let top = read("Cargo.toml");
    let members = top.lines().find(|line| line.starts_with("members")).expect("members");
    let members = members.split('"').skip(1).step_by(2);
    let used: BTreeSet<String> =
        members.flat_map(|member| dependencies(&read(&format!("{member}/Cargo.toml")))).collect();
    assert!(used.len() > 8, "{used:?}");
    assert_eq!(used, explained);
}

#[test]
fn the_changelog_has_this_version() {
    let heading = format!("## [{}]", env!("CARGO_PKG_VERSION"));
    assert!(read("CHANGELOG.md").lines().any(|line| line.starts_with(&heading)), "no {heading}");
}

/// The README's first command is an alias of cargo's, which leaves out what takes longest to build. Among the programs
/// of the workspace, `cargo run` starts the one that a single manifest names.
#[test]
fn the_first_command_of_the_readme_starts_pen() {
    assert_eq!(shell_lines(&read("README.md")).first().map(String::as_str), Some("cargo demo"));
    let aliases = read(".cargo/config.toml");
    assert!(
        aliases.contains(r#"demo = ["run", "--profile", "demo", "--no-default-features", "--", "--demo"]"#),
        "{aliases}"
    );
    let manifest = read("Cargo.toml");
    let package = manifest.split("\n[package]").nth(1).and_then(|rest| rest.split("\n[").next());
    let named = package.expect("a package").lines().any(|line| line == "default-run = \"pen\"");
    assert!(named, "Cargo.toml: want default-run = \"pen\" under [package]");
}

/// Every configuration of the page for those who switch is taken by pen as it stands.
#[test]
fn configurations_for_those_who_switch_are_valid() {
    let text = read("docs/switching.md");
    let examples: Vec<(&str, &str)> = text
        .split("```pen ")
        .skip(1)
        .map(|rest| rest.split("```").next().and_then(|block| block.split_once('\n')).expect("a block"))
        .collect();
    assert!(examples.len() > 5, "{examples:?}");
    for (listen, commands) in examples {
        let mut words = vec!["--check".to_string()];
        words.extend(commands.lines().flat_map(|line| ["-O".to_string(), line.to_string()]));
        words.push(listen.to_string());
        let checked = Command::new(env!("CARGO_BIN_EXE_pen")).args(&words).output().expect("pen");
        assert!(checked.status.success() && checked.stderr.is_empty(), "{commands}{checked:?}");
    }
}

/// What its table of words says is pen's is in the table of commands.
#[test]
fn words_for_those_who_switch_exist() {
    let text = read("docs/switching.md");
    let ours =
        text.lines().filter_map(|line| line.strip_prefix("| ")?.rsplit_once("| ")?.1.strip_suffix(" |"));
    let words: BTreeSet<&str> = ours
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter_map(|code| code.split_whitespace().next())
        .filter(|word| !["penctl", "webstats", "kill", "+", "/readyz"].contains(word))
        .collect();
    assert!(words.len() > 60, "{words:?}");
    for word in words {
        assert!(row_spelled(word).is_some(), "docs/switching.md: {word}");
    }
}
