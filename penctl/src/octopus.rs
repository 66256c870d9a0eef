//! `penctl --as octopuslb-admin`, or a link of that name: Octopus's administration program, for pens.
//!
//! Owns its options, where it attaches, and its shell. `words` knows its commands, `farm` what pen says of itself, `show`
//! how that is printed, and `deeds` what the commands are in pen's language.

mod deeds;
mod farm;
mod show;
mod words;

use crate::screen::Screen;
use crate::table::harmless;
use deeds::{Admin, Next};
use getopts::{Options, ParsingStyle};
use pen_sys::control::{Address, Session};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::io::{self, BufRead, IsTerminal};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The program's name.
pub const NAME: &str = "octopuslb-admin";
/// Exit status of what was refused.
const REFUSED: u8 = 255;
/// Where Octopus's packages keep run files, and pen the sockets in their place.
const RUN_DIR: &str = "/var/run/octopuslb/";
/// Sockets that are listed.
const INSTANCES_MAX: usize = 512;

const USAGE: &str = "\
Usage: octopuslb-admin [-f SHM_FILE] [-d SHM_FILE_DIR] [-e CMD] [-r] [-i] [-m] [-h]
  -f FILE    attach to the pen with this control socket, or run file's name; no scan
  -d DIR     directory to scan (/var/run/octopuslb/)
  -e \"CMD\"   run one command and end: 0 when it is done, 255 when it is refused
  -r         read-only
  -i         has no effect: versions need not match
  -m         comma-separated output, for use with -e
  -h         print this help
This is penctl. Its own shell has more: penctl --help
";

/// What the options say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    file: Option<String>,
    directory: PathBuf,
    command: Option<String>,
    is_read_only: bool,
    is_machine: bool,
}

/// Runs with the words after the program's name.
pub fn run(words: &[String]) -> ExitCode {
    let screen = Screen::of_stdout();
    let done = read(words).and_then(|wish| match wish {
        None => screen.print(USAGE),
        Some(wish) => attend(&wish, screen),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            // A refusal was printed already.
            if !trouble.is_empty() {
                pen_sys::program::complain(harmless(&trouble));
            }
            ExitCode::from(REFUSED)
        }
    }
}

/// `None`: the usage is wanted.
fn read(words: &[String]) -> Result<Option<Wish>, String> {
    let mut options = Options::new();
    options.parsing_style(ParsingStyle::FloatingFrees);
    options.optopt("f", "", "", "FILE").optopt("d", "", "", "DIR").optopt("e", "", "", "CMD");
    options.optflag("r", "", "").optflag("i", "", "").optflag("m", "", "").optflag("h", "", "");
    let given = options.parse(words).map_err(|error| format!("ERROR: {error}\n{}", USAGE.trim_end()))?;
    if given.opt_present("h") {
        return Ok(None);
    }
    if let Some(stray) = given.free.first() {
        return Err(format!("ERROR: {stray}: want an option\n{}", USAGE.trim_end()));
    }
    Ok(Some(Wish {
        file: given.opt_str("f"),
        directory: given.opt_str("d").unwrap_or_else(|| RUN_DIR.to_owned()).into(),
        command: given.opt_str("e"),
        is_read_only: given.opt_present("r"),
        is_machine: given.opt_present("m"),
    }))
}

/// Attaches, and does what is wanted.
fn attend(wish: &Wish, screen: Screen) -> Result<(), String> {
    let path = match &wish.file {
        Some(file) => named(file, &wish.directory),
        None => choose(&wish.directory, screen)?,
    };
    let mut admin = attach(&path, wish, screen)?;
    match &wish.command {
        Some(command) => admin.obey(command).map(drop),
        None => converse(admin, wish, screen),
    }
}

/// A path, or the name of a run file in the directory.
fn named(file: &str, directory: &Path) -> PathBuf {
    if file.contains('/') { file.into() } else { directory.join(file) }
}

fn attach(path: &Path, wish: &Wish, screen: Screen) -> Result<Admin, String> {
    let address = Address::parse(&path.display().to_string())?;
    let session = Session::open(address).map_err(|trouble| format!("ERROR: Could not attach: {trouble}"))?;
    let admin = Admin::new(session, wish.is_read_only, wish.is_machine, screen)?;
    screen.print(&admin.greeting())?;
    Ok(admin)
}

/// The instance that is meant by nobody in particular: the only one, or the one that a person chooses.
fn choose(directory: &Path, screen: Screen) -> Result<PathBuf, String> {
    let mut found = instances(directory);
    match found.len() {
        0 => Err("ERROR: Could not find any instances".to_owned()),
        1 => Ok(found.remove(0)),
        _ => {
            let list =
                found.iter().enumerate().map(|(number, path)| format!("{number}: {}\n", path.display()));
            let list: String = list.collect();
            screen.print(&format!("select an instance...\n{}> ", harmless(&list)))?;
            let mut line = String::new();
            io::stdin()
                .lock()
                .read_line(&mut line)
                .map_err(|error| format!("ERROR: standard input: {error}"))?;
            let number = line.trim().parse::<usize>().ok().filter(|number| *number < found.len());
            number
                .map(|number| found.swap_remove(number))
                .ok_or_else(|| "ERROR: Invalid instance!".to_owned())
        }
    }
}

/// The control sockets in a directory, by name.
fn instances(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let is_socket = |path: &PathBuf| path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    let mut paths: Vec<PathBuf> = paths.filter(is_socket).take(INSTANCES_MAX).collect();
    paths.sort();
    paths
}

/// The shell, until somebody leaves it or pen is gone.
fn converse(mut admin: Admin, wish: &Wish, screen: Screen) -> Result<(), String> {
    screen.print(&admin.welcome())?;
    let mut lines = Lines::new(screen)?;
    while let Some(line) = lines.next(admin.prompt())? {
        match admin.obey(&line) {
            Ok(Next::Go) => {}
            Ok(Next::Leave) => return Ok(()),
            Ok(Next::Scan) => {
                // As with Octopus, right to change something is tried for anew.
                let wish = Wish { is_read_only: false, ..wish.clone() };
                admin = attach(&choose(&wish.directory, screen)?, &wish, screen)?;
            }
            Err(trouble) if admin.is_attached() => {
                if !trouble.is_empty() {
                    pen_sys::program::complain(harmless(&trouble));
                }
            }
            Err(trouble) => return Err(format!("The balancer is gone: {trouble}")),
        }
    }
    Ok(())
}

/// Where commands come from: a terminal with an editor, or anything else.
enum Lines {
    Terminal(Box<DefaultEditor>),
    Plain(Screen),
}

impl Lines {
    fn new(screen: Screen) -> Result<Lines, String> {
        match io::stdin().is_terminal() {
            true => {
                let editor = DefaultEditor::new().map_err(|error| format!("ERROR: terminal: {error}"))?;
                Ok(Lines::Terminal(Box::new(editor)))
            }
            false => Ok(Lines::Plain(screen)),
        }
    }

    /// The next line; `None` at the end.
    fn next(&mut self, prompt: &str) -> Result<Option<String>, String> {
        match self {
            Lines::Terminal(editor) => loop {
                match editor.readline(prompt) {
                    Ok(line) => {
                        // Fails only when the history is full of something else than text.
                        let _ = editor.add_history_entry(&line);
                        return Ok(Some(line));
                    }
                    Err(ReadlineError::Interrupted) => {}
                    Err(ReadlineError::Eof) => return Ok(None),
                    Err(error) => return Err(format!("ERROR: terminal: {error}")),
                }
            },
            Lines::Plain(screen) => {
                screen.print(prompt)?;
                let mut line = String::new();
                let count = io::stdin().lock().read_line(&mut line);
                let count = count.map_err(|error| format!("ERROR: standard input: {error}"))?;
                Ok((count > 0).then_some(line))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_are_octopuss() {
        let wish = read(&words("-f octopus-1.14-0.0.0.0-80 -d /r -e show -r -i -m")).unwrap().unwrap();
        assert_eq!((wish.command.as_deref(), wish.is_read_only, wish.is_machine), (Some("show"), true, true));
        assert_eq!(
            named("octopus-1.14-0.0.0.0-80", &wish.directory),
            Path::new("/r/octopus-1.14-0.0.0.0-80")
        );
        assert_eq!(named("./socket", &wish.directory), Path::new("./socket"));
        assert_eq!(read(&words("")).unwrap().unwrap().directory, Path::new(RUN_DIR));
        assert_eq!(read(&words("-h")), Ok(None));
        assert!(read(&words("-x")).unwrap_err().starts_with("ERROR: Unrecognized option: 'x'\nUsage: "));
        assert!(read(&words("show")).unwrap_err().starts_with("ERROR: show: want an option\n"));
    }
}
