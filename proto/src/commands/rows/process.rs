//! The rows about the process.

use super::{FILE, NUMBER, SECONDS, arg, flag, number, text};
use crate::commands::{Complete, Flag, From, Group, Kind, Number, Row, SECONDS_MAX, Scope, Text, When};

const START: Row = Row {
    group: Group::Process,
    scope: Scope::Process,
    kind: Kind::OptionOnly,
    when: When::Start,
    ..super::LIVE
};
const NEW: Row = Row { group: Group::Process, scope: Scope::Process, ..super::NEW };

pub const ROWS: &[Row] = &[
    Row {
        word: "abort_on_error",
        no: true,
        kind: flag(Flag::AbortOnError),
        when: When::Live,
        summary: "end with abort() on a fatal error",
        detail: "Leaves a core file for a debugger.",
        ..START
    },
    Row {
        word: "exit_enabled",
        letter: Some('X'),
        no: true,
        kind: flag(Flag::ExitEnabled),
        summary: "allow the command exit",
        detail: "A control client cannot switch it on.",
        from: From::Here,
        since: "0.1.0",
        ..START
    },
    Row {
        word: "restart_timeout",
        args: SECONDS,
        kind: number(Number::RestartTimeout, 1, SECONDS_MAX, 5),
        unit: "seconds",
        summary: "how long connections may outlast a restart that keeps the port open",
        detail: "After QUIT, which systemd sends for a restart, the next pen takes over the listening \
                 sockets. New clients wait until this pen has ended; it closes the connections that are \
                 still open after this time.",
        ..NEW
    },
    Row {
        word: "shutdown_timeout",
        args: SECONDS,
        kind: number(Number::ShutdownTimeout, 0, SECONDS_MAX, 30),
        unit: "seconds",
        summary: "how long connections may outlast a graceful stop; 0: no limit",
        detail: "pen then closes the connections that are still open. With 0 it waits for the last one.",
        ..NEW
    },
    Row {
        word: "threads",
        long: Some("threads"),
        args: NUMBER,
        kind: number(Number::Threads, 0, 256, 0),
        when: When::Start,
        unit: "threads",
        summary: "worker threads; 0: one for each processor",
        detail: "With 0 pen starts one for each processor that it may run on.",
        ..NEW
    },
    Row {
        word: "-f",
        letter: Some('f'),
        kind: flag(Flag::Foreground),
        summary: "stay in the foreground, messages on standard error",
        ..START
    },
    Row {
        word: "-j",
        letter: Some('j'),
        args: &[arg("DIRECTORY", Complete::Path)],
        kind: text(Text::Jail),
        summary: "make a directory the root of the file system",
        detail: "See chroot(2). Needs root; use it together with `-u`.",
        ..START
    },
    Row {
        word: "-p",
        letter: Some('p'),
        args: FILE,
        kind: text(Text::PidFile),
        summary: "write the process number to a file",
        detail: "pen removes the file when it ends.",
        ..START
    },
    Row {
        word: "-u",
        letter: Some('u'),
        args: &[arg("USER", Complete::Text)],
        kind: text(Text::User),
        summary: "run as this user",
        detail: "By name or by number; a number that no user has stands for itself and the group of the same \
                 number. pen opens its addresses first.",
        ..START
    },
    Row {
        word: "--as",
        long: Some("as"),
        args: &[arg("PROGRAM", Complete::Words(&["glbd", "octopuslb-server"]))],
        kind: Kind::OptionOnly,
        when: When::Start,
        summary: "run in place of another program, with its command line",
        detail: "PROGRAM is `glbd`, GLB's daemon, or `octopuslb-server`, Octopus's. Everything behind it is that \
                 program's command line: `pen --as glbd --help` and `pen --as octopuslb-server -h` list it. A link \
                 of the program's name that leads to pen does the same.",
        ..NEW
    },
    Row {
        word: "--completions",
        long: Some("completions"),
        args: &[arg("SHELL", Complete::Words(&["bash", "zsh", "fish"]))],
        kind: Kind::OptionOnly,
        when: When::Start,
        summary: "write the completion script for a shell and end",
        detail: "For bash, zsh or fish. The packages install it; otherwise put it where the shell looks for \
                 it.",
        ..NEW
    },
    Row {
        word: "--demo",
        long: Some("demo"),
        kind: Kind::OptionOnly,
        when: When::Start,
        summary: "show pen at work with small servers of its own",
        ..NEW
    },
    Row {
        word: "--help",
        long: Some("help"),
        kind: Kind::OptionOnly,
        when: When::Start,
        summary: "list the options and end",
        ..NEW
    },
    Row {
        word: "--import",
        long: Some("import"),
        args: FILE,
        kind: Kind::OptionOnly,
        when: When::Start,
        summary: "print the configuration of another program as pen's and end",
        detail: "FILE is GLB's file of variables (`glbd.cfg`), `octopuslb.conf` of Octopus, or \
                 `config.xml` of txLoadBalancer or PythonDirector. Standard output has pen's commands, standard \
                 error what differs, with line numbers.",
        ..NEW
    },
    Row {
        word: "--version",
        long: Some("version"),
        kind: Kind::OptionOnly,
        when: When::Start,
        summary: "show the version and end",
        ..NEW
    },
];
