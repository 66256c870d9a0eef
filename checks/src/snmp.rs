//! One question to an SNMP agent, and its answer.
//!
//! Owns the socket, which takes datagrams from the agent alone. What is asked and what an answer means is in
//! `pen_core::loads`; `watcher.rs` calls this when something has come, and gives it up when its time is over.

use pen_core::loads::snmp::{ANSWER_BYTES_MAX, Answer, Object, Question};
use pen_proto::commands::SnmpVersion;
use pen_proto::endpoint::Endpoint;
use pen_proto::load::Load;
use pen_sys::errors::reason;
use pen_sys::net::connect::{LocalAddress, StartError};
use pen_sys::net::datagram;
use pen_sys::socket;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What an agent that hides its load needs. Debian's own configuration shows a view without it.
const HIDDEN: &str = "the SNMP agent does not show it: add \"view systemonly included .1.3.6.1.4.1.2021.10\" to \
                      Debian's snmpd.conf, to another one \"rocommunity COMMUNITY SOURCE\", and restart the agent";
/// Agents do not answer who has the wrong community.
pub const SILENCE: &str = "no answer from the SNMP agent: the community is wrong, or the agent does not listen at this \
                           address (Debian's listens at 127.0.0.1 alone: agentaddress in snmpd.conf)";

/// How a question stands.
pub enum Asked {
    Waits,
    Load(Load),
    /// Why there is no load.
    Unknown(String),
}

/// A question under way.
pub struct Ask {
    fd: OwnedFd,
    version: SnmpVersion,
    community: Box<[u8]>,
    id: i32,
    pub object: Object,
    /// The other object is not there.
    is_second: bool,
    was_repeated: bool,
}

impl Ask {
    /// Asks the agent at this place. `id` is not negative, and nobody can guess it.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub fn start(
        place: &Endpoint,
        local: LocalAddress,
        (version, community): (SnmpVersion, &str),
        id: i32,
        object: Object,
    ) -> Result<Ask, String> {
        let fd = datagram::connect_to(place, local).map_err(|error| match error {
            StartError::Server(error) | StartError::Local(error) | StartError::Shortage(error) => {
                reason(&error)
            }
            StartError::Busy => "no room".into(),
        })?;
        let community = community.as_bytes().into();
        let ask = Ask { fd, version, community, id, object, is_second: false, was_repeated: false };
        ask.send().map_err(|error| refused(place, &error))?;
        Ok(ask)
    }

    /// For the poller.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn question(&self) -> Question<'_> {
        Question { version: self.version, community: &self.community, id: self.id, object: self.object }
    }

    fn send(&self) -> io::Result<()> {
        match socket::send(self.fd(), &self.question().bytes()) {
            // It is repeated later.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// Half of the time is over: datagrams get lost. False when that was done already.
    pub fn repeat(&mut self) -> bool {
        !std::mem::replace(&mut self.was_repeated, true) && self.send().is_ok()
    }

    /// Takes what has come.
    pub fn go_on(&mut self, place: &Endpoint) -> Asked {
        let mut buffer = [0; ANSWER_BYTES_MAX];
        loop {
            let length = match socket::receive(self.fd(), &mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Asked::Waits,
                Err(error) => return Asked::Unknown(refused(place, &error)),
            };
            match self.question().read(&buffer[..length]) {
                None => {}
                Some(Answer::Load(load)) => return Asked::Load(load),
                Some(Answer::Wrong(what)) => return Asked::Unknown(format!("the SNMP agent answers {what}")),
                Some(Answer::Hidden) if self.is_second => return Asked::Unknown(HIDDEN.into()),
                Some(Answer::Hidden) => {
                    (self.object, self.is_second) = (self.object.other(), true);
                    // An answer to the first question is none to the second.
                    self.id ^= 1;
                    if let Err(error) = self.send() {
                        return Asked::Unknown(refused(place, &error));
                    }
                }
            }
        }
    }
}

fn refused(place: &Endpoint, error: &io::Error) -> String {
    let port = place.internet_address().map_or(0, |address| address.port());
    format!("no SNMP agent at UDP port {port}: {}", reason(error))
}
