//! Servers with names that come, drain and go while pen runs.

use crate::common::backend::Backend;
use crate::common::client::Client;
use crate::common::pen::Pen;
use crate::common::wait::eventually;
use nix::sys::signal::Signal;
use serde_json::Value;

fn servers(pen: &Pen) -> Vec<Value> {
    let all: Value = serde_json::from_str(&pen.control("servers json")).expect("JSON");
    all.as_array().unwrap().clone()
}

fn state(pen: &Pen, index: usize) -> String {
    servers(pen)[index]["state"].as_str().unwrap_or_default().to_string()
}

fn does(pen: &Pen, line: &str) {
    assert_eq!(pen.control(line), "", "{line}");
}

#[test]
fn a_number_and_a_name_mean_the_same_server() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([format!("alpha={a}"), b.to_string()]).options("-r").start();
    does(&pen, "server alpha max 3");
    assert!(pen.control("servers").starts_with("0 addr 127.0.0.1 "), "{}", pen.control("servers"));
    assert_eq!(servers(&pen)[0]["max"], 3);
    does(&pen, "server 1 name beta");
    does(&pen, "server beta blacklist 60");
    assert_eq!(state(&pen, 1), "blacklisted");
    assert_eq!(pen.asks(3), "AAA");
    does(&pen, "server beta reset");
    assert_eq!(state(&pen, 1), "up");
    assert!(pen.control("server 0 name beta").starts_with("error: "), "it is taken");
    assert!(
        pen.control("servers").lines().next().unwrap().ends_with(" name alpha"),
        "{}",
        pen.control("servers")
    );
}

#[test]
fn draining_lets_connections_end_and_takes_no_new_ones_not_even_of_old_clients() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([format!("alpha={a}"), format!("beta={b}")]).options("-O prio").start();
    let mut held = pen.connect();
    assert_eq!(held.line(), "A");
    does(&pen, "server alpha drain");
    assert_eq!(state(&pen, 0), "draining");
    let text = pen.control("servers");
    let ends: Vec<_> = text.lines().map(|line| line.split_once(" name ").unwrap().1).collect();
    assert_eq!(ends, ["alpha state draining", "beta"]);
    assert_eq!(pen.asks(5), "BBBBB", "the client was at A");
    assert_eq!(held.exchange("still"), "still");
    assert!(!pen.stderr().contains("drained"), "{}", pen.stderr());
    held.end();
    drop(held);
    eventually(
        "the end of draining to be told",
        || pen.stderr(),
        |said| said.contains(&format!("server 0 (alpha, {a}): drained")),
    );
    assert_eq!(state(&pen, 0), "draining", "until it is enabled");
    does(&pen, "server alpha enable");
    assert_eq!((state(&pen, 0), pen.ask_from("127.0.0.2")), ("up".into(), "A".into()));
}

#[test]
fn who_is_left_when_the_time_for_draining_is_over_is_cut() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([format!("alpha={a}"), format!("beta={b}")]).options("-O prio").start();
    let mut held = pen.connect();
    assert_eq!(held.line(), "A");
    does(&pen, "server alpha drain 1");
    assert!(held.rest().is_empty());
    eventually("nobody to be there", || servers(&pen)[0]["connections"].clone(), |count| *count == 0);
}

#[test]
fn disabled_is_kept_by_write_and_reload() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a, &b]).options("-r").start();
    does(&pen, "server 0 disable");
    does(&pen, "server 1 drain");
    assert_eq!((state(&pen, 0), state(&pen, 1)), ("disabled".into(), "draining".into()));
    assert_eq!(pen.ask(), "-");
    does(&pen, "write saved");
    let saved = pen.text("saved");
    drop(pen);
    let pen = Pen::before([&a, &b]).options("-r").config(&saved).start();
    assert_eq!((state(&pen, 0), state(&pen, 1)), ("disabled".into(), "draining".into()));
    pen.signal(Signal::SIGHUP);
    does(&pen, "server all enable");
    let mut names = [pen.ask(), pen.ask()];
    names.sort();
    assert_eq!(names, ["A", "B"]);
}

#[test]
fn numbers_of_living_servers_never_change_and_a_free_one_is_used_again() {
    let [a, b, c] = ["A", "B", "C"].map(Backend::named);
    let pen = Pen::before([&a, &b]).options("-r").start();
    assert_eq!(pen.control(&format!("server add gamma={c} weight 5")), "2\n");
    let mut held: Vec<Client> = (0..3).map(|_| pen.connect()).collect();
    let mut names: Vec<String> = held.iter_mut().map(Client::line).collect();
    let of_b = names.iter().position(|name| name == "B").unwrap();
    names.sort();
    assert_eq!(names, ["A", "B", "C"]);
    does(&pen, "server 1 remove");
    assert_eq!(state(&pen, 1), "removing");
    assert_eq!(held[of_b].exchange("still"), "still", "nobody is cut");
    assert_eq!(pen.control(&format!("server add delta={b}")), "3\n", "1 is not free yet");
    held.clear();
    eventually("1 to be free", || state(&pen, 1), |state| state == "unset");
    let open = || servers(&pen).iter().filter(|server| server["connections"] != 0).count();
    eventually("the others to be over", open, |open| *open == 0);
    assert_eq!(pen.control(&format!("server add epsilon={b}")), "1\n");
    let mut client = pen.connect();
    let name = client.line();
    let number = ["A", "B", "C"].iter().position(|known| *known == name).unwrap();
    let held_by: Vec<Value> = servers(&pen);
    let at = held_by.iter().position(|server| server["connections"] == 1).unwrap();
    assert!(number != 1 || at == 1 || at == 3);
    does(&pen, &format!("server {at} remove now"));
    assert!(client.rest().is_empty(), "cut");
}

#[test]
fn a_file_may_disable_a_server_of_the_command_line() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a, &b]).options("-r").config("server 0 disable\n").start();
    assert_eq!((state(&pen, 0), state(&pen, 1)), ("disabled".into(), "up".into()));
    assert_eq!(pen.asks(3), "BBB");
}
