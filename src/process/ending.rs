//! The end that waits for connections: for good (USR2), or before another pen takes over (QUIT).

use super::Process;
use crate::log::diag::{self, Severity};
use crate::sys::clock;
use pen_proto::commands::Number;
use pen_proto::readable::counted;
use std::time::Duration;

/// How often the number of connections left is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long answers to UDP clients are awaited before another pen takes over: their sessions have no end of their own.
const ANSWERS_MS: u64 = 200;

/// How long those who asked for something shortly before the next pen takes over have to get it.
const LEAVE_MS: u64 = 500;
/// How often it is looked whether they have it.
const LEAVE_LOOK: Duration = Duration::from_millis(10);

/// A graceful end under way.
pub struct Ending {
    began_ms: u64,
    /// When it turns into a plain one; monotonic.
    until_ms: u64,
    /// The listening sockets stay open for the next pen.
    hands_over: bool,
}

impl Ending {
    pub fn patience(&self) -> Duration {
        LOOK
    }
}

impl Process {
    /// USR2 and QUIT: takes no more clients, and ends when the last one has.
    pub(super) fn end_gracefully(&mut self, hands_over: bool) {
        if self.ending.is_some() {
            return;
        }
        let hands_over = hands_over && self.supervision.keeps_sockets();
        let number = if hands_over { Number::RestartTimeout } else { Number::ShutdownTimeout };
        let seconds = self.engine.config().process.number(number);
        let began_ms = clock::monotonic_ms();
        let until_ms = if seconds == 0 { u64::MAX } else { began_ms + seconds * 1000 };
        self.ending = Some(Ending { began_ms, until_ms, hands_over });
        self.supervision.stopping();
        match hands_over {
            true => self.supervision.keep_files(),
            false => self.supervision.close_kept(),
        }
        if let Some(instance) = self.engine.running() {
            match hands_over {
                true => instance.hand_over(),
                false => instance.drain(),
            }
        }
        let left = counted(self.left(), "connection");
        let limit = if seconds == 0 { String::new() } else { format!(" within {seconds} s") };
        let others = if hands_over { "wait for the next pen" } else { "are refused" };
        diag::say(Severity::Notice, format_args!("draining: {left} may end{limit}, new ones {others}"));
    }

    /// Whether a graceful end is over.
    pub(super) fn has_drained(&mut self) -> bool {
        let now_ms = clock::monotonic_ms();
        let left = self.left();
        let Some(ending) = &self.ending else { return false };
        let is_late = now_ms >= ending.until_ms;
        if left > 0 && !is_late {
            self.supervision.still_stopping(now_ms);
            return false;
        }
        match left {
            0 => diag::say(Severity::Notice, "drained"),
            _ => diag::say(Severity::Notice, format_args!("drained: {} cut", counted(left, "connection"))),
        }
        true
    }

    /// Whether another pen is about to take over.
    pub(super) fn hands_over(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.hands_over)
    }

    /// Answers those who have called at the control sockets or asked for metrics, and leaves whoever comes now to the next
    /// pen.
    pub(super) fn leave_doors(&mut self) {
        let until_ms = clock::monotonic_ms() + LEAVE_MS;
        self.doors.control.accept_no_more();
        while let Some(instance) = self.engine.running() {
            instance.answer_visitors();
            let is_over = instance.leave_metrics() && !self.doors.control.is_busy();
            if is_over || clock::monotonic_ms() >= until_ms {
                return;
            }
            // Trouble with the sockets ends pen a little earlier.
            if self.doors.control.turn(Some(LEAVE_LOOK), &mut self.engine).is_err() {
                return;
            }
        }
    }

    /// Connections that are waited for.
    fn left(&mut self) -> u64 {
        let Some(ending) = &self.ending else { return 0 };
        let leaves_sessions = ending.hands_over && clock::monotonic_ms() >= ending.began_ms + ANSWERS_MS;
        let Some(instance) = self.engine.running() else { return 0 };
        let sessions = if leaves_sessions { instance.sessions_used() } else { 0 };
        instance.connections_used().saturating_sub(sessions)
    }

    /// What the supervisor shows of this pen.
    pub(super) fn tell_status(&mut self) {
        let (left, is_ending) = (self.left(), self.ending.is_some());
        let running = self.engine.running();
        self.supervision.tell_status(clock::monotonic_ms(), || match running {
            Some(_) if is_ending => format!("Draining: {} left", counted(left, "connection")),
            Some(instance) => {
                let (up, all) = instance.servers_up();
                let open = counted(instance.connections_used(), "connection");
                format!("{up} of {} up, {open}", counted(all, "server"))
            }
            None => String::new(),
        });
    }
}
