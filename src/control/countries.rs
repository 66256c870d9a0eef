//! Makes a configuration know the countries that its `geoip` file tells.
//!
//! Owns when the file is read, and what becomes of data in force when it cannot be. Called by `apply.rs`.

use crate::geoip;
use crate::settings::Config;

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
pub fn settle_countries(from: &Config, to: &mut Config, reading: Reading) -> Result<Option<String>, String> {
    let is_renamed = from.geoip != to.geoip;
    if !is_renamed && reading == Reading::IfRenamed {
        return Ok(None);
    }
    let Some(file) = &to.geoip else {
        to.settings.countries = Default::default();
        return Ok(unanswered(to));
    };
    match geoip::open(file) {
        Ok(countries) => to.settings.countries = countries,
        Err(reason) if !is_renamed && reading == Reading::Renewed => {
            return Ok(Some(format!("geoip: {file}: {reason}; the data read before stay in use")));
        }
        Err(reason) => return Err(format!("geoip: {file}: {reason}")),
    }
    Ok(None)
}

/// As in Pen, entries about countries match nobody as long as nobody knows any; unlike there, it is said.
fn unanswered(config: &Config) -> Option<String> {
    let asks = config.settings.acls.iter().any(|acl| acl.names_countries());
    asks.then(|| "acl: without geoip, entries with a country match nobody".into())
}
