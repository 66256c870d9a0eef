//! Makes a configuration know the countries that its `geoip` file tells.
//!
//! Owns when the file is read, and what becomes of data in force when it cannot be. Called by `apply.rs`.

use crate::geoip;
use crate::settings::Config;
use pen_proto::commands::{By, Text};

/// When a file is read that was read before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Only if another one is named.
    IfRenamed,
    /// The command was given.
    Wanted,
    /// On a reload. The rest of the configuration does not depend on it: data in force stay if there are no better ones.
    Renewed,
}

/// Gives `to`, which is to follow `from`, its countries. Returns what the operator should know although it worked.
///
/// # Errors
///
/// The file with the reason; then `to` is of no use.
pub fn settle_countries(from: &Config, to: &mut Config, reading: Reading) -> Result<Vec<String>, String> {
    let is_renamed = from.process.text(Text::Geoip) != to.process.text(Text::Geoip);
    if !is_renamed && reading == Reading::IfRenamed {
        return Ok(Vec::new());
    }
    let Some(file) = to.process.text(Text::Geoip).map(str::to_owned) else {
        to.process.countries = Default::default();
        return Ok(unanswered(to));
    };
    let lack = match geoip::open(&file) {
        Ok((countries, lack)) => {
            to.process.countries = countries;
            lack.map(|lack| format!("geoip: {file}: {lack}"))
        }
        Err(reason) if !is_renamed && reading == Reading::Renewed => {
            return Ok(vec![format!("geoip: {file}: {reason}; the data read before stay in use")]);
        }
        Err(reason) => return Err(format!("geoip: {file}: {reason}")),
    };
    Ok(lack.into_iter().chain(unanswered(to)).collect())
}

/// As in Pen, entries about countries match nobody as long as nobody knows any; unlike there, it is said.
fn unanswered(config: &Config) -> Vec<String> {
    let asks = |by: &By| config.process.acls.iter().any(|acl| acl.names_countries(*by));
    let silent = |by: &By| !config.process.countries.knows(*by);
    let told = |by: By| match config.process.text(Text::Geoip) {
        None => format!("acl: without geoip, entries with a {} match no client", by.word()),
        Some(file) => format!("acl: {file} knows no {}, entries with one match no client", by.word()),
    };
    By::ALL.into_iter().filter(silent).filter(asks).map(told).collect()
}
