//! What the program around pen hears of sessions, where there is one that listens.

use super::session::Session;
use crate::balance::ServerId;
use crate::hooks::{Event, EventKind, server_of};
use crate::worker::Core;
use std::net::SocketAddr;

/// Tells of a session; `server` is the one that it has, or had at its end.
#[inline]
pub(super) fn tell(
    core: &Core,
    (index, session): (u32, &Session),
    client: SocketAddr,
    server: Option<ServerId>,
    kind: impl FnOnce() -> EventKind,
) {
    let Some(hook) = core.shared.hook() else { return };
    let (server, server_address) = server_of(server, Some(&session.endpoint));
    hook.tell(&Event {
        kind: kind(),
        service: &core.services[session.service].service.name,
        connection: core.session_number(index),
        client: Some(client),
        server,
        server_address,
    });
}
