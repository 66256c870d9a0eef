//! `reload` and HUP: what a file said that has changed, and what came of it.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

/// Reloads with these lines in the file and returns the answer.
fn reload(pen: &Pen, lines: &str) -> String {
    fs::write(pen.path("pen.conf"), lines).unwrap();
    pen.control("reload")
}

#[test]
fn reload_answers_what_came_of_it() {
    let server = Backend::named("A");
    let pen = Pen::before([&server]).config("blacklist 5\n").start();
    assert_eq!(reload(&pen, "blacklist 6\n"), "");
    assert_eq!(pen.control("blacklist"), "6\n");
    let refused = reload(&pen, "blacklist 7\nserver 0 weight x\n");
    assert!(
        refused.starts_with("error: ") && refused.contains("pen.conf:2: server 0: weight: "),
        "{refused}"
    );
    assert_eq!(pen.control("blacklist"), "6\n");
    assert!(pen.stderr().contains("pen.conf:2: server 0: weight: "), "the log has it as well");
    let news = reload(&pen, "blacklist 7\nthreads 99\n");
    assert!(news.contains("pen.conf:2: threads: only at start"), "{news}");
    assert_eq!(pen.control("blacklist"), "7\n");
    let refused = reload(&pen, "blacklist 8\nreload\n");
    assert!(refused.contains("pen.conf:2: reload: only on the control socket"), "{refused}");
    assert_eq!((pen.control("blacklist").as_str(), pen.ask().as_str()), ("7\n", "A"));
}

#[test]
fn each_who_wants_a_reload_is_told_of_a_reading_after_the_wish() {
    let pen = Pen::before([] as [&str; 0]).config("").start();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let pen = &pen;
            scope.spawn(move || {
                for round in 0..5 {
                    let answer = pen.control("reload");
                    assert_eq!(answer, "", "{client} {round}");
                }
            });
        }
    });
}

#[test]
fn a_hundred_servers_come_and_go_in_one_step_and_no_client_notices() {
    let backends: Vec<Backend> = (0..4).map(|number| Backend::named(&number.to_string())).collect();
    let file = |round: usize| {
        let line = |number| format!("server add r{round}-{number}={}\n", backends[round % backends.len()]);
        (0..100).map(line).collect::<String>()
    };
    let pen = Pen::before([] as [&str; 0]).options("-r").config(&file(0)).start();
    let is_over = AtomicBool::new(false);
    let mut held: Vec<_> = (0..20).map(|_| pen.connect()).collect();
    held.iter_mut().for_each(|client| assert_eq!(client.line(), "0"));
    std::thread::scope(|scope| {
        let clients = [0, 1].map(|_| {
            scope.spawn(|| {
                let mut count = 0;
                while !is_over.load(Ordering::Relaxed) {
                    assert_ne!(pen.ask(), "-", "client {count}");
                    count += 1;
                }
                count
            })
        });
        for round in 1..8 {
            assert_eq!(reload(&pen, &file(round)), "");
            let servers = pen.control("servers");
            let there = servers.lines().filter(|line| line.contains(&format!(" name r{round}-"))).count();
            assert_eq!(there, 100, "{servers}");
            assert_eq!(pen.ask(), (round % backends.len()).to_string());
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(clients.into_iter().all(|client| client.join().unwrap() > 10));
    });
    held.iter_mut().for_each(|client| assert_eq!(client.exchange("still"), "still"));
}

#[test]
fn a_server_that_stays_keeps_its_number_clients_and_totals_wherever_its_line_stands() {
    let [a, b, c] = ["A", "B", "C"].map(Backend::named);
    let pen = Pen::before([] as [&str; 0]).config(&format!("server add {a}\nserver add b={b}\n")).start();
    let second = [pen.ask(), pen.ask_from("127.0.0.7")];
    assert_ne!(second[0], second[1], "round robin");
    let text = format!("server add {c}\nserver add b={b} max 50\nserver add {a} weight 3\n");
    assert_eq!(reload(&pen, &text), "");
    let servers = pen.control("servers");
    let lines: Vec<&str> = servers.lines().collect();
    let port = |server: &Backend| format!("port {} ", server.port());
    assert!(
        lines[0].starts_with("0 ") && lines[0].contains(&port(&a)) && lines[0].contains(" weight 3 "),
        "{servers}"
    );
    assert!(
        lines[1].starts_with("1 ") && lines[1].contains(&port(&b)) && lines[1].contains(" max 50 "),
        "{servers}"
    );
    assert!(lines[2].starts_with("2 ") && lines[2].contains(&port(&c)), "{servers}");
    assert_eq!([pen.ask(), pen.ask_from("127.0.0.7")], second);
    let json: serde_json::Value = serde_json::from_str(&pen.control("servers json")).unwrap();
    assert_eq!(json[1]["connections_total"], 2, "{json}");
}

#[test]
fn what_write_saved_counts_as_said() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let pen = Pen::before([&a]).config("").start();
    pen.control(&format!("server add b={b}"));
    pen.control("blacklist 4");
    assert_eq!(pen.control("write"), "");
    let text = pen.text("pen.conf");
    let without: String =
        text.lines().filter(|line| !line.ends_with("name b")).map(|line| format!("{line}\n")).collect();
    assert_eq!(reload(&pen, &without.replace("blacklist 4\n", "")), "");
    assert_eq!(pen.control("blacklist"), "30\n");
    assert!(!pen.control("servers").contains("name b"), "{text}");
    assert_eq!(pen.ask(), "A");
}

#[test]
fn services_of_the_file_come_and_go() {
    let [a, b] = ["A", "B"].map(Backend::named);
    let ports: Vec<u16> = (0..3).map(|_| crate::common::ports::free_port()).collect();
    let service =
        |number: usize| format!("service s{number}\nlisten 127.0.0.1:{}\nserver add {b}\n", ports[number]);
    let pen = Pen::before([&a]).config(&(service(0) + &service(1))).start();
    pen.control("service add live");
    let ask = |number: usize| {
        let stream = std::net::TcpStream::connect(("127.0.0.1", ports[number]));
        stream.is_ok()
    };
    assert_eq!([0, 1, 2].map(ask), [true, true, false]);
    assert_eq!(reload(&pen, &(service(1) + &service(2))), "");
    assert_eq!([0, 1, 2].map(ask), [false, true, true]);
    let services = pen.control("services");
    let names: Vec<&str> = services.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["main", "s1", "live", "s2"]);
    assert_eq!(pen.ask(), "A");
}
