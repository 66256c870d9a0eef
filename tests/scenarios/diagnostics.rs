//! What pen says about its work, and to whom: levels of `-d`, dumps, core files, and text that cannot do harm.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::wait::{eventually, meanwhile};
use std::time::Duration;

#[test]
fn level_one_tells_the_servers_at_start() {
    let server = Backend::named("A");
    let pen = Pen::before([format!("{server}:4:5:6:7")]).options("-d").start();
    let head = format!("0 127.0.0.1:{}:4:5:6:7\n", server.port());
    eventually("the servers", || pen.stderr(), |said| said.contains(" starting\n") && said.contains(&head));
}

#[test]
fn without_d_a_pen_that_has_no_trouble_is_silent() {
    let server = Backend::named("A");
    let mut pen = Pen::before([&server]).start();
    assert_eq!(pen.ask(), "A");
    pen.signal(nix::sys::signal::SIGTERM);
    assert_eq!(pen.wait(), Some(0));
    assert_eq!(pen.stderr(), "");
}

fn dump(options: &str, wanted: &[&str]) {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).options(options).start();
    let mut client = pen.connect();
    client.line();
    assert_eq!(client.exchange("he\u{1b}lo"), "he\u{1b}lo");
    eventually("the dump", || pen.stderr(), |said| wanted.iter().all(|text| said.contains(text)));
}

#[test]
fn level_three_dumps_bytes_as_hexadecimal_or_as_text() {
    dump("-ddd", &["68 65 1b 6c 6f 0a"]);
    dump("-ddd -a", &["he.lo."]);
}

/// Whoever reads it: before a server is chosen, while it connects, or later. Nothing is dumped that was not read.
#[test]
fn every_read_is_dumped_once_wherever_it_is_read() {
    let server = Backend::serving(crate::common::backend::echo);
    let other = Backend::serving(crate::common::backend::echo);
    for words in ["", "-O peek", "-H", "-O peek -H"] {
        for names_servers in [false, true] {
            let start = Pen::before([&server, &other]).options(&format!("-ddd -a {words}"));
            let pen = if names_servers { start.command("server 1 sni a.test") } else { start }.start();
            let mut client = pen.connect();
            client.send("GET /dump HTTP/1.0\r\n\r\n");
            client.end();
            client.rest();
            let ended = |said: &str| said.contains("finished");
            let said = eventually("the end", || pen.stderr(), |said| ended(said));
            let dumps = |name: &str| said.matches(&format!("{name}(")).count();
            assert_eq!((dumps("copy_up"), dumps("copy_down")), (1, 1), "{words} {names_servers}: {said}");
            assert!(
                said.lines()
                    .any(|line| line.contains("copy_up(") && line.ends_with(" 22: GET /dump HTTP/1.0....")),
                "{words} {names_servers}: {said}"
            );
        }
    }
}

#[test]
fn the_level_can_be_changed_while_running() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).start();
    assert_eq!(pen.control("debug 3"), "3\n");
    let mut client = pen.connect();
    client.line();
    client.exchange("hello");
    eventually("the dump", || pen.stderr(), |said| said.contains("68 65 6c 6c 6f"));
}

#[test]
fn messages_begin_with_the_time() {
    let pen = Pen::before([] as [&str; 0]).options("-d").start();
    let said = eventually("a message", || pen.stderr(), |said| said.ends_with('\n'));
    for line in said.lines() {
        let (time, text) = line.split_at(line.find(": ").unwrap_or_else(|| panic!("{line:?}")));
        let form: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
        assert_eq!(form, "9999-99-99 99:99:99", "{line:?}");
        assert!(text.len() > ": ".len(), "{line:?}");
    }
}

#[test]
fn abort_on_error_leaves_a_core() {
    let failing = |start: fn() -> crate::common::pen::Start| {
        start()
            .word(format!("127.0.0.1:{}", free_port()))
            .options("127.0.0.1:1 -l missing/directory/log")
            .run()
    };
    let ended = failing(|| Pen::bare("-f -O abort_on_error").through("prlimit --core=0"));
    assert_eq!(ended.code, None, "ended by a signal: {ended:?}");
    assert!(ended.stderr.contains("missing/directory/log"), "{ended:?}");
    assert_eq!(failing(|| Pen::bare("-f")).code, Some(1));
}

/// Whatever it is that fails, from the moment the command was given.
#[test]
fn abort_on_error_is_for_every_failure_at_start() {
    let server = Backend::named("A");
    let in_use = format!("-f {server} 127.0.0.1:9");
    let bad_line = "-f -O nonsense 127.0.0.1:0 127.0.0.1:9".to_string();
    for words in [in_use, bad_line] {
        let core = Pen::bare("-O abort_on_error").through("prlimit --core=0").options(&words).run();
        assert_eq!(core.code, None, "{words}: ended by a signal: {core:?}");
        assert_eq!(Pen::bare(&words).run().code, Some(1), "{words}");
    }
    let checked = Pen::bare("-O abort_on_error --check -O nonsense").run();
    assert_eq!(checked.code, Some(1), "what --check finds is no failure of pen's");
}

#[test]
fn trouble_that_goes_on_is_not_said_for_every_client() {
    let dead = Backend::refusing("A");
    let pen = Pen::before([&dead]).options("-b 0").start();
    assert_eq!(pen.asks(300), "-".repeat(300));
    let lines = pen.stderr().lines().count();
    assert!(lines < 100, "{lines} lines for 300 refused connects");
}

/// Nothing happens in this minute that could wake pen.
#[test]
fn trouble_that_went_on_is_counted_when_its_minute_is_over() {
    let dead = Backend::refusing("A");
    let pen = Pen::before([&dead]).options("-b 0").without_control().start();
    assert_eq!(pen.asks(5), "-".repeat(5));
    let counts = || pen.stderr().lines().filter(|line| line.contains(" more within 6")).count();
    for _ in 0..5 {
        assert_eq!(counts(), 0);
        meanwhile(Duration::from_secs(9));
    }
    eventually("the count", || pen.stderr(), |said| said.contains(" times more within 6"));
}
