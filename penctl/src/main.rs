//! `penctl`: sends commands to the control socket of a running pen and shows the answers.
//!
//! Owns the arguments and the order of things; `client` talks to pen, `screen` shows, `shell` is the interactive part.

mod candidates;
mod screen;
mod shell;
mod table;

use getopts::{Options, ParsingStyle};
use pen_proto::help::Shell;
use pen_proto::words::written;
use pen_sys::control::{Address, Session};
use pen_sys::program::complain;
use screen::Screen;
use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

const SYNOPSIS: &str = "usage: penctl [-e COMMAND]... HOST:PORT|/PATH [COMMAND...]";

const HELP: &str = "\
Sends commands to the control socket of a running pen and prints the answers.

  -e COMMAND     send this command; may be repeated, all go through one
                 connection, and the first error ends it
  -h, --help     print this
      --version  print the version
      --completions SHELL
                 print the completion script for bash, zsh or fish

The words of COMMAND are joined by blanks; of several, one that has blanks in
it is put into double quotes. Without a command, a terminal gets a shell;
otherwise commands are read from standard input, one a line.
Exit status: 0, or 1 if pen could not be reached or answered with an error.
";

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Help,
    Version,
    Completions(Shell),
    /// What a completion script asks: the line up to the cursor, without the program.
    Complete(String),
    /// An address and the commands for it; none means standard input.
    Talk {
        address: String,
        commands: Vec<String>,
    },
}

fn main() -> ExitCode {
    let wish = pen_sys::program::arguments().and_then(|arguments| read_arguments(&arguments));
    let done = wish.and_then(|wish| match wish {
        Wish::Help => Screen::of_stdout().print(&format!("{SYNOPSIS}\n\n{HELP}")),
        Wish::Version => Screen::of_stdout().print(&format!("penctl {}\n", env!("CARGO_PKG_VERSION"))),
        Wish::Completions(shell) => Screen::of_stdout().print(&shell.for_penctl()),
        Wish::Complete(line) => Screen::of_stdout().print(&candidates::for_shell(&line)),
        Wish::Talk { address, commands } => talk(Address::parse(&address)?, &commands),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            complain(format_args!("penctl: {}", table::harmless(&trouble)));
            ExitCode::FAILURE
        }
    }
}

/// Options stand before or right behind the address; a command's own words may begin with `-`.
fn read_arguments(arguments: &[String]) -> Result<Wish, String> {
    let mut options = Options::new();
    options.parsing_style(ParsingStyle::StopAtFirstFree);
    options.optmulti("e", "", "", "COMMAND").optflag("h", "help", "").optflag("", "version", "");
    options.optopt("", "completions", "", "SHELL").optopt("", "complete", "", "LINE");
    let parse = |words: &[String]| options.parse(words).map_err(|error| format!("{error}\n{SYNOPSIS}"));
    let before = parse(arguments)?;
    let behind = parse(before.free.get(1..).unwrap_or_default())?;
    if before.opt_present("help") || behind.opt_present("help") {
        return Ok(Wish::Help);
    }
    if before.opt_present("version") || behind.opt_present("version") {
        return Ok(Wish::Version);
    }
    if let Some(shell) = before.opt_str("completions") {
        return Shell::parse(&shell).map(Wish::Completions);
    }
    if let Some(line) = before.opt_str("complete") {
        return Ok(Wish::Complete(line));
    }
    let address = before.free.first().ok_or(SYNOPSIS)?;
    let mut commands = [before.opt_strs("e"), behind.opt_strs("e")].concat();
    if !behind.free.is_empty() {
        commands.push(match &behind.free[..] {
            [line] => line.clone(),
            words => words.iter().map(|word| written(word)).collect::<Vec<_>>().join(" "),
        });
    }
    if let Some(broken) = commands.iter().find(|command| command.contains(['\n', '\r'])) {
        return Err(format!("a command is one line, got {}", pen_proto::addr::quoted(broken)));
    }
    Ok(Wish::Talk { address: address.clone(), commands })
}

fn talk(address: Address, commands: &[String]) -> Result<(), String> {
    let screen = Screen::of_stdout();
    match commands {
        [] if io::stdin().is_terminal() => shell::run(Session::open(address)?, screen),
        [] => obey_lines(&mut Session::open(address)?, screen, io::stdin().lock()),
        // A session even for one: without it, being turned away looks like the empty answer of most settings.
        commands => {
            let mut session = Session::open(address)?;
            commands.iter().try_for_each(|command| screen.show(command, |command| session.ask(command)))
        }
    }
}

/// Carries out commands line by line, as they come, until one fails.
fn obey_lines(session: &mut Session, screen: Screen, lines: impl BufRead) -> Result<(), String> {
    for (index, line) in lines.lines().enumerate() {
        let line = line.map_err(|error| format!("standard input: {error}"))?;
        match line.trim() {
            "" => {}
            "quit" => break,
            command => screen
                .show(command, |command| session.ask(command))
                .map_err(|trouble| format!("line {}: {trouble}", index + 1))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str) -> Result<Wish, String> {
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_string).collect();
        read_arguments(&arguments)
    }

    fn talk(address: &str, commands: &[&str]) -> Result<Wish, String> {
        let commands = commands.iter().map(|command| command.to_string()).collect();
        Ok(Wish::Talk { address: address.into(), commands })
    }

    #[test]
    fn words_after_the_address_are_one_command() {
        assert_eq!(
            read("localhost:8888 server 1 blacklist 30"),
            talk("localhost:8888", &["server 1 blacklist 30"])
        );
        let arguments = [":1", "web_stats", "the page.html"].map(str::to_string);
        assert_eq!(read_arguments(&arguments), talk(":1", &["web_stats \"the page.html\""]));
        let arguments = [":1", "server 1 blacklist 30"].map(str::to_string);
        assert_eq!(read_arguments(&arguments), talk(":1", &["server 1 blacklist 30"]), "a line");
        assert_eq!(read("/run/pen.ctl"), talk("/run/pen.ctl", &[]));
        assert_eq!(
            read("-e mode -e pid :8888 blacklist -e"),
            talk(":8888", &["mode", "pid", "blacklist -e"])
        );
    }

    #[test]
    fn options_may_stand_behind_the_address() {
        assert_eq!(read(":8888 -e mode"), talk(":8888", &["mode"]));
        assert_eq!(read("-e mode :8888 -e pid servers -e"), talk(":8888", &["mode", "pid", "servers -e"]));
        assert_eq!(read(":8888 --help"), Ok(Wish::Help));
        assert!(read(":8888 -x").unwrap_err().contains("usage: penctl"));
    }

    #[test]
    fn a_call_without_address_is_explained() {
        for arguments in ["", "-e mode", "-x", "-e"] {
            assert!(read(arguments).unwrap_err().contains("usage: penctl"), "{arguments}");
        }
        assert_eq!(read("--help"), Ok(Wish::Help));
        assert_eq!(read("--version :8888 mode"), Ok(Wish::Version));
    }

    #[test]
    fn a_command_is_one_line() {
        let arguments = [":8888", "mode\nexit"].map(str::to_string);
        assert_eq!(read_arguments(&arguments), Err("a command is one line, got \"mode\\nexit\"".into()));
    }
}
