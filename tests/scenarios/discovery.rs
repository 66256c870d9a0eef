//! Members that checks name become servers, and go when nobody names them; weights that follow the time of checks.

use super::checks::{first_is, statuses};
use super::checks_exec::script;
use crate::common::backend::Backend;
use crate::common::pen::{Pen, Start};
use crate::common::wait::eventually;
use pen_proto::status::ServerState;

/// A program that answers for each server what the file of its port says, and 0 without one.
const BY_PORT: &str = "while read word && [ \"$word\" = poll ]; do cat \"$(dirname \"$0\")/say.${1##*:}\" 2>/dev/null || echo 0; done\n";

/// In front of the first of these, with `discover`.
fn discovering(servers: &[Backend]) -> Start {
    let start = Pen::before(&servers[..1]).options("-r").command("check_interval 0.05");
    let path = script(&start, BY_PORT);
    start.command(format!("check exec {}", path.display())).command("check_fall 3").command("discover")
}

fn of(pen: &Pen, server: &Backend, answer: &str) {
    let directory = pen.path("");
    std::fs::write(directory.join("said"), answer).unwrap();
    std::fs::rename(directory.join("said"), directory.join(format!("say.{}", server.port()))).unwrap();
}

/// The ports of the servers, those that were discovered with a `+`, those that are not up with a `-`.
fn ports(pen: &Pen) -> Vec<String> {
    let mark = |is: bool, mark: &'static str| if is { mark } else { "" };
    let shown =
        statuses(pen).into_iter().filter(|server| server.state != Some(ServerState::Unset)).map(|server| {
            let is_up = server.state == Some(ServerState::Up);
            format!("{}{}{}", server.port, mark(server.discovered, "+"), mark(!is_up, "-"))
        });
    let mut ports: Vec<String> = shown.collect();
    ports.sort();
    ports
}

fn become_these(pen: &Pen, wanted: &[String]) {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    eventually(&format!("{wanted:?}"), || ports(pen), |ports| *ports == wanted);
}

#[test]
fn members_that_are_named_are_servers_when_they_are_ready() {
    let servers = ["A", "B", "C"].map(Backend::named);
    let [a, b, c] = [0, 1, 2].map(|index| servers[index].port());
    let pen = discovering(&servers).start();
    become_these(&pen, &[format!("{a}-")]);
    of(&pen, &servers[0], &format!("3 127.0.0.1:{a},,AUTO,127.0.0.1:{b}:2,127.0.0.1:0,127.0.0.1:{b}\n"));
    become_these(&pen, &[a.to_string(), format!("{b}+-")]);
    assert_eq!(pen.asks(3), "AAA", "nobody has said that B is ready");
    of(&pen, &servers[1], &format!("3 127.0.0.1:{c}\n"));
    become_these(&pen, &[a.to_string(), format!("{b}+"), format!("{c}+-")]);
    assert_eq!(pen.asks(4).matches('B').count(), 2);
    assert_eq!(statuses(&pen)[1].weight_text(), "2");
    let line = format!("a check names 127.0.0.1:{b}, which is a server now");
    assert!(pen.stderr().contains(&line), "{}", pen.stderr());
    pen.control(&format!("write {}", pen.path("written").display()));
    let written = pen.text("written");
    assert!(written.contains(&format!("port {a} ")) && !written.contains(&format!("port {b} ")), "{written}");
    // A list without B is heard three times, then B goes; with it goes who named C.
    of(&pen, &servers[0], &format!("3 127.0.0.1:{a}\n"));
    of(&pen, &servers[1], "1\n");
    become_these(&pen, &[a.to_string()]);
    let gone = format!("server 1 (127.0.0.1:{b}) is named no longer, and goes");
    assert!(pen.stderr().contains(&gone), "{}", pen.stderr());
}

#[test]
fn who_names_nobody_or_is_not_ready_removes_nobody() {
    let servers = ["A", "B"].map(Backend::named);
    let [a, b] = [0, 1].map(|index| servers[index].port());
    let pen = discovering(&servers).start();
    of(&pen, &servers[0], &format!("3 127.0.0.1:{b}\n"));
    of(&pen, &servers[1], "3\n");
    become_these(&pen, &[a.to_string(), format!("{b}+")]);
    let answers = |pen: &Pen| pen.stderr().matches("127.0.0.1").count();
    for answer in ["3\n", "1 127.0.0.1:9\n", "2 127.0.0.1:9\n"] {
        of(&pen, &servers[0], answer);
        let before = answers(&pen);
        let state = match answer.as_bytes()[0] {
            b'3' => ServerState::Up,
            b'2' => ServerState::Avoid,
            _ => ServerState::Down,
        };
        first_is(&pen, state, "");
        // As many rounds as would remove it.
        let rounds = || statuses(&pen)[0].check_us;
        let mut seen = std::collections::BTreeSet::new();
        eventually(
            "some rounds",
            || {
                seen.insert(rounds());
                seen.len()
            },
            |count| *count > 8,
        );
        assert!(ports(&pen).contains(&format!("{b}+")), "{answer} {before}");
    }
}

#[test]
fn what_a_person_configured_stays_and_is_no_member() {
    let servers = ["A", "B"].map(Backend::named);
    let [a, b] = [0, 1].map(|index| servers[index].port());
    let pen = discovering(&servers).start();
    of(&pen, &servers[1], "3\n");
    of(&pen, &servers[0], &format!("3 localhost:{b}\n"));
    become_these(&pen, &[a.to_string(), format!("{b}+")]);
    pen.control(&format!("server add mine=127.0.0.1:{b}"));
    become_these(&pen, &[a.to_string(), b.to_string()]);
    of(&pen, &servers[0], &format!("3 127.0.0.1:{a}\n"));
    let rounds = pen.stderr();
    first_is(&pen, ServerState::Up, "");
    become_these(&pen, &[a.to_string(), b.to_string()]);
    assert!(rounds.contains("is named no longer"), "{rounds}");
    assert!(pen.control("check connect").contains("discover: want check exec"), "members must be checked");
    assert_eq!(pen.control("no discover"), "");
    assert_eq!(pen.control("check connect"), "");
}

#[test]
fn weights_follow_the_time_of_checks() {
    let servers = ["A", "B"].map(Backend::named);
    let start =
        Pen::before(&servers).options("-r").command("policy round_robin").command("check_interval 0.05");
    let slow = "while read word && [ \"$word\" = poll ]; do case $1 in *:PORT) sleep 0.2;; *) sleep 0.04;; esac; echo 3; done\n";
    let path = script(&start, &slow.replace("PORT", &servers[1].port().to_string()));
    let pen = start.command(format!("check exec {}", path.display())).start();
    eventually("both", || statuses(&pen), |all| all.iter().all(|server| server.check_us.is_some()));
    pen.control("latency 3");
    // The first is at least three times as fast.
    let share = || pen.asks(12).matches('B').count();
    eventually("few for the slow one", share, |count| *count <= 4);
    pen.control("latency 0");
    eventually("half", share, |count| *count == 6);
}
