//! The side of a worker that serves UDP: its sessions, and datagrams on their way. Nothing here blocks.
//!
//! `relay` moves datagrams both ways, `downstream` hears from proxies for whom they send, `upstream` finds servers and leaves
//! those that fail, `clones` has copies of sessions, `listen` watches the sockets to which clients send, `close` ends sessions, `report` tells of them.
//! `sessions` knows whose datagram it is and who must go. What this side shares with that for connections is in
//! `worker/core.rs`; [`crate::worker`] calls it.

mod clones;
mod close;
mod downstream;
mod listen;
mod relay;
mod report;
mod session;
use pen_core::udp::burst::Burst;
use pen_core::udp::crowd::Crowd;
pub(crate) use pen_core::udp::sessions;
mod tell;
mod upstream;

use crate::conn::CloseReason;
use crate::sys::datagram::Batch;
use crate::timers::Timers;
use crate::worker::{Core, LocalService};
use pen_proto::commands::{Flag, Number};
use session::{Seat, Session};
use sessions::Sessions;

pub(crate) struct Udp {
    sessions: Sessions<Session>,
    timers: Timers,
    /// The poller refused the listeners: to be tried again at this time.
    listen_again_ms: Option<u64>,
    /// By listener.
    queues: Vec<Queue>,
    /// From clients. `None` before the first, and while it is worked on.
    inbox: Option<Batch>,
    /// For runs that are taken apart, and for what clones answer. `None` before the first, and while it is worked on.
    spare: Option<Batch>,
    /// To clients, all from one listener. `None` before the first, and while it is worked on.
    outbox: Option<Batch>,
    outbox_listener: u16,
    /// Of the session that was the last to make room.
    seat: Option<Seat>,
}

/// What is known of the queue of a listener.
#[derive(Debug, Clone, Copy, Default)]
struct Queue {
    crowd: Crowd,
    burst: Burst,
}

impl Udp {
    pub fn new(now_ms: u64) -> Udp {
        Udp {
            sessions: Sessions::default(),
            timers: Timers::new(now_ms),
            listen_again_ms: None,
            queues: Vec::new(),
            inbox: None,
            spare: None,
            outbox: None,
            outbox_listener: 0,
            seat: None,
        }
    }

    /// When to [`Udp::take_expired`] and to [`Udp::end_turn`] next.
    pub fn look_ms(&self) -> Option<u64> {
        [self.timers.next_deadline_ms(), self.listen_again_ms].into_iter().flatten().min()
    }

    /// The sessions whose timers have rung, which [`Udp::expire`] must look after.
    pub fn take_expired(&mut self, now_ms: u64, expired: &mut Vec<u32>) {
        self.timers.expire(now_ms, |index| expired.push(index));
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// After all that has happened in a turn.
    pub fn end_turn(&mut self, core: &Core) {
        self.listen_again(core);
        self.let_seat_go(core);
        self.sessions.recycle();
    }

    /// The limits of the process may have changed. The system divides the clients evenly among the workers.
    pub fn follow_limits(&mut self, core: &mut Core) {
        let most = core.shared.room().sessions_max() as usize / core.shared.workers();
        self.sessions.expect(most);
        self.fit_in(core);
    }

    /// The time for which sessions of these services may be silent has changed.
    pub fn arm_again(&mut self, core: &Core, services: &[u16]) {
        let of_service = |index: &u32| {
            self.sessions.get(*index).is_some_and(|one| services.binary_search(&one.service).is_ok())
        };
        let indices: Vec<u32> = self.sessions.indices().into_iter().filter(of_service).collect();
        indices.into_iter().for_each(|index| self.arm_timer(core, index));
    }

    /// Sets the timer. Activity does not move it: it looks when it rings.
    fn arm_timer(&mut self, core: &Core, index: u32) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.timer_ms = session.deadline_ms(&core.services[session.service]);
        match session.timer_ms {
            Some(deadline_ms) => self.timers.arm(index, deadline_ms),
            None => self.timers.disarm(index),
        }
    }

    /// A timer rang.
    pub fn expire(&mut self, core: &mut Core, index: u32) {
        let Some(session) = self.sessions.get(index) else { return };
        let local = &mut core.services[session.service];
        let since = |start_ms: u64| core.now_ms.saturating_sub(start_ms);
        if idle_ms(local).is_some_and(|idle_ms| since(session.active_ms) >= idle_ms) {
            local.totals.idle_timeouts += 1;
            return self.close(core, index, CloseReason::IdleTimeout);
        }
        let timeout_ms = timeout_ms(local);
        if let Some(sent_ms) = session.unanswered_ms.filter(|sent_ms| since(*sent_ms) >= timeout_ms) {
            self.judge_silence(core, index, sent_ms);
        }
        self.arm_timer(core, index);
    }
}

impl Session {
    /// When its timer must ring next; `None` when it needs none.
    fn deadline_ms(&self, local: &LocalService) -> Option<u64> {
        let idle = idle_ms(local).map(|idle_ms| self.active_ms + idle_ms);
        let silent = self.unanswered_ms.filter(|_| local.settings.flag(Flag::UdpAnswers));
        let silent = silent.map(|since_ms| since_ms + timeout_ms(local));
        [idle, silent].into_iter().flatten().min()
    }
}

fn timeout_ms(local: &LocalService) -> u64 {
    local.settings.number(Number::Timeout) * 1000
}

/// How long a session may be silent; `None` for ever.
fn idle_ms(local: &LocalService) -> Option<u64> {
    let limits =
        [Number::IdleTimeout, Number::UdpIdleTimeout].map(|limit| local.settings.number(limit) * 1000);
    // For an answer that is still to come nobody waits any longer.
    let drain = local.draining.then(|| timeout_ms(local));
    limits.into_iter().filter(|limit| *limit > 0).chain(drain).min()
}
