//! What differs between two configurations: what the running pen has to open, and then to switch to, to follow the new
//! one. Pure.
//!
//! Names only what differs, so that a reload of an unchanged file changes nothing. Made by `apply.rs`, carried out by
//! whoever is [`super::running::Running`].

use crate::settings::Config;

/// What is opened again although its name has not changed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refresh {
    pub log: bool,
    pub tls: bool,
    /// Nobody waits for the answer: what cannot be read again stays as it was, with a message.
    pub is_reload: bool,
}

/// The way from one configuration to another. Addresses in both are numeric ([`super::names::Names::numeric`]).
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Where it leads.
    pub to: &'a Config,
    /// The log is opened, again or under another name; without one, logging ends.
    pub log: bool,
    /// Certificates and keys are read.
    pub tls: Option<Read>,
    /// The listening address changes.
    pub listen: bool,
    pub settings: bool,
    pub servers: bool,
}

/// How certificates and keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// A file that is wrong is an error.
    First,
    /// They were read before, and nobody waits: what is wrong now leaves the old in force, with a message.
    Again,
}

impl<'a> Plan<'a> {
    /// What leads from `from` to `to`. `refresh` says what is opened again even when its name is the same.
    pub fn between(from: &Config, to: &'a Config, refresh: Refresh) -> Plan<'a> {
        let (tls_before, tls) = (from.tls_plan(), to.tls_plan());
        let is_new = tls_before != tls;
        let is_read = is_new || refresh.tls && tls.is_needed();
        let again = if refresh.is_reload && !is_new { Read::Again } else { Read::First };
        Plan {
            to,
            log: from.log() != to.log() || refresh.log && to.log().is_some(),
            tls: is_read.then_some(again),
            listen: to.listen().is_some() && from.listen() != to.listen(),
            settings: from.settings() != to.settings(),
            servers: servers(from) != servers(to),
        }
    }

    /// To the same configuration, with the log opened again.
    pub fn reopening_log(config: &'a Config) -> Plan<'a> {
        Plan { to: config, log: true, tls: None, listen: false, settings: false, servers: false }
    }
}

fn servers(config: &Config) -> impl PartialEq + '_ {
    (&config.servers, &config.emergency, &config.abuse)
}
