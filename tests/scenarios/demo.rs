//! `pen --demo`: what a newcomer sees first works as it says.

use crate::common::pen::Pen;
use crate::common::programs::{is_installed, run};
use crate::common::skip_without;
use crate::common::wait::eventually;
use nix::sys::signal::SIGINT;

/// As installed, not under cargo; its socket goes into the directory of the scenario.
fn demo() -> Pen {
    demo_in("-u CARGO")
}

/// With changes to the environment as env(1) takes them.
fn demo_in(changes: &str) -> Pen {
    let start = Pen::before([] as [&str; 0]).without_control().in_background().options("--demo");
    let environment = format!("env {changes} TMPDIR={}", start.path("").display());
    start.through(&environment).start()
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

/// What the demo said, whole.
fn suggestions(pen: &Pen) -> String {
    eventually("the suggestions", || pen.text("stdout"), |said| said.contains("Who serves whom:\n"))
}

#[test]
fn the_commands_it_suggests_do_what_it_says() {
    if !is_installed("curl") {
        return skip_without("curl");
    }
    let pen = demo();
    let first = page(&pen, "127.0.0.1");
    let said = suggestions(&pen);
    let shown: Vec<_> = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("penctl ")?.split_once("  # "))
        .map(|(words, _)| run("penctl", &words.split_whitespace().collect::<Vec<_>>(), ""))
        .collect();
    assert!(shown.len() == 2 && shown.iter().all(|ended| ended.code == Some(0)), "{said}\n{shown:?}");
    assert_eq!(shown[0].stdout.lines().count(), 3, "{shown:?}");
    assert_ne!(page(&pen, "127.0.0.1"), first, "clients of the blacklisted server move on");
}

/// Under cargo nothing is installed: the lines must work as they are printed, from the folder of the sources.
#[test]
fn under_cargo_the_very_lines_that_are_printed_work() {
    if !is_installed("curl") {
        return skip_without("curl");
    }
    let pen = demo_in("CARGO=cargo");
    page(&pen, "127.0.0.1");
    let said = suggestions(&pen);
    let lines: Vec<&str> =
        said.lines().filter_map(|line| line.split_once("  # ")).map(|(line, _)| line).collect();
    assert_eq!(lines.len(), 5, "{said}");
    for line in lines {
        let ended = run("sh", &["-c", line], "");
        assert!(ended.code == Some(0), "{line}: {ended:?}");
    }
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
    let said = suggestions(&pen);
    let socket =
        said.split_whitespace().find(|word| word.ends_with(".sock")).expect("a control socket").to_string();
    assert!(std::path::Path::new(&socket).exists());
    pen.signal(SIGINT);
    assert_eq!(pen.wait(), Some(0));
    assert!(!std::path::Path::new(&socket).exists());
}
