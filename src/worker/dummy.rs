//! `dummy`: pen answers by itself, for tests and the demonstration.

use super::Context;
use super::verdict::Verdict;
use crate::conn::relay::{self, Flow, Passage};
use crate::conn::{CloseReason, Connection, Parts, Stage};

/// How long an answered `dummy` client gets to read and close before the connection is cut.
pub const DUMMY_LINGER_MS: u64 = 2_000;

impl Context {
    /// Whatever the client says, it hears the same answer.
    pub(super) fn dummy(&mut self, connection: &mut Connection, answered: bool) -> Verdict {
        let Context { core, work, .. } = self;
        let Parts { mut client, mut server, from_client, from_server, .. } = connection.parts();
        from_client.receiver_gone = true; // there is no server to hear it
        let mut asked = false;
        let flow = relay::pump(&mut client, &mut server, from_client, work, |bytes, _| {
            asked |= !bytes.is_empty();
            Passage::AsRead
        });
        let answers = asked && !answered;
        if answers {
            client.offer(from_server, answer(core.shared.dummy_name()).as_bytes(), &mut work.pool);
        }
        if client.flush(from_server, &mut work.pool) && (answers || answered) && !from_server.shut {
            client.shut(from_server, true);
        }
        if answers {
            self.enter(connection, Stage::Dummy { answered: true });
        }
        match flow {
            Flow::SenderFailed => Verdict::Close(CloseReason::ClientReset),
            Flow::TurnOver => Verdict::Again,
            Flow::Waits if connection.from_client.eof => Verdict::Close(CloseReason::Finished),
            Flow::Waits => Verdict::Stay,
        }
    }
}

/// The answer to whatever a client sends; without a name byte for byte that of the original Pen.
fn answer(name: Option<&str>) -> String {
    let text = name.unwrap_or("Ulric was here.");
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type: text/html\r\n\r\n{text}", text.len())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_default_answer_is_pens() {
        let original =
            "HTTP/1.1 200 OK\r\nContent-Length: 15\r\nContent-Type: text/html\r\n\r\nUlric was here.";
        assert_eq!(super::answer(None), original);
        assert!(
            super::answer(Some("server 1\n"))
                .ends_with("Content-Length: 9\r\nContent-Type: text/html\r\n\r\nserver 1\n")
        );
    }
}
