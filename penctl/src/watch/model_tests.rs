//! The model and its keys: what is known after some looks, and what a key does then.

use super::*;
use crate::watch::keys::{Effect, press};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A server that has opened and moved so much.
pub fn server(index: i32, name: &str, opened: u64) -> ServerStatus {
    ServerStatus {
        index,
        name: Some(name.into()),
        address: format!("10.0.0.{index}"),
        port: 80,
        connections: index as u32,
        connections_total: opened,
        sent_bytes: opened * 1024,
        received_bytes: opened * 2048,
        ..ServerStatus::default()
    }
}

pub fn snapshot(at_ms: u64, servers: Vec<ServerStatus>) -> Snapshot {
    let service = |name: &str| ServiceLine { name: name.into(), connections: 6, ..ServiceLine::default() };
    Snapshot {
        at_ms,
        epoch_seconds: 1000,
        version: "pen 0.1.0".into(),
        pid: "17".into(),
        is_read_only: false,
        services: vec![service("main"), service("mail")],
        service: "main".into(),
        servers,
        clones: None,
    }
}

pub fn seen(snapshots: impl IntoIterator<Item = Snapshot>) -> Model {
    let mut model = Model::new("/run/pen/control");
    snapshots.into_iter().for_each(|snapshot| model.learn(News::Seen(snapshot)));
    model
}

pub fn type_keys(model: &mut Model, keys: &str) -> Vec<Effect> {
    let code = |letter| match letter {
        '\r' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '\x1b' => KeyCode::Esc,
        '\x08' => KeyCode::Backspace,
        letter => KeyCode::Char(letter),
    };
    let effects = keys.chars().map(|letter| press(model, KeyEvent::new(code(letter), KeyModifiers::NONE)));
    effects.filter(|effect| *effect != Effect::None).collect()
}

fn names(model: &Model) -> String {
    model.shown().iter().map(|row| row.name()).collect::<Vec<_>>().join(" ")
}

fn three(opened: [u64; 3]) -> Vec<ServerStatus> {
    let mut servers: Vec<_> = ["b", "a", "c"].iter().zip(0..).map(|(name, at)| server(at, name, 0)).collect();
    for (server, opened) in servers.iter_mut().zip(opened) {
        *server = self::server(server.index, server.name.as_deref().unwrap(), opened);
    }
    servers[2].state = Some(ServerState::Down);
    servers
}

#[test]
fn rates_come_of_two_looks() {
    let mut model = seen([snapshot(1000, three([10, 0, 7]))]);
    assert_eq!(model.shown()[0].rates, None);
    model.learn(News::Seen(snapshot(3000, three([30, 0, 5]))));
    let rate = |at: usize, model: &Model| model.shown()[at].rates.map(|rates| rates.opened);
    assert_eq!([rate(0, &model), rate(1, &model), rate(2, &model)], [Some(10.0), Some(0.0), None]);
    assert_eq!(model.total.unwrap().opened, 10.0, "one of them began anew");
    let mut restarted = snapshot(4000, three([40, 0, 9]));
    restarted.pid = "18".into();
    model.learn(News::Seen(restarted));
    assert_eq!([rate(0, &model), model.total.map(|total| total.opened)], [None, None], "another process");
    let mut other = three([41, 0, 9]);
    other[0].address = "10.9.9.9".into();
    let mut snapshot = snapshot(5000, other);
    snapshot.pid = "18".into();
    model.learn(News::Seen(snapshot));
    assert_eq!([rate(0, &model), rate(2, &model)], [None, Some(0.0)], "another server of that number");
}

#[test]
fn servers_are_sorted_and_filtered() {
    let mut model = seen([snapshot(1000, three([0, 0, 0])), snapshot(2000, three([1, 5, 0]))]);
    let orders = [("number", "b a c"), ("name", "a b c"), ("state", "c b a"), ("connections", "c a b")];
    for (word, expected) in orders.into_iter().chain([("rate", "a b c"), ("bytes", "a b c")]) {
        assert_eq!((model.order.word(), &*names(&model)), (word, expected));
        type_keys(&mut model, "s");
    }
    assert_eq!(model.order, Order::Number);
    type_keys(&mut model, "r");
    assert_eq!(names(&model), "c a b");
    type_keys(&mut model, "/DOW\r");
    assert_eq!(names(&model), "c");
    type_keys(&mut model, "/\x08\x08\x0810.0.0.1\r");
    assert_eq!(names(&model), "a");
    type_keys(&mut model, "\x1b");
    assert_eq!(names(&model), "c a b");
}

#[test]
fn the_cursor_stays_with_its_server() {
    let mut model = seen([snapshot(1000, three([0, 0, 0]))]);
    type_keys(&mut model, "j");
    let on = |model: &Model| model.shown()[model.cursor(&model.shown())].name();
    assert_eq!(on(&model), "a");
    type_keys(&mut model, "s");
    assert_eq!(on(&model), "a", "sorted otherwise");
    for (keys, expected) in [("G", "c"), ("jj", "c"), ("k", "b"), ("g", "a"), ("k", "a")] {
        type_keys(&mut model, keys);
        assert_eq!(on(&model), expected, "{keys}");
    }
    model.learn(News::Seen(snapshot(2000, Vec::new())));
    assert_eq!(type_keys(&mut model, "jkGgd"), [], "no server at all");
}

#[test]
fn nothing_is_done_to_a_server_without_a_yes() {
    let mut model = seen([snapshot(1000, three([0, 0, 0]))]);
    for keys in ["dn", "d\r", "d\x1b", "xn", "eq", "b\x1b", "bq"] {
        assert_eq!(type_keys(&mut model, keys), [], "{keys:?}");
        assert_eq!(model.mode, Mode::Look);
    }
    for (keys, command) in [
        ("dy", "service main server b drain"),
        ("jxy", "service main server a disable"),
        ("eY", "service main server a enable"),
        ("b\r", "service main server a blacklist 60"),
        ("b120\x085\r", "service main server a blacklist 125"),
    ] {
        assert_eq!(type_keys(&mut model, keys), [Effect::Command(command.into())]);
    }
    type_keys(&mut model, "d");
    model.learn(News::Seen(snapshot(2000, three([0, 0, 0]).split_off(2))));
    assert_eq!(
        type_keys(&mut model, "y"),
        [Effect::Command("service main server a drain".into())],
        "what was asked is done, whatever is under the cursor now"
    );
}

#[test]
fn who_may_only_look_is_told_so() {
    let mut looks_only = snapshot(1000, three([0, 0, 0]));
    looks_only.is_read_only = true;
    let mut model = seen([looks_only]);
    for keys in ["d", "x", "e", "b"] {
        assert_eq!(type_keys(&mut model, keys), []);
        let (notice, is_bad) = model.notice.clone().unwrap();
        assert!(
            is_bad && notice.ends_with(": you may only look here") && model.mode == Mode::Look,
            "{notice}"
        );
    }
    let mut model = seen([snapshot(1000, vec![ServerStatus { index: -1, ..ServerStatus::default() }])]);
    type_keys(&mut model, "d");
    assert_eq!(model.notice, Some(("drain: not for the emergency server".into(), true)));
    model.learn(News::Lost("gone".into()));
    type_keys(&mut model, "d");
    assert_eq!(model.notice, Some(("drain: pen cannot be reached".into(), true)));
}

#[test]
fn services_are_gone_through() {
    let mut model = seen([snapshot(1000, Vec::new())]);
    let turned = |name: &str| vec![Effect::Turn(name.into())];
    assert_eq!(type_keys(&mut model, "\t"), turned("mail"));
    assert_eq!(type_keys(&mut model, "2"), turned("mail"));
    assert_eq!(type_keys(&mut model, "1"), turned("main"));
    assert_eq!(type_keys(&mut model, "3"), []);
    assert_eq!(model.neighbour(-1), Some("mail".into()));
    model.services.truncate(1);
    assert_eq!(model.neighbour(1), None);
    assert_eq!(Model::new("x").neighbour(1), None);
}

#[test]
fn keys_that_leave() {
    let mut model = seen([]);
    assert_eq!(type_keys(&mut model, "q"), [Effect::Quit]);
    let with_control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
    for (letter, effect) in [('c', Effect::Quit), ('z', Effect::Suspend), ('l', Effect::Redraw)] {
        model.mode = Mode::Filter;
        assert_eq!(press(&mut model, with_control(letter)), effect);
    }
    model.mode = Mode::Help;
    assert_eq!(type_keys(&mut model, "q"), [], "it leaves the page of help");
    assert_eq!(model.mode, Mode::Look);
}
