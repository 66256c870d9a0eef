//! What becomes of everything that a client says, in one order for all who read it: it is logged, dumped, edited for
//! `http`, kept while its server may turn out to be dead, and greeted before. Called by `connect.rs`, `serve.rs` and
//! `handshake.rs`, whichever reads first.

use super::Worker;
use super::hand_over::keep;
use super::serve::log_read;
use super::trace::Dump;
use crate::balance::Endpoint;
use crate::conn::relay::Passage;
use crate::conn::{Chain, CloseReason, Connection, Direction, Extras};
use crate::http::{Answered, Exchanges, Progress, Refusal};
use crate::log::diag;
use crate::log::traffic::TrafficLog;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{HttpMode, LogFormat};
use pen_proto::logline::DATAGRAM_BYTES_MAX;

/// Level at which clients are told of to whose requests nothing was added.
const UNEDITED: u8 = 1;

/// Sees what a client says once its server has accepted.
pub(super) struct Said<'a> {
    pub log: &'a mut TrafficLog,
    pub format: LogFormat,
    pub dump: Option<Dump>,
    pub client: ClientAddr,
    pub server: Option<&'a Endpoint>,
    pub chain: Option<&'a mut Chain>,
    /// The PROXY header that goes before everything else, if it has not gone yet.
    pub greeting: Option<Vec<u8>>,
    pub verdict: Verdict,
}

/// What the worker has to do about a client with `http`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    #[default]
    Nothing,
    /// Nothing could be added to what it says.
    Unedited,
    Refused(Refusal),
}

impl Said<'_> {
    /// For each read, and with an empty slice at end of file; see [`crate::conn::relay::pump`].
    pub(super) fn pass(&mut self, bytes: &[u8], instead: &mut Vec<u8>) -> Passage {
        if !bytes.is_empty() {
            log_read(self.log, self.format, self.client, self.server, bytes);
            self.dump.inspect(|dump| dump.up(bytes));
        }
        let chain = self.chain.as_deref_mut();
        let passage = edit(chain, bytes, bytes.is_empty(), instead, &mut self.verdict);
        keep(self.chain.as_deref_mut(), if passage == Passage::AsRead { bytes } else { instead });
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

/// What is heard of a client before its server has accepted: returns what of it may go there. Its line in the log waits
/// until it is certain which server that is.
pub(super) fn early<'a>(
    dump: Option<Dump>,
    connection: &mut Connection,
    bytes: &'a [u8],
    instead: &'a mut Vec<u8>,
    verdict: &mut Verdict,
) -> &'a [u8] {
    let is_end = connection.from_client.eof;
    if bytes.is_empty() && !is_end {
        return bytes;
    }
    dump.inspect(|dump| dump.up(bytes));
    instead.clear();
    let chain = connection.extras.as_mut().map(|extras| &mut extras.chain);
    let passage = edit(chain, bytes, is_end, instead, verdict);
    connection.from_client.waits |= passage == Passage::InsteadAndWait;
    connection.unlogged |= !bytes.is_empty();
    if passage == Passage::AsRead {
        return bytes;
    }
    let unlogged = &mut connection.extras().chain.unlogged;
    let room = DATAGRAM_BYTES_MAX.saturating_sub(unlogged.len());
    unlogged.extend_from_slice(&bytes[..bytes.len().min(room)]);
    instead
}

/// What was heard early, when it is to be logged: empty if that is what goes to the server. `None`: there is nothing to log.
pub(super) fn take_unlogged(connection: &mut Connection) -> Option<Vec<u8>> {
    if !std::mem::take(&mut connection.unlogged) {
        return None;
    }
    let unlogged = connection.extras.as_mut().map(|extras| std::mem::take(&mut extras.chain.unlogged));
    Extras::free_if_unused(&mut connection.extras);
    Some(unlogged.unwrap_or_default())
}

/// Feeds client bytes to `http`, if the connection has it.
fn edit(
    chain: Option<&mut Chain>,
    bytes: &[u8],
    is_end: bool,
    instead: &mut Vec<u8>,
    verdict: &mut Verdict,
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
        Progress::Refused(refusal) => *verdict = Verdict::Refused(refusal),
        Progress::Done => {
            if !exchanges.has_edited() {
                *verdict = Verdict::Unedited;
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
        Some(Answered::Ended) => {
            from_client.receiver_gone = true; // nothing more of the client goes there
            *answered = Answered::Ended;
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

impl Worker {
    /// `http` for a connection, if it is wanted. `proto`: what its client speaks.
    pub(super) fn begin_http(&mut self, index: u32, proto: &'static str) {
        let Some(connection) = self.connections.get_mut(index) else { return };
        let mode = self.core.services[connection.service].settings.choice();
        if mode == HttpMode::Off {
            return;
        }
        let exchanges = Exchanges::new(connection.address, proto, mode);
        connection.extras().chain.http = Some(Box::new(exchanges));
    }

    /// Does what `http` wants done after a turn of a connection. False when that was to end it.
    pub(super) fn heed(&mut self, index: u32, mut verdict: Verdict, answered: Answered) -> bool {
        let Some(connection) = self.connections.get_mut(index) else { return false };
        let (service, client) = (connection.service, connection.address);
        match answered {
            Answered::Nothing => {}
            Answered::Ended => connection.from_server.eof = true,
            Answered::GoOn => {
                self.instead.clear();
                go_on(connection, &mut self.instead, &mut verdict);
                if !self.instead.is_empty() {
                    match &mut connection.from_client.pending {
                        Some(pending) => pending.bytes_mut().extend_from_slice(&self.instead),
                        place => *place = Some(self.pool.hold(&self.instead)),
                    }
                }
                self.put_off(index);
            }
        }
        match verdict {
            Verdict::Nothing => true,
            Verdict::Unedited => {
                self.count_unedited(service, client);
                true
            }
            Verdict::Refused(refusal) => {
                self.refuse_request(index, refusal);
                false
            }
        }
    }

    fn refuse_request(&mut self, index: u32, refusal: Refusal) {
        let Some(connection) = self.connections.get(index) else { return };
        let client = connection.address;
        diag::once(
            &format!("http {refusal:?}"),
            format_args!("http: request of {client} refused: {refusal}; closing the connection"),
        );
        self.close(index, CloseReason::BadRequest);
    }

    /// A client ends to whose requests `http` could add nothing so far.
    pub(super) fn count_if_unedited(&mut self, connection: &Connection) {
        let exchanges = connection.extras.as_ref().and_then(|extras| extras.chain.http.as_ref());
        if connection.from_client.bytes > 0 && exchanges.is_some_and(|exchanges| !exchanges.has_edited()) {
            self.count_unedited(connection.service, connection.address);
        }
    }

    /// A client came to whose requests `http` can add nothing.
    pub(super) fn count_unedited(&mut self, service: u16, client: ClientAddr) {
        self.core.services[service].totals.http_unedited += 1;
        diag::debug!(UNEDITED, "http: nothing added for {client}: it sends no request of HTTP/1");
    }
}

/// Edits what was held until the server had answered.
fn go_on(connection: &mut Connection, instead: &mut Vec<u8>, verdict: &mut Verdict) {
    let mut chain = connection.extras.as_mut().map(|extras| &mut extras.chain);
    let held = exchanges(chain.as_deref_mut()).map(Exchanges::take_held).unwrap_or_default();
    let passage = edit(chain.as_deref_mut(), &held, false, instead, verdict);
    if passage == Passage::AsRead {
        instead.extend_from_slice(&held);
    }
    keep(chain, instead);
    connection.from_client.waits |= passage == Passage::InsteadAndWait;
    Extras::free_if_unused(&mut connection.extras);
}
