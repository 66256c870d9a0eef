//! The one chain that everything a client says goes through, whoever reads it: it is dumped, logged, edited for `http`, kept
//! while its server may turn out to be dead, and greeted before.

use super::Context;
use super::clones::Clones;
use super::hand_over::keep;
use super::log_lines::log_read;
use super::services::LocalService;
use super::trace::Dump;
use super::verdict::Verdict;
use crate::balance::Endpoint;
use crate::conn::relay::{self, Passage};
use crate::conn::{Chain, CloseReason, Connection, Direction, Extras, Parts};
use crate::http::{Answered, Exchanges, Progress, Refusal};
use crate::log::diag;
use crate::log::traffic::TrafficLog;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{HttpMode, LogFormat};
use pen_proto::logline::DATAGRAM_BYTES_MAX;

/// Level at which clients are told of to whose requests nothing was added.
const UNEDITED: u8 = 1;

/// The chain, during one turn of a connection.
pub(super) struct FromClient<'a> {
    log: &'a mut TrafficLog,
    format: LogFormat,
    dump: Option<Dump>,
    client: ClientAddr,
    /// The server that has accepted; as long as there is none, a read has no line in the log.
    pub server: Option<&'a Endpoint>,
    pub chain: Option<&'a mut Chain>,
    /// Who gets a copy, if the chain says so.
    clones: &'a mut Clones,
    /// The PROXY header that goes before everything else, if it has not gone yet.
    pub greeting: Option<Vec<u8>>,
    pub remark: Remark,
}

/// What the worker has to do about a client with `http`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Remark {
    #[default]
    Nothing,
    /// Nothing could be added to what it says.
    Unedited,
    Refused(Refusal),
    /// Nothing of the client passes any more, and no answer is awaited.
    Ended,
}

impl<'a> FromClient<'a> {
    /// Of a client that has no server yet.
    pub(super) fn new(
        log: &'a mut TrafficLog,
        format: LogFormat,
        dump: Option<Dump>,
        client: ClientAddr,
        clones: &'a mut Clones,
    ) -> FromClient<'a> {
        FromClient {
            log,
            format,
            dump,
            client,
            server: None,
            chain: None,
            clones,
            greeting: None,
            remark: Remark::Nothing,
        }
    }

    /// The number of the clone.
    pub(super) fn clone_number(&self) -> Option<u32> {
        self.chain.as_ref()?.clone
    }

    /// For each read, and for the end of file; see [`relay::pump`].
    pub(super) fn pass(&mut self, bytes: &[u8], is_end: bool, instead: &mut Vec<u8>) -> Passage {
        self.dump.inspect(|dump| dump.up(bytes));
        if self.server.is_some() && !bytes.is_empty() {
            log_read(self.log, self.format, self.client, self.server, bytes);
        }
        let passage = self.forward(bytes, is_end, instead);
        if let (None, Some(chain)) = (self.server, &mut self.chain)
            && passage != Passage::AsRead
        {
            let room = DATAGRAM_BYTES_MAX.saturating_sub(chain.unlogged.len());
            chain.unlogged.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        passage
    }

    /// For what was read before, if it was held back.
    fn forward(&mut self, bytes: &[u8], is_end: bool, instead: &mut Vec<u8>) -> Passage {
        let passage = edit(self.chain.as_deref_mut(), bytes, is_end, instead, &mut self.remark);
        let sent = if passage == Passage::AsRead { bytes } else { &instead[..] };
        keep(self.chain.as_deref_mut(), sent);
        if let Some(clone) = self.clone_number() {
            self.clones.copy(clone, sent, is_end);
        }
        match (self.greeting.take(), passage) {
            (None, _) => passage,
            (Some(greeting), Passage::AsRead) => {
                instead.extend_from_slice(&greeting);
                instead.extend_from_slice(bytes);
                Passage::Instead
            }
            (Some(greeting), _) => {
                instead.splice(..0, greeting);
                passage
            }
        }
    }
}

/// Feeds client bytes to `http`, if the connection has it.
fn edit(
    chain: Option<&mut Chain>,
    bytes: &[u8],
    is_end: bool,
    instead: &mut Vec<u8>,
    remark: &mut Remark,
) -> Passage {
    let Some(Chain { http, .. }) = chain else { return Passage::AsRead };
    let Some(exchanges) = http.as_mut() else { return Passage::AsRead };
    if !is_end && exchanges.passes(bytes) {
        return Passage::AsRead;
    }
    let progress = match exchanges.push(bytes, instead) {
        Progress::NeedMore if is_end => exchanges.finish(instead),
        progress => progress,
    };
    match progress {
        Progress::NeedMore => {}
        Progress::Waits => return Passage::InsteadAndWait,
        Progress::Refused(refusal) => *remark = Remark::Refused(refusal),
        Progress::Ended => *remark = Remark::Ended,
        Progress::Done => {
            if !exchanges.has_edited() {
                *remark = Remark::Unedited;
            }
            *http = None;
        }
    }
    Passage::Instead
}

fn exchanges(chain: Option<&mut Chain>) -> Option<&mut Exchanges> {
    chain?.http.as_deref_mut()
}

/// Shows `http` what the server says.
pub(super) fn hear_answer(
    chain: Option<&mut Chain>,
    bytes: &[u8],
    from_client: &mut Direction,
    answered: &mut Answered,
) {
    let heard = exchanges(chain).map(|exchanges| exchanges.answer(bytes));
    follow_answer(heard, from_client, answered);
}

/// Tells `http` that the server has ended, if it has: a client that waits for its answer is read again, so that its own
/// end is seen.
pub(super) fn hear_end(
    chain: Option<&mut Chain>,
    from_server: &Direction,
    from_client: &mut Direction,
    answered: &mut Answered,
) {
    if from_server.eof && from_client.waits {
        follow_answer(exchanges(chain).map(Exchanges::end_of_answers), from_client, answered);
    }
}

fn follow_answer(heard: Option<Answered>, from_client: &mut Direction, answered: &mut Answered) {
    match heard {
        None | Some(Answered::Nothing) => {}
        Some(Answered::GoOn) => {
            from_client.waits = false;
            *answered = Answered::GoOn;
        }
        Some(ended @ (Answered::Ended | Answered::Refused(_))) => {
            from_client.receiver_gone = true; // nothing more of the client goes there
            *answered = ended;
        }
    }
}

/// How many bytes of the server need not be shown to `http`.
pub(super) fn unheard_bytes(chain: Option<&Chain>) -> u64 {
    let exchanges = chain.and_then(|chain| chain.http.as_ref());
    exchanges.map_or(u64::MAX, |exchanges| exchanges.unlooked_bytes())
}

/// So many of them have passed.
pub(super) fn skip(chain: Option<&mut Chain>, bytes: u64) {
    if let Some(exchanges) = exchanges(chain) {
        exchanges.skip(bytes);
    }
}

fn say_refused(connection: &Connection, refusal: Refusal) {
    let client = connection.address;
    diag::once(
        &format!("http {refusal:?}"),
        format_args!("http: request of {client} refused: {refusal}; closing the connection"),
    );
}

impl Context {
    /// What a client has said before its server has accepted, so many bytes in the scratch buffer, passes the chain and is
    /// kept for its server. Its line in the log waits until it is certain which server that is.
    pub(super) fn pass_early(&mut self, connection: &mut Connection, count: usize) -> Verdict {
        let is_end = connection.from_client.eof;
        if count == 0 && !is_end {
            return Verdict::Stay;
        }
        let dump = self.dump(connection);
        let Context { core, work, clones, .. } = self;
        let LocalService { log, settings, .. } = &mut core.services[connection.service];
        let mut seen = FromClient::new(log, settings.choice(), dump, connection.address, clones);
        let Parts { from_client, chain, .. } = connection.parts();
        seen.chain = chain;
        let look = |bytes: &[u8], instead: &mut Vec<u8>| seen.pass(bytes, is_end, instead);
        let bytes = relay::look_at(&work.scratch[..count], &mut work.instead, from_client, look);
        from_client.pending = (!bytes.is_empty()).then(|| work.pool.hold(bytes));
        let remark = seen.remark;
        connection.unlogged |= count > 0;
        self.heed(connection, remark, Answered::Nothing)
    }

    /// What a client said before its server had accepted is logged when it is known which server gets it, and before it does.
    pub(super) fn log_held(&mut self, connection: &mut Connection) {
        if !std::mem::take(&mut connection.unlogged) {
            return;
        }
        let LocalService { log, settings, .. } = &mut self.core.services[connection.service];
        let unlogged = connection.extras.as_mut().map(|extras| std::mem::take(&mut extras.chain.unlogged));
        let pending = connection.from_client.pending.as_ref().map_or(&[][..], |pending| pending.unsent());
        let heard = unlogged.as_deref().filter(|unlogged| !unlogged.is_empty()).unwrap_or(pending);
        log_read(log, settings.choice(), connection.address, connection.endpoint.as_deref(), heard);
        Extras::free_if_unused(&mut connection.extras);
    }

    /// `http` for a connection, if it is wanted. `proto`: what its client speaks.
    pub(super) fn begin_http(&mut self, connection: &mut Connection, proto: &'static str) {
        let mode = self.settings(connection).choice();
        if mode != HttpMode::Off {
            let exchanges = Exchanges::new(connection.address, proto, mode);
            connection.extras().chain.http = Some(Box::new(exchanges));
        }
    }

    /// Does what `http` wants done after a turn of a connection.
    pub(super) fn heed(
        &mut self,
        connection: &mut Connection,
        mut remark: Remark,
        answered: Answered,
    ) -> Verdict {
        let mut verdict = Verdict::Stay;
        match answered {
            Answered::Nothing => {}
            Answered::Ended => connection.from_server.eof = true,
            // Closed when the client has the answers before.
            Answered::Refused(refusal) => {
                say_refused(connection, refusal);
                connection.from_server.eof = true;
            }
            Answered::GoOn => {
                remark = self.go_on(connection, remark);
                verdict = Verdict::Again;
            }
        }
        match remark {
            Remark::Nothing => verdict,
            Remark::Unedited => {
                self.count_unedited(connection);
                verdict
            }
            Remark::Refused(refusal) => {
                say_refused(connection, refusal);
                Verdict::Close(CloseReason::BadRequest)
            }
            Remark::Ended => {
                connection.from_client.receiver_gone = true;
                connection.from_server.eof = true;
                verdict
            }
        }
    }

    /// What was held back until the server had answered goes on.
    fn go_on(&mut self, connection: &mut Connection, remark: Remark) -> Remark {
        let Context { core, work, clones, .. } = self;
        let LocalService { log, settings, .. } = &mut core.services[connection.service];
        let mut seen = FromClient::new(log, settings.choice(), None, connection.address, clones);
        let Parts { from_client, mut chain, .. } = connection.parts();
        let held = exchanges(chain.as_deref_mut()).map(Exchanges::take_held).unwrap_or_default();
        (seen.chain, seen.remark) = (chain, remark);
        let look = |bytes: &[u8], instead: &mut Vec<u8>| seen.forward(bytes, false, instead);
        let bytes = relay::look_at(&held, &mut work.instead, from_client, look);
        match &mut from_client.pending {
            _ if bytes.is_empty() => {}
            Some(pending) => pending.bytes_mut().extend_from_slice(bytes),
            place => *place = Some(work.pool.hold(bytes)),
        }
        let remark = seen.remark;
        Extras::free_if_unused(&mut connection.extras);
        remark
    }

    /// A client ends to whose requests `http` could add nothing so far.
    pub(super) fn count_if_unedited(&mut self, connection: &Connection) {
        let exchanges = connection.extras.as_ref().and_then(|extras| extras.chain.http.as_ref());
        if connection.from_client.bytes > 0 && exchanges.is_some_and(|exchanges| !exchanges.has_edited()) {
            self.count_unedited(connection);
        }
    }

    /// A client came to whose requests `http` can add nothing.
    pub(super) fn count_unedited(&mut self, connection: &Connection) {
        self.service(connection).totals.http_unedited += 1;
        let client = connection.address;
        diag::debug!(UNEDITED, "http: nothing added for {client}: it sends no request of HTTP/1");
    }
}
