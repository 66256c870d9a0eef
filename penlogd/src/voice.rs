//! What penlogd says to its operator: on standard error in the foreground, to syslog in the background.
//!
//! Owns the way there. Nothing that is said can stop penlogd: a message that cannot be delivered is dropped.

use std::fmt::Display;
use std::io::{self, Write};

use pen_proto::weblog;
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

/// Says things.
pub struct Voice {
    syslog: Option<Logger<LoggerBackend, Formatter3164>>,
    in_background: bool,
    debug: usize,
}

impl Voice {
    /// Debug messages are said up to level `debug`.
    pub fn new(debug: usize) -> Voice {
        Voice { syslog: None, in_background: false, debug }
    }

    /// From now on to syslog, facility user. To be called by the process that stays, before it enters a jail.
    pub fn go_to_background(&mut self) {
        self.in_background = true;
        self.syslog = open_syslog();
    }

    pub fn error(&mut self, text: impl Display) {
        self.say(&text, |logger, text| logger.err(text));
    }

    pub fn notice(&mut self, text: impl Display) {
        self.say(&text, |logger, text| logger.notice(text));
    }

    pub fn debug(&mut self, level: usize, text: impl Display) {
        if level <= self.debug {
            self.say(&text, |logger, text| logger.debug(text));
        }
    }

    fn say(
        &mut self,
        text: &dyn Display,
        deliver: fn(&mut Logger<LoggerBackend, Formatter3164>, &str) -> syslog::Result<()>,
    ) {
        let mut visible = Vec::new();
        weblog::write_visible(&mut visible, text.to_string().as_bytes());
        let visible = String::from_utf8_lossy(&visible);
        if !self.in_background {
            let _ = writeln!(io::stderr(), "penlogd: {visible}");
            return;
        }
        // A syslogd that was restarted has a new socket.
        let delivered = self.syslog.as_mut().is_some_and(|logger| deliver(logger, &visible).is_ok());
        if !delivered && let Some(mut logger) = open_syslog() {
            let _ = deliver(&mut logger, &visible);
            self.syslog = Some(logger);
        }
    }
}

fn open_syslog() -> Option<Logger<LoggerBackend, Formatter3164>> {
    let formatter = Formatter3164 {
        facility: Facility::LOG_USER,
        hostname: None,
        process: "penlogd".to_owned(),
        pid: std::process::id(),
    };
    syslog::unix(formatter).ok()
}
