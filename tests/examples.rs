//! Every shell block of the README and of the pages for operators is run, on a machine of its own with small stand-ins for
//! the servers (`tests/examples/machine`), or has a remark in front of it: `<!-- not run: WHY -->`, or `<!-- run by FILE -->`
//! for a test of its own. The blocks of a page follow one another; a block without a language that begins with `# NAME` is the
//! file NAME. Each pen that a block starts must lead to a server.

use std::fs;
use std::path::Path;
use std::process::Command;

mod common;
use common::programs::{is_installed, ours};
use common::skip::{skip, skip_outside_ci};
use common::tempdir::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        $(
            #[test]
            fn $test() {
                run_page($page);
            }
        )*
    };
}

pages! {
    readme: "README.md",
    getting_started: "docs/getting-started.md",
    daily_use: "docs/daily-use.md",
    recipes: "docs/recipes.md",
    udp: "docs/udp.md",
    tls: "docs/tls.md",
    client_address: "docs/client-address.md",
    direct_server_return: "docs/direct-server-return.md",
    status_page: "docs/status-page.md",
    troubleshooting: "docs/troubleshooting.md",
    two_machines: "docs/two-machines.md",
}

/// What the examples find in their directory, beside the files that they make.
const FILES: &[(&str, &str)] =
    &[("blocklist.txt", "192.0.2.7\n198.51.100.0/24\n"), ("access_log.host1", ""), ("access_log.host2", "")];

#[derive(Debug, PartialEq, Eq)]
enum Block {
    Run(String),
    File(String, String),
}

/// The blocks of a page that concern us.
fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    let mut before = "";
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: String =
                lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect();
            let at = format!("{page}: {}", block.lines().next().unwrap_or(""));
            blocks.extend(of_block(&at, language, before, block));
        }
        before = line;
    }
    blocks
}

fn of_block(at: &str, language: &str, before: &str, block: String) -> Option<Block> {
    if language.is_empty() {
        let name = block.lines().next()?.strip_prefix("# ")?;
        return (!name.contains(' ')).then(|| Block::File(name.into(), block.clone()));
    }
    if language != "sh" {
        return None;
    }
    let Some(remark) = before.strip_prefix("<!-- ") else { return Some(Block::Run(block)) };
    let remark = remark.strip_suffix(" -->").unwrap_or_else(|| panic!("{at}: {before}"));
    match (remark.strip_prefix("not run: "), remark.strip_prefix("run by ")) {
        (Some(why), None) => assert!(!why.is_empty(), "{at}: why is it not run?"),
        (None, Some(test)) => assert!(Path::new(ROOT).join(test).exists(), "{at}: {test} does not exist"),
        _ => panic!("{at}: want `not run: WHY` or `run by FILE`, got {remark}"),
    }
    None
}

fn run_page(page: &str) {
    let blocks = blocks(page, &fs::read_to_string(Path::new(ROOT).join(page)).unwrap());
    let is_run = blocks.iter().any(|block| matches!(block, Block::Run(_)));
    if !is_run || !is_possible() {
        return;
    }
    for program in ["penctl", "mergelogs", "penlogd", "penlog", "webstats"] {
        ours(program);
    }
    let dir = TempDir::new();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    FILES.iter().for_each(|(name, text)| write(name, text));
    let mut count = 0;
    for block in &blocks {
        match block {
            Block::File(name, text) => write(name, text),
            Block::Run(script) => {
                write(&count.to_string(), script);
                count += 1;
            }
        }
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_pen")).parent().unwrap().display().to_string();
    let path = format!("{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut machine = unshare();
    machine.args(["timeout", "60", "sh"]).arg(Path::new(ROOT).join("tests/examples/machine"));
    let output = machine.arg(dir.path()).env("PATH", path).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{page}:\n{}{}", said(&output.stdout), said(&output.stderr));
}

/// A command in namespaces of its own, whose processes end with it.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command
}

fn is_possible() -> bool {
    for program in ["python3", "ip", "ss", "unshare", "curl", "dig", "logger"] {
        if !is_installed(program) {
            skip_outside_ci(&format!("{program} is not installed"));
            return false;
        }
    }
    let possible = unshare().arg("true").output().is_ok_and(|output| output.status.success());
    if !possible {
        skip("namespaces need root");
    }
    possible
}

#[test]
fn a_block_is_run_or_says_why_not() {
    let page = "## A\n```sh\necho\n```\n<!-- not run: slow -->\n```sh\nsleep\n```\n```\n# a.conf\nlisten 80\n```\n## B\n";
    let of_page = [Block::Run("echo\n".into()), Block::File("a.conf".into(), "# a.conf\nlisten 80\n".into())];
    assert_eq!(blocks("page", page), of_page);
}
