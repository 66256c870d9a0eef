//! SIGHUP: reopens the log and reads the configuration file again, on top of what is configured now.
//!
//! Additive, as in Pen: a server that left the file stays. All or nothing: with one error in the file the old
//! configuration stays as it is. Called by the main loop, which says what is returned here.

use crate::config;
use crate::control::apply::{Engine, Placed, Request, Running};

/// Reloads; returns what the operator should know although it worked, such as settings that can only change at start.
///
/// # Errors
///
/// Everything that is wrong, a line each, with its place. Then nothing has changed, and the log is still the old one.
pub fn reload<R: Running>(engine: &mut Engine<R>) -> Result<Vec<String>, String> {
    let request = match &engine.config().config_file {
        Some(file) => request_of(file)?,
        None => Request { commands: Vec::new() },
    };
    engine.carry_out_reload(&request).map(|done| done.warnings)
}

/// The commands of a configuration file, to be carried out together.
///
/// # Errors
///
/// Everything that is wrong, a line each, with its place.
pub fn request_of(file: &str) -> Result<Request, String> {
    let commands = config::read(file).map_err(|errors| errors.to_string())?;
    let commands = commands.into_iter().map(|(place, command)| Placed { place: Some(place), command });
    Ok(Request { commands: commands.collect() })
}
