//! `pen --as glbd`: GLB's command line as a command line of pen, with what the system has to say to it. `--import`: its
//! file of variables as pen's configuration.

use crate::sys::{child, privileges};
use pen_core::glbd::{self, Translation, shell};
use pen_proto::glb::options::Options;
use pen_proto::words::written;
use std::env;

/// The user of a daemon that root starts.
const USER: &str = "daemon";

/// What GLB's command line asks for.
pub enum Asked {
    /// This is to be printed, and that is all.
    Text(String),
    Run(Box<Glbd>),
}

/// How to run in GLB's place.
pub struct Glbd {
    /// For pen.
    pub arguments: Vec<String>,
    options: Options,
    translation: Translation,
}

impl Glbd {
    /// What is printed at start, when there may be so many connections.
    pub fn banner(&self, connections_max: u64) -> String {
        let wanted = self.options.connections_max.filter(|max| *max > 0).map_or(u64::MAX, u64::from);
        glbd::banner(&self.options, &self.translation, connections_max.min(wanted))
    }

    /// What the operator should know.
    pub fn notes(&self) -> &[String] {
        &self.translation.notes
    }

    /// Whether the table is printed again and again.
    pub fn prints_tables(&self) -> bool {
        self.options.verbose && !self.options.daemon
    }
}

/// Reads the words after the program's name.
///
/// # Errors
/// The word that is wrong, and the help.
pub fn read(words: &[String]) -> Result<Asked, String> {
    let with_help = |reason: String| format!("{reason}\n{}", glbd::HELP.trim_end());
    let options = Options::parse(words).map_err(with_help)?;
    if options.help {
        return Ok(Asked::Text(glbd::HELP.to_owned()));
    }
    if options.version {
        return Ok(Asked::Text(format!("{}\n", glbd::version())));
    }
    let translation = translate(&options).map_err(with_help)?;
    let mut arguments = Vec::new();
    // A supervisor that started it itself waits for this process.
    let is_daemon = options.daemon && nix::unistd::getppid().as_raw() != 1;
    match is_daemon {
        true if privileges::is_root() => arguments.extend(["-u".to_owned(), USER.to_owned()]),
        true => {}
        false => arguments.push("-f".to_owned()),
    }
    if options.verbose && !options.daemon {
        arguments.push("-d".to_owned());
    }
    for line in &translation.lines {
        arguments.extend(["-O".to_owned(), line.clone()]);
    }
    arguments.push(translation.listen.clone());
    let servers = translation.servers.iter();
    arguments.extend(servers.map(|(at, weight)| format!("{at}:0:0:{weight}")));
    Ok(Asked::Run(Box::new(Glbd { arguments, options, translation })))
}

/// A file of GLB's variables as pen's configuration, and what the operator should know.
///
/// # Errors
/// What is wrong with the file, and where.
pub fn import(text: &str) -> Result<(String, Vec<String>), String> {
    let options = Options::parse(&glbd::words_of_variables(text)?)?;
    let mut translation = translate(&options)?;
    if options.daemon {
        translation.notes.push(format!("-d: start pen without -f, with -u {USER} for root"));
    }
    Ok((glbd::configuration(&translation), translation.notes))
}

/// With the program of the watchdog found, as a check.
fn translate(options: &Options) -> Result<Translation, String> {
    let mut translation = glbd::translate(options)?;
    if let Some(program) = &translation.program {
        let words = shell::split(program, &|name| env::var(name).ok())?;
        let (program, arguments) = words.split_first().ok_or("the exec watchdog wants a program")?;
        let program = child::find(program).ok_or_else(|| format!("{program}: there is no such program"))?;
        let arguments: String = arguments.iter().map(|word| format!(" {}", written(word))).collect();
        translation.lines.push(format!("check exec {}{arguments}", written(&program.to_string_lossy())));
    }
    Ok(translation)
}
