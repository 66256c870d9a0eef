//! What tests and fuzz targets drive from outside without a process. No part of the interface: it changes with the code.

use crate::cli;
use crate::control::apply::Engine;
use crate::instance::Instance;
use crate::settings::Config;
use std::cell::Cell;

pub use crate::control::{apply, plan};
pub use crate::log::traffic::{LogHub, Output};
pub use crate::net::tls::Tls;
pub use crate::runtime::{Parts, Runtime, ServiceSnapshot, Snapshot};
pub use crate::service::{Service, ServiceParts};
pub use crate::shared::Detail;

/// Takes a command line as pen does, up to where it would look up names and open things.
///
/// # Errors
/// What is wrong with it, or that it says something without effect.
pub fn check_command_line(arguments: &[String]) -> Result<(), String> {
    let line = cli::parse(arguments)?;
    let mut engine = Engine::<Instance>::new(Config::default());
    let effects = Cell::new(String::new());
    line.apply_options(&mut engine, |_| {}, |explained| effects.set(explained.to_string()))?;
    let without_effect = effects.take();
    if !without_effect.is_empty() {
        return Err(format!("recommends what has no effect: {without_effect}"));
    }
    line.apply_positional(engine.config_mut())
}
