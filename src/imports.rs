//! Files of other balancers, read: for `--import`, and for programs that stand in for others (`octopus.rs`).

use crate::config;
use crate::control::apply::Request;
use crate::glbd;
use crate::log::diag::{self, Severity};
use crate::sys::errors::reason;
use crate::sys::files::read_text;
use pen_core::imports::{Errors, Imported, octopus, txlb};
use std::path::Path;

/// Longest file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// How the file of `-F` is read, at start and on reload.
pub type Source = Box<dyn Fn(&str) -> Result<Request, String>>;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Glb,
    Octopus,
    Xml,
}

impl Kind {
    fn of(text: &str) -> Option<Kind> {
        match text {
            text if text.lines().any(|line| line.trim_start().starts_with("LISTEN_ADDR=")) => Some(Kind::Glb),
            text if txlb::is_one(text) => Some(Kind::Xml),
            text if octopus::is_one(text) => Some(Kind::Octopus),
            _ => None,
        }
    }
}

/// Whose file it is, if another balancer reads it: nothing may be written over it.
pub fn owner_of(file: &str) -> Option<&'static str> {
    match Kind::of(&read(file).ok()?)? {
        Kind::Glb => Some("GLB"),
        Kind::Octopus => Some("Octopus"),
        Kind::Xml => Some("txLoadBalancer"),
    }
}

/// A file as pen's configuration, and what the operator should know, each with its place.
///
/// # Errors
/// What is wrong with the file, a line each, with its place.
pub fn import(file: &str) -> Result<(String, Vec<String>), String> {
    let text = read(file)?;
    let imported = match Kind::of(&text) {
        Some(Kind::Glb) => {
            let (configuration, notes) =
                glbd::import(&text).map_err(|trouble| format!("{file}: {trouble}"))?;
            return Ok((configuration, notes.iter().map(|note| format!("{file}: {note}")).collect()));
        }
        Some(Kind::Octopus) => octopus::import(&text),
        Some(Kind::Xml) => txlb::import(&text),
        None => {
            let wanted = "want octopuslb.conf of Octopus, config.xml of txLoadBalancer, or GLB's file of variables with \
                          LISTEN_ADDR=[HOST:]PORT";
            return Err(format!("{file}: {wanted}"));
        }
    };
    let imported = imported.map_err(|errors| located(file, &errors).join("\n"))?;
    Ok((imported.configuration(), located(file, &imported.notes)))
}

/// A file of Octopus, whatever is in it.
///
/// # Errors
/// As [`import`].
pub fn octopus(file: &str) -> Result<Imported, String> {
    octopus::import(&read(file)?).map_err(|errors| located(file, &errors).join("\n"))
}

/// What was made of a file, to be carried out; the notes are said.
///
/// # Errors
/// A line that pen does not take, with its place in what `--import` prints.
pub fn request_of(file: &str, imported: &Imported) -> Result<Request, String> {
    located(file, &imported.notes).iter().for_each(|note| diag::say(Severity::Warning, note));
    let name = format!("{file}, imported");
    let commands =
        config::read_text(&name, &imported.configuration()).map_err(|errors| errors.to_string())?;
    Ok(Request { commands, ..Request::default() })
}

fn located(file: &str, notes: &Errors) -> Vec<String> {
    notes.iter().map(|note| note.of_file(file)).collect()
}

fn read(file: &str) -> Result<String, String> {
    // Old files have names in old encodings, so what is not UTF-8 is no error.
    read_text(Path::new(file), FILE_BYTES_MAX).map_err(|error| format!("{file}: {}", reason(&error)))
}
