//! What comes of checks and of questions for a load, and whom the thread tells.

use super::{Watcher, key_of};
use crate::slot::{Outcome, Work, forget};
use crate::target::Target;
use pen_core::balance::{Finding, Health, Reading};
use pen_core::checks::program::{Answer, State};
use pen_core::loads::agent::{Finds, Said};
use pen_sys::clock;
use pen_sys::errors::reason;

impl Watcher {
    pub(super) fn ask(&mut self, number: u32, program: &str, arguments: Vec<String>) -> Result<bool, String> {
        let Some(slot) = self.slots[number as usize].as_mut() else { return Ok(false) };
        if !matches!(slot.work, Work::Program(_)) {
            slot.work = Work::Program(Box::default());
        }
        let Work::Program(job) = &mut slot.work else { return Ok(false) };
        let was_running = job.is_running();
        let address = slot.target.address();
        let arguments: Vec<String> = std::iter::once(address).chain(arguments).collect();
        let asked = job.ask(program, &arguments, &self.environment, &*self.here, self.now_ms)?;
        if !was_running && let Some(outputs) = job.outputs() {
            slot.turn = slot.turn.wrapping_add(1);
            for output in outputs {
                let added = self.poller.add_reader(output, key_of(number, slot.turn));
                added.map_err(|error| {
                    format!("the output of the program cannot be read: {}", reason(&error))
                })?;
            }
        }
        Ok(asked)
    }

    pub(super) fn hear(&mut self, number: u32) {
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        let Work::Program(job) = &mut slot.work else { return };
        let heard = job.hear(&mut self.scratch);
        if let (true, Some([_, errors])) = (heard.has_closed_errors, job.outputs()) {
            // It would be reported for ever. It may have gone already.
            let _ = self.poller.remove_listener(errors);
        }
        if let Some(line) = heard.answer {
            self.timers.disarm(2 * number + 1);
            if slot.target.load.is_some() {
                match Said::parse(&line) {
                    Ok(said) => {
                        job.was_good();
                        self.loaded(number, Reading::Said(said));
                    }
                    Err(reason) => {
                        let reason = job.with_complaint(&format!("the program: {reason}"));
                        self.loaded(number, Reading::Unknown(reason.into()));
                    }
                }
                return heard.failed.into_iter().for_each(|reason| self.program_failed(number, reason));
            }
            let outcome = match Answer::parse(&line) {
                Ok(Answer { state, members }) => {
                    slot.members = if state == State::Ready { members } else { Vec::new() };
                    job.was_good();
                    let reason = match state {
                        State::Ready => String::new(),
                        state => job.with_complaint(state.reason()),
                    };
                    Outcome { health: state.health(), reason, is_certain: false, is_answered: true }
                }
                Err(reason) => Outcome::bad(reason),
            };
            self.found(number, outcome);
        }
        if let Some(reason) = heard.failed {
            self.program_failed(number, reason);
        }
    }

    /// The program cannot be asked: its server is down until it can.
    pub(super) fn program_failed(&mut self, number: u32, reason: String) {
        self.timers.disarm(2 * number + 1);
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        forget(&self.poller, slot);
        if let Work::Program(job) = &mut slot.work {
            self.ending.extend(job.fail(self.now_ms));
            self.here.lost(&slot.target.called.to_string(), &reason);
        }
        self.found(number, Outcome::lost(reason));
    }

    /// A check has ended. The selection hears of it, and the operator if something has changed.
    pub(super) fn found(&mut self, number: u32, outcome: Outcome) {
        self.leave(number);
        let Some(slot) = self.slots[number as usize].as_mut() else { return };
        if slot.target.load.is_some() {
            return self.loaded(number, Reading::Unknown(outcome.reason.into()));
        }
        if outcome.health != Health::Up {
            slot.members.clear();
        }
        let (before, target) = (slot.tracker.health(), &slot.target);
        let health = match outcome.is_certain {
            true => slot.tracker.force(outcome.health),
            false => slot.tracker.take(outcome.health, target.watch.turns),
        };
        if health == Health::Up {
            slot.reason = "".into();
        } else if outcome.health != Health::Up {
            slot.reason = outcome.reason.as_str().into();
        }
        let took_us = clock::now().duration_since(slot.began).as_micros();
        let took_us = u32::try_from(took_us).unwrap_or(u32::MAX);
        if let Some(round) = self.rounds.get(&slot.service.number())
            && outcome.is_answered
        {
            slot.latency.take(took_us, round.rounds.latency);
        }
        let finding = Finding {
            health,
            reason: slot.reason.clone(),
            connected_since_seconds: (outcome.health == Health::Up && target.proves_connect())
                .then_some(slot.began_seconds),
            took_us: outcome.is_answered.then_some(took_us),
            served_ms: (outcome.health != Health::Down).then_some(self.now_ms),
        };
        let now_seconds = clock::steady_epoch_seconds(self.now_ms);
        slot.service.with(|chooser| chooser.checked(target.server, &target.endpoint, &finding, now_seconds));
        if before != Some(health) {
            slot.tell(&*self.here, before, health);
            self.changed.insert(slot.service.number(), slot.service.clone());
        }
    }

    /// An agent has said how its server is.
    pub(super) fn agent_said(&mut self, number: u32, mut said: Said) {
        let Some(slot) = self.slots[number as usize].as_ref() else { return };
        if slot.target.load.is_some() {
            return self.loaded(number, Reading::Said(said));
        }
        // As a check it is weighed like any other.
        let outcome = match said.finds.take() {
            Some(Finds::Down(why)) => {
                Outcome { is_answered: true, ..Outcome::bad(format!("its agent says {why}")) }
            }
            Some(Finds::Up) | None => Outcome::good(),
        };
        self.tell_selection(number, &Reading::Beside(said));
        self.found(number, outcome);
    }

    /// The load of a server was read, or not.
    pub(super) fn loaded(&mut self, number: u32, reading: Reading) {
        self.leave(number);
        if let Some(slot) = self.slots[number as usize].as_mut() {
            slot.tell_load(&*self.here, &reading);
        }
        self.tell_selection(number, &reading);
    }

    fn tell_selection(&mut self, number: u32, reading: &Reading) {
        let Some(slot) = self.slots[number as usize].as_ref() else { return };
        let now_seconds = clock::steady_epoch_seconds(self.now_ms);
        let Target { server, endpoint, .. } = &slot.target;
        let word = slot.service.with(|chooser| chooser.loaded(*server, endpoint, reading, now_seconds));
        if let Some(word) = word.flatten().flatten() {
            slot.tell_word(&*self.here, &word);
            self.changed.insert(slot.service.number(), slot.service.clone());
        }
    }
}
