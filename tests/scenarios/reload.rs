//! `reload` and HUP: what a file said that has changed, and what came of it.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use std::fs;

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
