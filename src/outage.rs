//! What the operator hears when every server has failed, and when that is over.
//!
//! The pool tells the worker that meets it; called by the workers of `worker/` and `udp/`, after they have let go of
//! the pool.

use crate::balance::{Attempt, ServerId};
use crate::log::diag;

/// Says it if this is the first client for whom only servers that failed were left.
pub fn tell(attempt: &Attempt) {
    if attempt.begins_outage() {
        let text = "every server that would take clients has failed: trying them again, longest ago first";
        diag::once("outage", text);
    }
}

/// The first of them has accepted a connection.
pub fn tell_end(server: ServerId) {
    diag::once("outage is over", format_args!("server {server} takes connections again"));
}
