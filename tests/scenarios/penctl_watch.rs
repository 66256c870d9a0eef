//! `penctl watch` on a terminal: what is shown of a pen at work, what keys do, and how the terminal is left.

use crate::common::backend::Backend;
use crate::common::pen::Pen;
use crate::common::process::status_field;
use crate::common::programs::{find, ours, run};
use crate::common::terminal::Terminal;
use crate::common::wait::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::num::NonZero;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

fn size(cells: u16) -> NonZero<u16> {
    NonZero::new(cells).unwrap()
}

fn screen(rows: u16, columns: u16) -> vt100::Parser {
    vt100::Parser::new(size(rows), size(columns), 0)
}

/// A penctl, and what stands on its screen.
struct Watch {
    terminal: Terminal,
    screen: vt100::Parser,
}

impl Watch {
    /// With this pen, on a terminal of its own as a shell would give it.
    fn of(pen: &Pen) -> Watch {
        let mut command = Command::new(find("setsid").unwrap());
        command.arg("--ctty").arg(ours("penctl")).arg("watch").arg(pen.path("control"));
        command.env("LANG", "C.UTF-8").env_remove("LC_ALL").env_remove("LC_CTYPE");
        Watch { terminal: Terminal::start(command, (80, 24)), screen: screen(24, 80) }
    }

    /// What is on the screen once that is as wanted.
    fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        loop {
            let shown = self.screen.screen().contents();
            if is_so(&shown) {
                return shown;
            }
            let more = self.terminal.read();
            self.screen.process(&more.unwrap_or_else(|trouble| panic!("{trouble} {what}:\n{shown}")));
        }
    }

    fn shows(&mut self, wanted: &str) -> String {
        self.until(wanted, |shown| shown.contains(wanted))
    }

    /// The line of a server has this word.
    fn server_is(&mut self, server: &str, word: &str) {
        let has = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.contains(&server) && words.contains(&word)
        };
        self.until(&format!("{server} to be {word}"), |shown| shown.lines().any(has));
    }

    fn pid(&self) -> u32 {
        self.terminal.child.id()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    /// Reads what is shown last, until the program has ended.
    fn ends(&mut self) -> std::process::ExitStatus {
        while let Ok(more) = self.terminal.read() {
            self.screen.process(&more);
        }
        assert!(!self.screen.screen().alternate_screen() && !self.screen.screen().hide_cursor());
        assert!(self.terminal.is_cooked(), "the terminal is left as it was");
        self.terminal.child.wait().unwrap()
    }
}

fn pen_before(servers: &[(&str, &Backend)]) -> Pen {
    let servers = servers.iter().map(|(name, backend)| format!("{name}={backend}"));
    Pen::before(servers).command("roundrobin").start()
}

#[test]
fn servers_are_shown_and_commanded_by_keys() {
    let backends = [Backend::named("A"), Backend::named("B")];
    let pen = pen_before(&[("red", &backends[0]), ("blue", &backends[1])]);
    let mut watch = Watch::of(&pen);
    watch.server_is("red", "up");
    watch.shows(&format!("pid {}", pen.pid()));
    assert_eq!(pen.asks(10).len(), 10);
    watch.until("new connections per second", |shown| {
        !shown.contains(" 0.0 new/s") && shown.contains("new/s")
    });
    watch.terminal.write("jd");
    watch.shows("drain blue of main? [y/N]");
    watch.terminal.write("y");
    watch.server_is("blue", "draining");
    assert_eq!(pen.asks(4), "AAAA");
    watch.terminal.write("x");
    watch.shows("disable blue of main? [y/N]");
    watch.terminal.write("n");
    watch.terminal.write("ey");
    watch.server_is("blue", "up");
    watch.terminal.write("b90\r");
    watch.server_is("blue", "blacklisted");
    watch.terminal.write("?");
    watch.shows("any of them leaves this page");
    watch.terminal.write(" /re\r");
    watch.until("the other to be filtered out", |shown| shown.contains("red") && !shown.contains("blue"));
    run("stty", &["-F", &watch.terminal.name(), "columns", "40", "rows", "8"], "");
    watch.screen.screen_mut().set_size(size(8), size(40));
    watch.until("a smaller page", |shown| shown.lines().count() <= 8 && shown.contains("only re"));
    watch.terminal.write("q");
    assert_eq!(watch.ends().code(), Some(0));
}

#[test]
fn the_terminal_is_given_back_for_every_signal() {
    let pen = pen_before(&[]);
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut watch = Watch::of(&pen);
        watch.shows("no servers");
        watch.signal(signal);
        assert_eq!(watch.ends().signal(), Some(signal as i32));
    }
    let mut watch = Watch::of(&pen);
    watch.shows("no servers");
    let is_stopped = |watch: &Watch| status_field(watch.pid(), "State").starts_with('T');
    for suspend in
        [|watch: &mut Watch| watch.terminal.write("\x1a"), |watch: &mut Watch| watch.signal(Signal::SIGTSTP)]
    {
        suspend(&mut watch);
        eventually("it to stop", || is_stopped(&watch), |stopped| *stopped);
        assert!(watch.terminal.is_cooked());
        watch.until("the other screen", |shown| !shown.contains("no servers"));
        watch.signal(Signal::SIGCONT);
        watch.shows("no servers");
    }
    watch.terminal.write("\x03");
    assert_eq!(watch.ends().code(), Some(0));
}

#[test]
fn a_pen_that_ends_is_waited_for() {
    let backend = Backend::named("A");
    let start = || Pen::before([format!("red={backend}")]);
    let keeper = start();
    let control = keeper.path("control");
    let first = start().control_at(control.display()).start();
    let mut command = Command::new(ours("penctl"));
    command.arg("watch").arg(&control);
    let mut watch = Watch { terminal: Terminal::start(command, (80, 24)), screen: screen(24, 80) };
    watch.shows(&format!("pid {}", first.pid()));
    drop(first);
    watch.shows("trying again");
    let second = start().control_at(control.display()).start();
    watch.shows(&format!("pid {}", second.pid()));
    watch.server_is("red", "up");
}

/// Whether a shell started it there, which passes the signal on, or something else.
#[test]
fn a_terminal_that_is_closed_ends_it() {
    let pen = pen_before(&[]);
    let mut command = Command::new(ours("penctl"));
    command.arg("watch").arg(pen.path("control"));
    let alone = Watch { terminal: Terminal::start(command, (80, 24)), screen: screen(24, 80) };
    for mut watch in [Watch::of(&pen), alone] {
        watch.shows("no servers");
        assert_eq!(watch.terminal.hang_up().signal(), Some(Signal::SIGHUP as i32));
    }
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() {
    let pen = pen_before(&[]);
    let ended = run("penctl", &["watch", pen.path("control").to_str().unwrap()], "");
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(ended.stderr.contains("watch: want a terminal"), "{ended:?}");
}
