//! `pen --demo`: what a newcomer sees first works as it says.

use crate::common::pen::{Ended, Pen};
use crate::common::programs::{copy, is_installed, ours, run};
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

/// The commands that it prints, as they stand.
fn lines(said: &str) -> Vec<String> {
    said.lines().filter_map(|line| line.split_once("  # ")).map(|(line, _)| line.trim().to_string()).collect()
}

/// Types them.
fn carry_out(lines: &[String]) -> Vec<Ended> {
    let type_in = |line: &String| {
        let ended = run("sh", &["-c", line], "");
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        ended
    };
    lines.iter().map(type_in).collect()
}

/// Installed beside penctl, in a folder that is not in `PATH`.
#[test]
fn the_very_lines_that_are_printed_work() {
    if !is_installed("curl") {
        return skip_without("curl");
    }
    ours("penctl");
    let pen = demo();
    let first = page(&pen, "127.0.0.1");
    let lines = lines(&suggestions(&pen));
    assert_eq!(lines.len(), 5, "{lines:?}");
    let shown = carry_out(&lines);
    assert_eq!(shown[2].stdout.lines().count(), 3, "{shown:?}");
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
    let lines = lines(&suggestions(&pen));
    assert!(lines.len() == 5 && lines[2].starts_with("cargo penctl "), "{lines:?}");
    carry_out(&lines);
}

/// A program alone, with a blank in its name.
#[test]
fn what_is_not_there_is_not_named() {
    let start = Pen::before([] as [&str; 0]).without_control().in_background().options("--demo");
    let folder = start.path("").display().to_string();
    copy(env!("CARGO_BIN_EXE_pen"), start.path("the pen"));
    let alone = format!("env -u CARGO PATH={folder} TMPDIR={folder} /bin/sh -c");
    let pen = start.through(&alone).through_script(r#"exec "./the pen" "$@""#).start();
    let said = suggestions(&pen);
    let lines = lines(&said);
    assert!(lines.len() == 3 && said.contains("\nInstall penctl "), "{said}");
    let again = Pen::bare("--demo").word(pen.address).through(&alone);
    let ended = again.through_script(&format!(r#"exec "{folder}/the pen" "$@""#)).run();
    assert!(ended.stderr.contains(&format!("given: '{folder}/the pen' --demo ")), "{ended:?}");
}

#[test]
fn an_address_in_use_is_said_with_what_to_type() {
    let first = demo();
    for (changes, wanted) in [("-u CARGO", env!("CARGO_BIN_EXE_pen")), ("CARGO=cargo", "cargo demo ")] {
        let start = Pen::bare("--demo").word(first.address).through(&format!("env {changes}"));
        let ended = start.run();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let (trouble, line) =
            ended.stderr.trim().split_once("; another address can be given: ").expect("advice");
        assert!(trouble.contains(&first.address.to_string()), "{trouble}");
        assert!(
            line.starts_with(wanted) && line.ends_with(&format!(":{}", first.address.port() + 1)),
            "{line}"
        );
        // Without a listener, which another test may have by now; and not by cargo, which would build pen anew.
        if changes != "CARGO=cargo" {
            let ended = run("sh", &["-c", &format!("{line} --version")], "");
            assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        }
    }
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
