//! Whom the thread watches: who comes, goes, or is watched in another way.

use super::{FIRST_APART_MS, Watcher};
use crate::slot::{Slot, Work, forget};
use crate::target::{Target, TargetKey};
use crate::watched::Watched;
use pen_core::checks::Tracker;
use pen_core::checks::latency::Latency;
use pen_core::loads::snmp::Object;
use pen_sys::clock;
use std::collections::HashMap;
use std::sync::Arc;

impl Watcher {
    /// Checks these servers of a service from now on, and no others of it.
    pub(super) fn follow(&mut self, service: &Arc<dyn Watched>, targets: Vec<Target>) {
        let wanted = targets.iter().map(|target| (target.key(), target)).collect();
        self.keep_only(service.number(), &wanted);
        let newcomers = targets.len() as u64;
        for (index, target) in targets.into_iter().enumerate() {
            let key = (service.number(), target.key());
            match self.by_server.get(&key) {
                Some(number) => self.change(*number, target),
                None => self.add(service, target, index as u64, newcomers),
            }
        }
    }

    pub(super) fn keep_only(&mut self, service: u16, wanted: &HashMap<TargetKey, &Target>) {
        let gone = self.by_server.iter().filter(|((of, key), number)| {
            let is_same = |target: &&&Target| {
                let slot = self.slots[**number as usize].as_ref();
                slot.is_some_and(|slot| slot.target.endpoint.is_same_server(&target.endpoint))
            };
            *of == service && wanted.get(key).filter(is_same).is_none()
        });
        let gone: Vec<((u16, TargetKey), u32)> = gone.map(|(key, number)| (*key, *number)).collect();
        for (key, number) in gone {
            self.by_server.remove(&key);
            self.timers.disarm(2 * number);
            self.timers.disarm(2 * number + 1);
            if let Some(mut slot) = self.slots[number as usize].take() {
                forget(&self.poller, &slot);
                self.ending.extend(slot.end(self.now_ms));
            }
            self.free.push(number);
        }
    }

    fn add(&mut self, service: &Arc<dyn Watched>, target: Target, index: u64, of: u64) {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        let interval_ms = target.watch.interval_ms;
        self.by_server.insert((service.number(), target.key()), number);
        self.slots[number as usize] = Some(Slot {
            service: service.clone(),
            target,
            tracker: Tracker::default(),
            reason: "".into(),
            work: Work::Nothing,
            latency: Latency::default(),
            members: Vec::new(),
            turn: 0,
            began: clock::now(),
            began_seconds: 0,
            is_load_known: true,
            object: Object::default(),
        });
        if interval_ms > 0 {
            let apart_ms = (interval_ms / of.max(1)).min(FIRST_APART_MS);
            self.timers.arm(2 * number, self.now_ms + index * apart_ms);
        }
    }

    fn change(&mut self, number: u32, target: Target) {
        let Some(slot) = &mut self.slots[number as usize] else { return };
        let is_same_check = slot.target.is_same_check(&target);
        let is_same_pace = slot.target.watch.interval_ms == target.watch.interval_ms;
        let interval_ms = target.watch.interval_ms;
        slot.target = target;
        if !is_same_check {
            forget(&self.poller, slot);
            let ended = slot.end(self.now_ms);
            self.ending.extend(ended);
            self.timers.disarm(2 * number + 1);
        }
        match interval_ms {
            0 => self.timers.disarm(2 * number),
            _ if is_same_check && is_same_pace => {}
            _ => self.timers.arm(2 * number, self.now_ms),
        }
    }
}
