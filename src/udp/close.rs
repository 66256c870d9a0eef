//! The end of sessions.

use super::Udp;
use super::session::Session;
use super::sessions::Parties;
use super::tell::tell;
use crate::balance::{Endpoint, Released, ServerId};
use crate::conn::CloseReason;
use crate::hooks::EventKind;
use crate::log::diag;
use crate::log::record::ConnectionRecord;
use crate::log::traffic::Target;
use crate::shared::Which;
use crate::sys::clock;
use crate::worker::{AddressText, Core, LIVES, LocalService};
use pen_proto::commands::LogFormat;
use pen_proto::status::CloneEnd;
use std::os::fd::AsFd;
use std::time::Duration;

impl Udp {
    pub fn close_all(&mut self, core: &mut Core, reason: CloseReason) {
        self.send_to_clients(core);
        self.sessions.indices().into_iter().for_each(|index| self.close(core, index, reason));
    }

    /// How many there were.
    pub fn close_these(&mut self, core: &mut Core, which: Which) -> usize {
        let meant = self.these(which);
        meant.iter().for_each(|index| self.close(core, *index, CloseReason::Closed));
        if let Which::Server(service, server) = which {
            self.cut_clones(core, CloneEnd::WithClient, |of, clone| (of, clone) == (service, server));
        }
        meant.len()
    }

    fn these(&self, which: Which) -> Vec<u32> {
        let all = |is_meant: &dyn Fn(&Session) -> bool| {
            let meant = self.sessions.iter().filter(|(_, _, session)| is_meant(session));
            meant.map(|(index, ..)| index).collect()
        };
        match which {
            Which::Connection(_) => Vec::new(),
            Which::Session(index) => self.sessions.get(index).map(|_| index).into_iter().collect(),
            Which::Service(service) => all(&|session| session.service == service),
            Which::Server(service, server) => all(&|session| {
                let attempt = session.attempt.as_ref();
                session.service == service && attempt.is_some_and(|attempt| attempt.server() == server)
            }),
        }
    }

    /// The only exit of a session: socket, counters, log, room for the next.
    pub fn close(&mut self, core: &mut Core, index: u32, reason: CloseReason) {
        self.leave_clone(core, index, reason);
        let Some((parties, mut session)) = self.sessions.remove(index) else { return };
        self.timers.disarm(index);
        if let Some(socket) = session.socket.take() {
            core.poller.forget(socket.as_fd());
        }
        let Session { up_bytes, down_bytes, .. } = session;
        trace(core, index, || format!("{}, {up_bytes} bytes up, {down_bytes} down", reason.as_str()));
        let server = session.attempt.as_ref().map_or(ServerId::NONE, |attempt| attempt.server());
        if let Some(attempt) = session.attempt.take() {
            let released = Released { established: true, up_bytes, down_bytes };
            core.services[session.service].service.with(|chooser| chooser.release(attempt, released));
        }
        if session.is_counted {
            core.services[session.service].service.with(|chooser| chooser.leave(session.address));
        }
        let totals = &mut core.services[session.service].totals;
        totals.closed += 1;
        totals.ends.count(reason);
        totals.up_bytes += up_bytes;
        totals.down_bytes += down_bytes;
        if matches!(reason, CloseReason::NoServer | CloseReason::Shortage) {
            totals.rejected += 1;
        }
        tell(core, (index, &session), parties.client(), Some(server), || EventKind::Closed {
            up_bytes,
            down_bytes,
            duration: Duration::from_millis(core.now_ms.saturating_sub(session.started_ms)),
            reason: reason.as_str(),
        });
        log_end(core, &parties, &session, server, reason);
        core.shared.room().give_session();
    }
}

fn log_end(core: &mut Core, parties: &Parties, session: &Session, server: ServerId, reason: CloseReason) {
    let LocalService { log, settings, service, .. } = &mut core.services[session.service];
    if settings.choice::<LogFormat>() != LogFormat::Json || log.target() != Target::File {
        return;
    }
    let duration_milliseconds = clock::monotonic_ms().saturating_sub(session.started_ms);
    let mut address = AddressText::default();
    let endpoint = Some(session.endpoint.as_ref()).filter(|_| server != ServerId::NONE);
    log.json(&ConnectionRecord {
        start_epoch_milliseconds: clock::epoch_ms().saturating_sub(duration_milliseconds),
        duration_milliseconds,
        client: session.address,
        client_port: Some(parties.client().port()),
        server: (server != ServerId::NONE).then_some(server.number()),
        server_address: endpoint.map(|_| address.of(endpoint)),
        server_port: endpoint.and_then(Endpoint::inet_port),
        up_bytes: session.up_bytes,
        down_bytes: session.down_bytes,
        reason: reason.as_str(),
        retries: session.retries,
        listener: core.listeners.text(parties.listener),
        service: &service.name,
    });
}

/// What `-d` tells about the lives of sessions.
pub(super) fn trace(core: &Core, index: u32, what: impl FnOnce() -> String) {
    if diag::is_on(LIVES) {
        diag::debug!(LIVES, "session {}: {}", core.session_number(index), what());
    }
}
