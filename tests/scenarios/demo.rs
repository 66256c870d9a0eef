//! `pen --demo`: what a newcomer sees first works as it says.

use crate::common::pen::Pen;
use crate::common::programs::{is_installed, run};
use crate::common::skip_without;
use crate::common::wait::eventually;
use nix::sys::signal::SIGINT;

fn demo() -> Pen {
    Pen::before([] as [&str; 0]).without_control().in_background().options("--demo").start()
}

/// The page that curl shows to the client with this address.
fn page(pen: &Pen, client: &str) -> String {
    let shown = run("curl", &["-sS", "--interface", client, &format!("http://{}/", pen.address)], "");
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""));
    shown.stdout
}

#[test]
fn curl_shows_that_a_client_keeps_its_server_and_another_gets_another() {
    if !is_installed("curl") {
        return skip_without("curl");
    }
    let pen = demo();
    let first = page(&pen, "127.0.0.1");
    assert!(first.starts_with("This is server "), "{first}");
    assert_eq!(page(&pen, "127.0.0.1"), first);
    assert_ne!(page(&pen, "127.0.0.2"), first);
    eventually(
        "who serves whom",
        || pen.text("stdout"),
        |said| said.contains("127.0.0.1 -> server ") && said.contains("127.0.0.2 -> server "),
    );
}

#[test]
fn the_commands_it_suggests_work() {
    let pen = demo();
    let said = eventually("the suggestions", || pen.text("stdout"), |said| said.contains(" servers\n"));
    let suggested = said.lines().find_map(|line| line.trim().strip_prefix("penctl ")).expect("a suggestion");
    let words: Vec<&str> = suggested.split_whitespace().collect();
    let shown = run("penctl", &words, "");
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert_eq!(shown.stdout.lines().count(), 3, "{shown:?}");
}

#[test]
fn an_address_in_use_is_said_with_what_to_do() {
    let first = demo();
    let ended = Pen::bare("--demo").word(first.address).run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains(&first.address.to_string()) && ended.stderr.contains("--demo "),
        "{ended:?}"
    );
}

#[test]
fn control_c_ends_it_and_leaves_nothing_behind() {
    let mut pen = demo();
    let said = eventually("the suggestions", || pen.text("stdout"), |said| said.contains(" servers\n"));
    let socket =
        said.split_whitespace().find(|word| word.ends_with(".sock")).expect("a control socket").to_string();
    assert!(std::path::Path::new(&socket).exists());
    pen.signal(SIGINT);
    assert_eq!(pen.wait(), Some(0));
    assert!(!std::path::Path::new(&socket).exists());
}
