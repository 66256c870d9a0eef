//! `pen --as octopuslb-server`: Octopus's command line as one of pen, with its file in the place of a configuration file.

use crate::imports::{self, Source};
use crate::sys::errors::reason;
use crate::sys::privileges;
use getopts::{Options, ParsingStyle};
use pen_core::imports::octopus;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The program's name.
pub const SERVER: &str = "octopuslb-server";
/// What scripts wait for.
pub const STARTED: &str = "STARTUP: main: octopus startup completed";
/// Its exit status after an error.
pub const FAILED: u8 = 255;

const USAGE: &str = "\
Usage: octopuslb-server [-hf] [-c config-file] [-d level]
  -c FILE    configuration file (octopuslb.conf); read again on HUP
  -f         stay in the foreground, messages on standard error
  -d LEVEL   debug level, 0 to 6; in place of debug_level of the file
  -h         print this help
This is pen. What the file becomes: pen --import FILE
";

/// What the command line asks for.
pub enum Asked {
    /// This is to be printed, and that is all.
    Text(&'static str),
    Run(Server),
}

/// How to run in Octopus's place.
pub struct Server {
    /// For pen.
    pub arguments: Vec<String>,
    /// Reads the file.
    pub source: Source,
}

/// What the command line says beside the file.
#[derive(Debug, Clone, Copy)]
struct Said {
    foreground: bool,
    debug: Option<u32>,
}

/// Reads the words after the program's name, and the file for where the control socket is.
///
/// # Errors
/// The word or the line that is wrong.
pub fn read(words: &[String]) -> Result<Asked, String> {
    let mut options = Options::new();
    options.parsing_style(ParsingStyle::FloatingFrees);
    options
        .optopt("c", "", "", "FILE")
        .optflag("f", "", "")
        .optopt("d", "", "", "LEVEL")
        .optflag("h", "", "");
    let with_usage = |reason: String| format!("{reason}\n{}", USAGE.trim_end());
    let given = options.parse(words).map_err(|error| with_usage(error.to_string()))?;
    if words.is_empty() || given.opt_present("h") {
        return Ok(Asked::Text(USAGE));
    }
    if let Some(stray) = given.free.first() {
        return Err(with_usage(format!("{stray}: want an option, such as -c FILE")));
    }
    let level = |text: String| {
        let level = text.parse().ok().filter(|level| *level <= 6);
        level.ok_or_else(|| with_usage(format!("-d: want 0 to 6, got {}", pen_proto::addr::quoted(&text))))
    };
    let debug = given.opt_str("d").map(level).transpose()?;
    let file = given.opt_str("c").ok_or_else(|| with_usage("want -c FILE".into()))?;
    let said = Said { foreground: given.opt_present("f"), debug };
    let mut arguments = vec!["-F".to_owned(), file.clone()];
    // A supervisor that started it itself waits for this process.
    if said.foreground {
        arguments.push("-f".to_owned());
    }
    if let Some(socket) = imports::octopus(&file)?.control {
        make_directory(Path::new(&socket))?;
        arguments.extend(["-C".to_owned(), socket]);
        if privileges::is_root() {
            // As with Octopus, which root starts and who may do what is a matter of shm_perms.
            arguments.extend(["-u", "root"].map(str::to_owned));
        }
    }
    let source = Box::new(move |file: &str| {
        let mut imported = imports::octopus(file)?;
        imported.lines.retain(|line| !is_overruled(line, said));
        imported.lines.extend(said.debug.map(|level| format!("debug {}", octopus::debug_level(level))));
        imports::request_of(file, &imported)
    });
    Ok(Asked::Run(Server { arguments, source }))
}

/// Whether the command line says something else.
fn is_overruled(line: &str, said: Said) -> bool {
    said.foreground && line.starts_with("messages ") || said.debug.is_some() && line.starts_with("debug ")
}

/// Octopus makes its run directory when it is missing.
fn make_directory(socket: &Path) -> Result<(), String> {
    let Some(directory) = socket.parent() else { return Ok(()) };
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(format!("shm_run_dir: {}: {}", directory.display(), reason(&error)))
        }
        _ => Ok(()),
    }
}
