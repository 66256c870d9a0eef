//! `penctl`: sends commands to the control socket of a running pen and shows the answers.
//!
//! Owns the arguments and the order of things; `client` talks to pen, `screen` shows, `shell` is the interactive part.

mod candidates;
mod octopus;
mod pens;
mod screen;
mod shell;
#[cfg(feature = "watch")]
mod watch;

use getopts::{Options, ParsingStyle};
use pen_proto::help::Shell;
use pen_proto::words::written;
use pen_sys::control::{Address, Session};
use pen_sys::program::complain;
use penctl::table;
use screen::Screen;
use std::io::{self, BufRead, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

const SYNOPSIS: &str = "\
usage: penctl [-e COMMAND]... [HOST:PORT|/PATH|NAME [COMMAND...]]
       penctl watch [HOST:PORT|/PATH|NAME]";

const HELP: &str = "\
Sends commands to the control socket of a running pen and prints the answers.

  -e COMMAND     send this command; may be repeated, all go through one
                 connection, and the first error ends it
  -h, --help     print this
      --list     list the pens that run here
      --version  print the version
      --as octopuslb-admin
                 stand in for Octopus's program, with its command line; so
                 does a link of that name
      --completions SHELL
                 print the completion script for bash, zsh or fish

The words of COMMAND are joined by blanks; of several, one that has blanks in
it is put into double quotes. Without a command, a terminal gets a shell;
otherwise commands are read from standard input, one a line.

With the word watch, a terminal gets a live view of the pen, with keys for its
servers.

Without an address, penctl looks for the control sockets of pens in
$PEN_RUN_DIR, or else in $XDG_RUNTIME_DIR/pen and /run/pen, and in the
directories there. It takes the only one, or asks which; NAME is the name of
one of them.
Exit status: 0, or 1 if pen could not be reached or answered with an error.
";

/// What shows a pen live.
const WATCH: &str = "watch";

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Help,
    Version,
    Completions(Shell),
    /// What a completion script asks: the line up to the cursor, without the program.
    Complete(String),
    /// The pens that run here.
    List,
    /// The live view of the pen at this address, or of the one that runs here.
    Watch(Option<String>),
    /// An address, or none for the pen that runs here, and the commands for it; none means standard input.
    Talk {
        address: Option<String>,
        commands: Vec<String>,
    },
}

fn main() -> ExitCode {
    let arguments = pen_sys::program::arguments();
    if let Ok(arguments) = &arguments
        && let Some(words) = octopus_words(arguments)
    {
        return octopus::run(words);
    }
    let wish = arguments.and_then(|arguments| read_arguments(&arguments));
    let done = wish.and_then(|wish| match wish {
        Wish::Help => Screen::of_stdout().print(&format!("{SYNOPSIS}\n\n{HELP}")),
        Wish::Version => Screen::of_stdout().print(&format!("penctl {}\n", env!("CARGO_PKG_VERSION"))),
        Wish::Completions(shell) => Screen::of_stdout().print(&shell.for_penctl()),
        Wish::Complete(line) => Screen::of_stdout().print(&candidates::for_shell(&line)),
        Wish::List => {
            let found = pens::find(&pens::directories());
            pens::troubles(&found).for_each(|trouble| complain(format_args!("penctl: {trouble}")));
            let screen = Screen::of_stdout();
            screen.print(&pens::list(&found, screen.colour(), screen.width()))
        }
        Wish::Watch(address) => watch(address.as_deref()),
        Wish::Talk { address, commands } => talk(address_of(address.as_deref())?, &commands),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            complain(format_args!("penctl: {}", table::harmless(&trouble)));
            ExitCode::FAILURE
        }
    }
}

/// The words for Octopus's program, if that is what is to be stood in for: by `--as`, or by the program's name.
fn octopus_words(arguments: &[String]) -> Option<&[String]> {
    let name = std::env::args_os().next();
    let name = name.as_deref().and_then(|name| Path::new(name).file_name());
    match arguments {
        [option, name, words @ ..] if option == "--as" && name == octopus::NAME => Some(words),
        words => (name.is_some_and(|name| name == octopus::NAME)).then_some(words),
    }
}

/// Options stand before or right behind the address; a command's own words may begin with `-`.
fn read_arguments(arguments: &[String]) -> Result<Wish, String> {
    let mut options = Options::new();
    options.parsing_style(ParsingStyle::StopAtFirstFree);
    options.optmulti("e", "", "", "COMMAND").optflag("h", "help", "").optflag("", "version", "");
    options.optflag("", "list", "").optopt("", "completions", "", "SHELL").optopt("", "complete", "", "LINE");
    let parse = |words: &[String]| options.parse(words).map_err(|error| format!("{error}\n{SYNOPSIS}"));
    let before = parse(arguments)?;
    let behind = parse(before.free.get(1..).unwrap_or_default())?;
    if before.opt_present("help") || behind.opt_present("help") {
        return Ok(Wish::Help);
    }
    if before.opt_present("version") || behind.opt_present("version") {
        return Ok(Wish::Version);
    }
    if before.opt_present("list") || behind.opt_present("list") {
        return Ok(Wish::List);
    }
    if let Some(shell) = before.opt_str("completions") {
        return Shell::parse(&shell).map(Wish::Completions);
    }
    if let Some(line) = before.opt_str("complete") {
        return Ok(Wish::Complete(line));
    }
    let address = before.free.first().cloned();
    match &before.free[..] {
        [word] if word == WATCH => return Ok(Wish::Watch(None)),
        [word, address] | [address, word] if word == WATCH => return Ok(Wish::Watch(Some(address.clone()))),
        [word, ..] if word == WATCH => return Err(format!("watch: want one address\n{SYNOPSIS}")),
        _ => {}
    }
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
    Ok(Wish::Talk { address, commands })
}

#[cfg(feature = "watch")]
fn watch(address: Option<&str>) -> Result<(), String> {
    watch::run(address_of(address)?, Screen::of_stdout())
}

#[cfg(not(feature = "watch"))]
fn watch(_: Option<&str>) -> Result<(), String> {
    Err("watch: this penctl was built without the feature watch".into())
}

/// An address as it is given, that of a pen of this name, or that of the pen that runs here.
fn address_of(given: Option<&str>) -> Result<Address, String> {
    let is_address = |text: &str| text.contains([':', '/']) || text.parse::<u16>().is_ok();
    if let Some(address) = given.filter(|given| is_address(given)) {
        return Address::parse(address);
    }
    let directories = pens::directories();
    let found = pens::find(&directories);
    if let Some(name) = given {
        let pen = pens::pick(&found, name);
        return Address::parse(&pen.map_err(|trouble| format!("{trouble}\n{SYNOPSIS}"))?.address());
    }
    pens::troubles(&found).for_each(|trouble| complain(format_args!("penctl: {trouble}")));
    let screen = Screen::of_stdout();
    let which = |found: &[pens::Pen]| {
        screen.print(&pens::list(found, screen.colour(), screen.width()))?;
        match io::stdin().is_terminal() && screen.is_terminal() {
            true => ask_which(found, screen),
            false => {
                Err("several pens run here: want the name or socket of one, such as penctl NAME servers"
                    .into())
            }
        }
    };
    let chosen = pens::choose(&found, &directories, which)?;
    Address::parse(&chosen.ok_or("no pen was chosen")?)
}

/// Asks until the answer is one of them; `None` at the end of input, or for an empty line.
fn ask_which(found: &[pens::Pen], screen: Screen) -> Result<Option<String>, String> {
    loop {
        screen.print("which one, by number or name? ")?;
        let mut line = String::new();
        let count = io::stdin().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
        match line.trim() {
            "" => {
                screen.print(if count == 0 { "\n" } else { "" })?;
                return Ok(None);
            }
            word => match pens::pick(found, word) {
                Ok(pen) => return Ok(Some(pen.address())),
                Err(trouble) => complain(trouble),
            },
        }
    }
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
        Ok(Wish::Talk { address: Some(address.into()), commands })
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
    fn a_call_without_address_is_for_the_pen_that_runs_here() {
        for arguments in ["-x", "-e"] {
            assert!(read(arguments).unwrap_err().contains("usage: penctl"), "{arguments}");
        }
        assert_eq!(read(""), Ok(Wish::Talk { address: None, commands: Vec::new() }));
        assert_eq!(read("-e mode"), Ok(Wish::Talk { address: None, commands: vec!["mode".into()] }));
        assert_eq!(read("--list"), Ok(Wish::List));
        assert_eq!(read("--help"), Ok(Wish::Help));
        assert_eq!(read("--version :8888 mode"), Ok(Wish::Version));
    }

    #[test]
    fn watch_takes_an_address_or_none() {
        assert_eq!(read("watch"), Ok(Wish::Watch(None)));
        assert_eq!(read("watch :8888"), Ok(Wish::Watch(Some(":8888".into()))));
        assert_eq!(read("/run/pen.ctl watch"), Ok(Wish::Watch(Some("/run/pen.ctl".into()))));
        assert!(read("watch a b").unwrap_err().starts_with("watch: want one address"));
    }

    #[test]
    fn a_command_is_one_line() {
        let arguments = [":8888", "mode\nexit"].map(str::to_string);
        assert_eq!(read_arguments(&arguments), Err("a command is one line, got \"mode\\nexit\"".into()));
    }
}
