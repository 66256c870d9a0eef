//! Chromium without a window: what it makes of a page, as a document and as a picture.

pub mod show;

use crate::common::programs::command;
use crate::common::tempdir::TempDir;
use crate::programs::{found, succeed};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub width_px: u32,
    pub height_px: u32,
    pub dark: bool,
}

impl Look {
    pub const LIGHT: Look = Look { width_px: 1200, height_px: 1330, dark: false };
    pub const DARK: Look = Look { dark: true, ..Look::LIGHT };
    /// As narrow as Chromium's window can be, which is a large telephone.
    pub const NARROW: Look = Look { width_px: 500, height_px: 3000, dark: false };
}

/// What was seen.
pub struct Seen {
    look: Look,
    /// After parsing, written as HTML again.
    pub dom: String,
    picture: PathBuf,
    /// What the browser had to say about the page.
    console: String,
    _dir: TempDir,
}

fn chromium(dir: &TempDir) -> Command {
    // A browser that hangs must not hang the tests.
    let mut chromium = command("timeout");
    chromium.args([
        "180",
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-proxy-server",
        "--hide-scrollbars",
        "--enable-logging=stderr",
    ]);
    chromium.arg(format!("--user-data-dir={}", dir.path().join("profile").display())).current_dir(dir.path());
    chromium
}

pub fn visit(url: &str, look: Look) -> Seen {
    let dir = TempDir::new();
    let picture = dir.path().join("page.png");
    let run = |argument: &str| -> Output {
        let mut chromium = chromium(&dir);
        chromium.arg(format!("--window-size={},{}", look.width_px, look.height_px));
        // 0 is dark, 1 is light.
        chromium.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!look.dark)));
        succeed(chromium.args([argument, url]))
    };
    let dom = run("--dump-dom");
    let pictured = run(&format!("--screenshot={}", picture.display()));
    let console = String::from_utf8_lossy(&[dom.stderr, pictured.stderr].concat()).into_owned();
    let console =
        console.lines().filter(|line| line.contains("CONSOLE")).map(|line| format!("{line}\n")).collect();
    Seen { look, dom: String::from_utf8(dom.stdout).unwrap(), picture, console, _dir: dir }
}

/// The document that the browser shows in the end.
pub fn document(url: &str) -> String {
    let dir = TempDir::new();
    String::from_utf8(succeed(chromium(&dir).args(["--dump-dom", url])).stdout).unwrap()
}

/// The browser found nothing against the page's own rules, and the colours that it should have are there.
pub fn assert_styled(seen: &Seen) {
    assert_eq!(seen.console, "");
    if !found(&["python3"]) {
        return;
    }
    let mut python = Command::new("python3");
    python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check_picture.py")).arg(&seen.picture);
    // Ground, card and ink, as the style sheets have them.
    python.args(match seen.look.dark {
        false => ["f5f7f4", "ffffff", "1d2620"],
        true => ["121613", "1a201c", "e3eae4"],
    });
    let output = succeed(&mut python);
    let words = String::from_utf8(output.stdout).unwrap();
    let mut words = words.split_whitespace();
    let size = format!("{}x{}", seen.look.width_px, seen.look.height_px);
    assert_eq!(words.next(), Some(size.as_str()));
    let pixels: Vec<u64> = words.map(|count| count.parse().unwrap()).collect();
    // The text's colour is rarely pure: its edges are smoothed.
    assert!(pixels[0] > 10_000 && pixels[1] > 10_000 && pixels[2] > 100, "{:?}: {pixels:?}", seen.look);
}

/// With `PEN_GOLDEN=write` the picture becomes the one in the documents: look at it before committing it.
pub fn keep_picture(seen: &Seen) {
    const PICTURE_BYTES_MAX: u64 = 300_000;
    assert!(fs::metadata(&seen.picture).unwrap().len() < PICTURE_BYTES_MAX);
    if std::env::var_os("PEN_GOLDEN").is_some_and(|wanted| wanted == "write") {
        fs::copy(&seen.picture, Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/webstats.png")).unwrap();
    }
}

/// The page goes onto paper.
pub fn assert_prints(url: &str) {
    let dir = TempDir::new();
    let paper = dir.path().join("page.pdf");
    succeed(chromium(&dir).args([
        "--no-pdf-header-footer",
        &format!("--print-to-pdf={}", paper.display()),
        url,
    ]));
    let pdf = fs::read(paper).unwrap();
    let pages = pdf.windows(b"/Type /Page\n".len()).filter(|bytes| bytes == b"/Type /Page\n").count();
    assert!(pdf.starts_with(b"%PDF") && (1..=4).contains(&pages), "{pages} pages");
}
