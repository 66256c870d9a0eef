//! What penlogd says to its operator: on standard error in the foreground, to syslog in the background.
//!
//! Owns the way there. Nothing that is said can stop penlogd: a message that cannot be delivered is dropped.

use std::fmt::Display;
use std::io::{self, Write};

use pen_proto::weblog;
use pen_sys::local_time;
use pen_sys::syslog::{self, Severity, Syslog};

/// How long a busy syslogd may take to make room for a message.
const PATIENCE_MILLISECONDS: u16 = 20;

/// Says things.
pub struct Voice {
    /// In the background.
    syslog: Option<Syslog>,
    debug: usize,
}

impl Voice {
    /// Debug messages are said up to level `debug`.
    pub fn new(debug: usize) -> Voice {
        Voice { syslog: None, debug }
    }

    /// From now on to syslog, facility user. To be called by the process that stays, before it enters a jail.
    pub fn go_to_background(&mut self) {
        local_time::remember_zone();
        self.syslog = Some(Syslog::open(syslog::PATH, "penlogd"));
    }

    pub fn error(&mut self, text: impl Display) {
        self.say(Severity::LOG_ERR, &text);
    }

    pub fn notice(&mut self, text: impl Display) {
        self.say(Severity::LOG_NOTICE, &text);
    }

    pub fn debug(&mut self, level: usize, text: impl Display) {
        if level <= self.debug {
            self.say(Severity::LOG_DEBUG, &text);
        }
    }

    fn say(&mut self, severity: Severity, text: &dyn Display) {
        let mut visible = Vec::new();
        weblog::write_visible(&mut visible, text.to_string().as_bytes());
        let visible = String::from_utf8_lossy(&visible);
        match &mut self.syslog {
            // Nobody can be told that it was not delivered.
            Some(syslog) => drop(syslog.send(severity, &visible, PATIENCE_MILLISECONDS)),
            None => drop(writeln!(io::stderr(), "penlogd: {visible}")),
        }
    }
}
