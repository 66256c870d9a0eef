//! webstats as cron starts it: one page, one history, an exit status that tells.

mod common;

use common::skip::skip_outside_ci;
use common::{NOW, TempDir, json, play_pen, run, run_well, status, stderr};
use pen_proto::status::{ServiceStatus, Status};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;

fn now() -> u64 {
    pen_sys::clock::epoch_ms() / 1000
}

fn text(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).unwrap_or_default()
}

#[test]
fn a_control_socket_gives_a_page_and_a_day_to_remember() {
    let dir = TempDir::new();
    play_pen(&dir.path().join("ctl"), vec![json(&status(NOW)), json(&status(NOW + 600))]);
    run_well(&dir, "-c ./ctl -w page.html");
    assert!(text(&dir, "page.html").contains("<title>1 of 2 servers is skipped</title>"));
    assert_eq!(text(&dir, "page.html.history").lines().count(), 1);
    run_well(&dir, "-c ./ctl -w page.html");
    let page = text(&dir, "page.html");
    assert!(page.contains("connections/s</span> <b>2</b>") && page.contains("class=\"c0\" d=\"M"), "{page}");
    let history = text(&dir, "page.html.history");
    assert!(
        history
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("{\"pen\":\"\",\"time\":1795224806,\"uptime\":90000,\"servers\":[[0,")
    );
}

#[test]
fn services_are_shown_and_remembered() {
    let dir = TempDir::new();
    let with_service = |time| {
        let web = status(time);
        let web = ServiceStatus {
            name: "web".into(),
            servers: web.servers,
            listen: web.listen,
            ..Default::default()
        };
        Status { service: "main".into(), services: vec![web], ..status(time) }
    };
    play_pen(&dir.path().join("ctl"), vec![json(&with_service(NOW))]);
    run_well(&dir, "-c ./ctl -w page.html");
    let page = text(&dir, "page.html");
    let title = "<title>main: 1 of 2 servers is skipped · web: 1 of 2 servers is skipped</title>";
    assert!(page.contains(title) && page.contains("<section aria-label=\"service web\">"), "{page}");
    assert!(text(&dir, "page.html.history").contains("\"services\":{\"web\":[[0,"));
    dir.file("pen.html", &pen_core::stats::html::render(&with_service(now())));
    run_well(&dir, "-w pen.html -o other.html");
    assert!(text(&dir, "other.html").contains("<section aria-label=\"service web\">"));
}

#[test]
fn the_page_that_pen_wrote_is_read_and_replaced() {
    let dir = TempDir::new();
    dir.file("page.html", &pen_core::stats::html::render(&status(now())));
    run_well(&dir, "-w page.html -o other.html");
    assert!(text(&dir, "page.html").contains("Pen status page"), "left as it is");
    let before = fs::metadata(dir.path().join("page.html")).unwrap().ino();
    run_well(&dir, "-w page.html");
    assert_ne!(
        fs::metadata(dir.path().join("page.html")).unwrap().ino(),
        before,
        "readers never see half a page"
    );
    assert!(text(&dir, "page.html").contains("1 of 2 servers is skipped"));
    assert_eq!(fs::metadata(dir.path().join("page.html")).unwrap().mode() & 0o777, 0o644);

    let output = run(&dir, "-w page.html");
    assert_eq!(stderr(&output), "webstats: page.html: pen has not written it since webstats did\n");
    assert_eq!(output.status.code(), Some(1));
}

/// Root's cron must not take the page away from a pen that is nobody by now.
#[test]
fn the_page_still_belongs_to_its_owner() {
    const NOBODY: u32 = 65_534;
    if !nix::unistd::geteuid().is_root() {
        return skip_outside_ci("only root can give files away");
    }
    let dir = TempDir::new();
    let page = dir.file("page.html", &pen_core::stats::html::render(&status(now())));
    std::os::unix::fs::chown(&page, Some(NOBODY), Some(NOBODY)).unwrap();
    run_well(&dir, "-w page.html");
    let metadata = fs::metadata(&page).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (NOBODY, NOBODY));
    assert!(text(&dir, "page.html").contains("is skipped"));
}

#[test]
fn several_pens_share_a_page() {
    let dir = TempDir::new();
    // The clock of its host is years slow.
    play_pen(&dir.path().join("a"), vec![json(&status(1_000_000_000))]);
    dir.file("b.html", &pen_core::stats::html::render(&status(now())));
    let output = run(&dir, "-c web=./a -c mail=./gone -w b=b.html -o page.html");
    assert_eq!(stderr(&output), "webstats: ./gone: no such socket; is pen running, with -C?\n");
    assert_eq!(output.status.code(), Some(1));
    let page = text(&dir, "page.html");
    for part in [
        "<title>mail: pen does not answer</title>",
        "<h2 class=\"name\">web <",
        "<h2 class=\"name\">b <",
        "./gone: no such socket",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let history = text(&dir, "page.html.history");
    assert!(
        history.contains("{\"pen\":\"b\"")
            && history.contains("{\"pen\":\"web\"")
            && !history.contains("mail")
    );
}

#[test]
fn a_pen_that_does_not_answer_is_named_and_shown() {
    let dir = TempDir::new();
    let silent = UnixListener::bind(dir.path().join("silent")).unwrap();
    play_pen(&dir.path().join("closed"), vec![String::new()]);
    play_pen(&dir.path().join("old"), vec!["Bad command: status \x1b[2J\n".into()]);
    dir.file("old.html", &pen_core::stats::html::render(&status(now() - 7300)));
    dir.file("half.html", &pen_core::stats::html::render(&status(now()))[..900]);
    dir.file("other.pid", &std::process::id().to_string());
    dir.file("strange.pid", "12x");
    for (words, reason) in [
        ("-c ./silent -t 1", "./silent: pen did not answer in time"),
        ("-c ./closed", "./closed: pen turned the question away (control_acl?)"),
        (
            "-c ./old",
            "./old: want figures, got \"Bad command: status \\x1b[2J\"; is this a pen 0.1.0 or later?",
        ),
        ("-c ./none", "./none: no such socket; is pen running, with -C?"),
        ("-c 127.0.0.1:1", "127.0.0.1:1: nobody answers; is pen running, with -C?"),
        ("-w half.html", "half.html: no page of a pen 0.1.0 or later"),
        ("-w old.html", "old.html: pen has not written it for 2 h 1 min"),
        ("-w none.html", "none.html: No such file or directory (os error 2)"),
        ("-w .", ".: not a regular file"),
        ("-w none.html -p none.pid", "none.pid: No such file or directory (os error 2)"),
        ("-w none.html -p strange.pid", "strange.pid: want the number of a process, got \"12x\""),
    ] {
        let output = run(&dir, &format!("{words} -o page.html"));
        assert_eq!(stderr(&output), format!("webstats: {reason}\n"), "{words}");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&dir, "page.html").contains("<title>pen does not answer</title>"));
    }
    drop(silent);
}

/// USR1 would end most programs. Whoever has the number of a pen that is gone must not get it.
#[test]
fn no_other_process_gets_the_signal() {
    let dir = TempDir::new();
    let own = std::process::id();
    dir.file("pen.pid", &own.to_string());
    let output = run(&dir, "-p pen.pid -w page.html -o out.html");
    assert_eq!(
        stderr(&output),
        format!("webstats: pen.pid: no pen holds it; process {own} is gone or is another program\n")
    );
    dir.file("pen.pid", "1");
    assert_eq!(
        stderr(&run(&dir, "-p pen.pid -w page.html -o out.html")),
        "webstats: pen.pid: 1 is not the number of a pen\n"
    );
}

#[test]
fn the_queue_of_a_pen_that_hangs_does_not_hang_webstats() {
    let dir = TempDir::new();
    let hung = UnixListener::bind(dir.path().join("ctl")).unwrap();
    nix::sys::socket::listen(&hung, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _queued = std::os::unix::net::UnixStream::connect(dir.path().join("ctl")).unwrap();
    let output = run(&dir, "-c ./ctl -o page.html -t 86400");
    assert_eq!(stderr(&output), "webstats: ./ctl: pen did not answer in time\n");
}

#[test]
fn a_history_that_was_damaged_goes_on() {
    let dir = TempDir::new();
    play_pen(&dir.path().join("ctl"), vec![json(&status(NOW))]);
    let good = "{\"pen\":\"\",\"time\":1795223606,\"uptime\":1,\"servers\":[]}";
    dir.file("old", &format!("{good}\n{{\"pen\":\"\",\"ti"));
    let output = run(&dir, "-c ./ctl -o page.html -H old");
    assert_eq!(stderr(&output), "webstats: old: 1 lines are no samples\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&dir, "old").lines().count(), 2);
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let dir = TempDir::new();
    play_pen(&dir.path().join("ctl"), vec![json(&status(NOW))]);
    let output = run(&dir, "-c ./ctl -o nowhere/page.html -H history");
    assert_eq!(stderr(&output), "webstats: nowhere/page.html: No such file or directory (os error 2)\n");
    assert_eq!(output.status.code(), Some(1));
    let output = run(&dir, "-c ./ctl -o page.html -H .");
    assert_eq!(stderr(&output), "webstats: .: not a regular file\n");
    assert!(!dir.path().join("page.html").exists(), "said before anything is written");
}

#[test]
fn arguments_are_explained() {
    let dir = TempDir::new();
    let help = run(&dir, "--help");
    assert!(help.status.success() && help.stdout.starts_with(b"Usage: webstats -p PIDFILE"));
    assert!(String::from_utf8(help.stdout).unwrap().lines().all(|line| line.len() <= 80));
    assert_eq!(
        run(&dir, "--version").stdout,
        format!("webstats (pen) {}\n", env!("CARGO_PKG_VERSION")).into_bytes()
    );
    let output = run(&dir, "-x");
    assert_eq!(stderr(&output), "webstats: Unrecognized option: 'x'\nwebstats: try --help\n");
    assert_eq!(output.status.code(), Some(1));
}
