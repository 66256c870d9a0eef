//! What an end of file leads to. Pure.
//!
//! Owns the decision only: the relay asks after every change and carries the answer out, until nothing is left to do.

use pen_proto::commands::FastClose;

/// How far one direction of a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Direction {
    /// The sender's end of file was read.
    pub ended: bool,
    /// Bytes were read that the receiver has not taken yet.
    pub pending: bool,
    /// The end of file was passed on to the receiver.
    pub shutdown_sent: bool,
}

impl Direction {
    fn wants_shutdown(self) -> bool {
        self.ended && !self.pending && !self.shutdown_sent
    }
}

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Nothing,
    /// Pass the client's end of file on to the server.
    ShutdownServer,
    /// Pass the server's end of file on to the client.
    ShutdownClient,
    /// End the connection.
    Close,
}

/// Decides for one connection.
///
/// An end of file travels on once the bytes before it have, and the connection ends when both directions have. With
/// `tcp_fastclose` the end of file of the named side ends it at once, but never while bytes are pending either way;
/// until then it travels as usual.
pub fn decide(from_client: Direction, from_server: Direction, fast_close: FastClose) -> Action {
    let drained = !from_client.pending && !from_server.pending;
    let over = match fast_close {
        FastClose::Off => from_client.ended && from_server.ended,
        FastClose::Up => from_server.ended,
        FastClose::Down => from_client.ended,
        FastClose::Both => from_client.ended || from_server.ended,
    };
    if over && drained {
        Action::Close
    } else if from_client.wants_shutdown() {
        Action::ShutdownServer
    } else if from_server.wants_shutdown() {
        Action::ShutdownClient
    } else {
        Action::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: [FastClose; 4] = [FastClose::Off, FastClose::Up, FastClose::Down, FastClose::Both];

    /// All states that can occur: a shutdown is sent only after an end of file and all bytes before it.
    fn directions() -> Vec<Direction> {
        [
            (false, false, false),
            (false, true, false),
            (true, false, false),
            (true, true, false),
            (true, false, true),
        ]
        .map(|(ended, pending, shutdown_sent)| Direction { ended, pending, shutdown_sent })
        .to_vec()
    }

    fn states() -> impl Iterator<Item = (Direction, Direction, FastClose)> {
        directions().into_iter().flat_map(|from_client| {
            directions().into_iter().flat_map(move |from_server| {
                SETTINGS.into_iter().map(move |fast_close| (from_client, from_server, fast_close))
            })
        })
    }

    fn ends_at_once(from_client: Direction, from_server: Direction, fast_close: FastClose) -> bool {
        let up = matches!(fast_close, FastClose::Up | FastClose::Both) && from_server.ended;
        let down = matches!(fast_close, FastClose::Down | FastClose::Both) && from_client.ended;
        up || down
    }

    #[test]
    fn closes_exactly_when_it_is_over_and_nothing_is_pending() {
        for (client, server, fast_close) in states() {
            let over = (client.ended && server.ended) || ends_at_once(client, server, fast_close);
            let expected = over && !client.pending && !server.pending;
            let action = decide(client, server, fast_close);
            assert_eq!(action == Action::Close, expected, "{client:?} {server:?} {fast_close:?}: {action:?}");
        }
    }

    #[test]
    fn an_end_of_file_travels_once_and_only_after_the_bytes_before_it() {
        for (client, server, fast_close) in states() {
            match decide(client, server, fast_close) {
                Action::ShutdownServer => assert!(client.ended && !client.pending && !client.shutdown_sent),
                Action::ShutdownClient => assert!(server.ended && !server.pending && !server.shutdown_sent),
                Action::Nothing => assert!(!client.wants_shutdown() && !server.wants_shutdown()),
                Action::Close => {}
            }
        }
    }

    /// Whatever the state, carrying out the answers and draining the bytes comes to rest; and once both sides have
    /// ended, it comes to rest closed.
    #[test]
    fn no_state_is_stuck() {
        for (mut client, mut server, fast_close) in states() {
            (client.pending, server.pending) = (false, false);
            let both_ended = client.ended && server.ended;
            let mut actions = Vec::new();
            loop {
                let action = decide(client, server, fast_close);
                actions.push(action);
                match action {
                    Action::ShutdownServer => client.shutdown_sent = true,
                    Action::ShutdownClient => server.shutdown_sent = true,
                    Action::Nothing | Action::Close => break,
                }
                assert!(actions.len() < 4, "{actions:?}");
            }
            assert!(!both_ended || actions.last() == Some(&Action::Close), "{actions:?}");
        }
    }

    #[test]
    fn half_close_is_forwarded_by_default() {
        let open = Direction::default();
        let ended = Direction { ended: true, ..open };
        let passed_on = Direction { shutdown_sent: true, ..ended };
        assert_eq!(decide(ended, open, FastClose::Off), Action::ShutdownServer);
        assert_eq!(decide(passed_on, open, FastClose::Off), Action::Nothing);
        assert_eq!(decide(open, ended, FastClose::Off), Action::ShutdownClient);
        assert_eq!(decide(open, ended, FastClose::Down), Action::ShutdownClient);
        assert_eq!(decide(open, ended, FastClose::Up), Action::Close);
    }
}
