//! What is drawn, at sizes from nothing to a wall, as letters in a buffer.

use super::*;
use crate::watch::feed::News;
use crate::watch::model::tests::{seen, server, snapshot, type_keys};
use pen_proto::status::{ServerState, ServerStatus};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

const PLAIN_LOOKS: Looks = Looks { has_colour: false, has_blocks: true };

fn buffer(model: &mut Model, looks: Looks, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(model, looks, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(model: &mut Model, size: (u16, u16)) -> Vec<String> {
    let buffer = buffer(model, PLAIN_LOOKS, size);
    let cells = |row| (0..size.0).map(move |column| (column, row));
    let line = |row| cells(row).map(|at| buffer[at].symbol()).collect::<String>().trim_end().to_owned();
    (0..size.1).map(line).collect()
}

/// Two looks at three servers, one of which is down.
fn some() -> Model {
    let servers = |opened: [u64; 3]| {
        let mut servers: Vec<ServerStatus> =
            (0..).zip(opened).map(|(at, opened)| server(at, &format!("web{at}"), opened)).collect();
        servers[2].state = Some(ServerState::Down);
        servers[2].reason = Some("connection refused".into());
        servers[2].since_epoch_seconds = Some(940);
        servers
    };
    seen([snapshot(1000, servers([0, 0, 0])), snapshot(2000, servers([10, 5, 0]))])
}

#[test]
fn at_80_by_24_there_is_everything() {
    let shown = lines(&mut some(), (80, 24));
    let expected = [
        "pen 0.1.0  pid 17  /run/pen/control",
        " main 6  mail 6",
        "3 connections, 15 new/s, 15.0 KiB/s to servers, 30.0 KiB/s back; 1 down, 2 up",
        "                                                           █",
        "#  SERVER  ADDRESS      STATE  CONN  MAX  NEW/S    SENT/S    BACK/S  LAST MINUTE",
        "0  web0    10.0.0.0:80  up        0    -     10  10.0 KiB  20.0 KiB            █",
        "1  web1    10.0.0.1:80  up        1    -    5.0   5.0 KiB  10.0 KiB            █",
        "2  web2    10.0.0.2:80  down      2    -    0.0       0 B       0 B",
    ];
    assert_eq!(shown[..8], expected, "{shown:#?}");
    assert_eq!(shown[23], "? help, q quit; by number");
}

#[test]
fn what_is_known_of_trouble_stands_below() {
    let mut model = some();
    type_keys(&mut model, "G");
    let shown = lines(&mut model, (80, 24));
    assert_eq!(shown[23], "web2 is down for 1 min: connection refused; by number", "{shown:#?}");
    type_keys(&mut model, "/up\r");
    assert_eq!(lines(&mut model, (80, 24))[23], "? help, q quit; by number; only up");
    type_keys(&mut model, "/x\r");
    assert!(
        lines(&mut model, (80, 24)).contains(&"no server has \"upx\" in name, address or state".to_owned())
    );
}

#[test]
fn loads_are_shown_where_they_are_read() {
    let mut servers: Vec<ServerStatus> = (0..2).map(|at| server(at, "web", 0)).collect();
    servers.iter_mut().for_each(|server| server.load_from = Some("agent 7777".into()));
    servers[0].load = pen_proto::load::Load::read("0.75");
    let shown = lines(&mut seen([snapshot(1000, servers)]), (120, 24));
    assert!(shown[4].contains("  LOAD  "), "{shown:#?}");
    assert!(shown[5].contains("  0.75") && !shown[6].contains("0.75"), "{shown:#?}");
}

#[test]
fn clones_stand_beside_members() {
    let mut snapshot = snapshot(1000, vec![server(0, "web", 0)]);
    snapshot.clones = crate::watch::clones::Clones::read(crate::watch::clones::tests::JSON);
    let mut model = seen([snapshot]);
    let shown = lines(&mut model, (80, 24));
    assert!(shown[4].starts_with("clones enabled") && shown[6].starts_with("clones  "), "{shown:#?}");
    assert!(shown[9].contains("web"), "{shown:#?}");
    assert!(!lines(&mut model, (80, 10)).iter().any(|line| line.starts_with("clones")));
}

#[test]
fn questions_and_answers_are_in_the_last_line() {
    let mut model = some();
    let last = |model: &mut Model| lines(model, (80, 10)).pop().unwrap();
    type_keys(&mut model, "d");
    assert_eq!(last(&mut model), "drain web0 of main? [y/N]");
    type_keys(&mut model, "nb12");
    assert_eq!(last(&mut model), "blacklist web0 of main for how many seconds? [60] 12");
    type_keys(&mut model, "\r");
    model.learn(News::Done("server web0 blacklist 12".into(), Err("server: no\x1b[2J".into())));
    assert_eq!(last(&mut model), "server: no\\x1b[2J");
    model.learn(News::Done("server web0 blacklist 12".into(), Ok(String::new())));
    assert_eq!(last(&mut model), "done: server web0 blacklist 12");
    type_keys(&mut model, "/we");
    assert_eq!(last(&mut model), "/we");
}

#[test]
fn a_pen_that_is_lost_is_told_above() {
    let mut model = some();
    model.learn(News::Lost("/run/pen/control: connection refused".into()));
    let shown = lines(&mut model, (120, 24));
    let title = "pen 0.1.0  pid 17  /run/pen/control  lost: connection refused; trying again";
    assert_eq!(shown[0], title);
    assert!(shown[5].contains("web0"), "what was seen last stays");
    assert!(lines(&mut model, (50, 24))[0].starts_with("pen 0.1.0  lost: connection refused"));
    let mut looks_only = snapshot(3000, Vec::new());
    looks_only.is_read_only = true;
    model.learn(News::Seen(looks_only));
    assert_eq!(lines(&mut model, (80, 24))[0], "pen 0.1.0  pid 17  /run/pen/control  read-only");
    assert_eq!(lines(&mut seen([]), (80, 24))[0], "pen  /run/pen/control  connecting");
}

#[test]
fn no_size_is_too_small_or_too_large() {
    let mut model = some();
    for size in [(0, 0), (1, 1), (1, 40), (40, 1), (2, 2), (10, 3), (20, 5), (300, 100), (80, 2)] {
        for keys in ["", "?", "\x1b/", "\rd", "n"] {
            type_keys(&mut model, keys);
            lines(&mut model, size);
        }
    }
    let narrow = lines(&mut model, (30, 8));
    assert!(narrow.iter().any(|line| line.contains("web2") && line.contains("down")), "{narrow:#?}");
    type_keys(&mut model, "d");
    assert_eq!(lines(&mut model, (30, 1)), ["drain web0 of main? [y/N]"], "what is asked comes first");
}

#[test]
fn a_thousand_servers_are_paged_through() {
    let servers = || (0..1000).map(|at| server(at, &format!("s{at}"), 0)).collect::<Vec<_>>();
    let mut model = seen([snapshot(1000, servers()), snapshot(2000, servers())]);
    let visible = |model: &mut Model, name: &str| {
        lines(model, (80, 24)).iter().any(|line| line.split_whitespace().any(|word| word == name))
    };
    assert!(visible(&mut model, "s0") && !visible(&mut model, "s50"));
    type_keys(&mut model, "G");
    assert!(visible(&mut model, "s999") && !visible(&mut model, "s0"));
    type_keys(&mut model, "g ");
    let page = model.page;
    assert!(visible(&mut model, &format!("s{page}")), "one page further");
    for _ in 0..60 {
        type_keys(&mut model, "j");
        let cursor = model.cursor(&model.shown());
        assert!(visible(&mut model, &format!("s{cursor}")), "the cursor is seen at {cursor}");
    }
}

#[test]
fn nothing_of_the_network_reaches_the_terminal_as_it_is() {
    let mut evil = server(0, "x", 0);
    evil.name = Some("a\x1b[31m\u{202e}b".into());
    evil.address = "1\u{7}2".into();
    evil.state = Some(ServerState::Down);
    evil.reason = Some("\x1b]0;pwned\x07\u{9b}2J".into());
    let mut snapshot = snapshot(1000, vec![evil]);
    snapshot.service = "ma\x1bin".into();
    snapshot.services[0].name = "ma\x1bin".into();
    snapshot.version = "pen\x1b[H".into();
    snapshot.pid = "1\r7".into();
    let mut model = seen([snapshot]);
    model.learn(News::Lost("\x1b[2Jlost".into()));
    for keys in ["", "/\u{202e}", "\x1bd"] {
        type_keys(&mut model, keys);
        let shown = lines(&mut model, (150, 24)).join("");
        assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202e}'), "{shown:?}");
        assert!(shown.contains("ma\\x1bin"), "{shown:?}");
    }
    assert!(lines(&mut model, (150, 24)).iter().any(|line| line.contains("a\\x1b[31m")));
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let has_colour = |looks: Looks| {
        let buffer = buffer(&mut some(), looks, (80, 24));
        buffer.content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(has_colour(Looks { has_colour: true, has_blocks: true }));
    assert!(!has_colour(PLAIN_LOOKS));
    let ascii = buffer(&mut some(), Looks { has_colour: false, has_blocks: false }, (80, 24));
    assert!(ascii.content().iter().all(|cell| cell.symbol().is_ascii() || cell.symbol() == "…"));
}
