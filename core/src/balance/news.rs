//! What the operator hears of servers without asking: who is back, and whether any is left. Pure.
//!
//! Owns what was told already. Who is left is counted with each change of a server, so that it costs the same however many
//! there are.

use super::selection::Selection;
use super::servers::{Server, ServerId};
use pen_proto::called::Called;

/// Most servers that are remembered until somebody asks.
const BACK_MAX: usize = 64;

/// What has happened since somebody asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// They had failed, and have taken a connection.
    pub back: Vec<Called>,
    /// Whether there is a server for clients, if that is other than before.
    pub any_left: Option<bool>,
}

/// What is not told yet, and what is.
#[derive(Debug, Default)]
pub(super) struct Untold {
    back: Vec<Called>,
    none_left: bool,
}

impl Server {
    /// Whether clients have it, as far as is known: a server that failed is not, until a connect has succeeded.
    pub(super) fn is_left(&self) -> bool {
        self.usable_from_seconds(0) < u64::MAX && !self.standing.has_setback()
    }
}

impl Selection {
    /// What the operator should hear.
    pub fn take_news(&mut self) -> News {
        let is_none = self.servers.left() == 0;
        let are_any = || self.servers.regular().iter().any(|server| server.setup.endpoint.is_complete());
        let none_left = is_none && (self.untold.none_left || are_any());
        let is_other = std::mem::replace(&mut self.untold.none_left, none_left) != none_left;
        News { back: std::mem::take(&mut self.untold.back), any_left: is_other.then_some(!none_left) }
    }

    pub(super) fn is_back(&mut self, server: ServerId) {
        if self.untold.back.len() < BACK_MAX {
            let called = self.called(server);
            self.untold.back.push(called);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Admission, Duty, Endpoint, Pool, Released, ServerSetup};
    use super::*;
    use crate::settings::Settings;
    use pen_proto::addr::ClientAddr;

    const CLIENT: ClientAddr = ClientAddr::Ip(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn setup(port: u16) -> ServerSetup {
        ServerSetup::new(Endpoint::Inet(([127, 0, 0, 1], port).into()))
    }

    fn told(back: &[&str], any_left: Option<bool>) -> (Vec<String>, Option<bool>) {
        (back.iter().map(|called| (*called).to_string()).collect(), any_left)
    }

    #[test]
    fn it_is_told_once_when_none_is_left_and_when_one_is_again() {
        let mut pool = Pool::new(10);
        let key = pool.add_selection(Settings::default().rules());
        let take = |pool: &mut Pool| {
            let News { back, any_left } = pool.at(key).take_news();
            (back.iter().map(Called::to_string).collect::<Vec<_>>(), any_left)
        };
        assert_eq!(take(&mut pool), told(&[], None), "where no server was configured, none is missed");
        let disabled = ServerSetup { duty: Duty::Disabled { since_seconds: 1 }, ..setup(2) };
        pool.set_servers(key, vec![setup(1), disabled.clone()], None, None);
        assert_eq!(take(&mut pool), told(&[], None));
        let Admission::Connect(mut attempt, _) = pool.at(key).admit(CLIENT, 0, 100) else {
            panic!("refused")
        };
        // The one that failed is all there is; it is tried again.
        pool.at(key).failed(CLIENT, &mut attempt, 100);
        assert_eq!(take(&mut pool), told(&[], Some(false)));
        let Admission::Connect(again, _) = pool.at(key).admit(CLIENT, 0, 200) else { panic!("refused") };
        assert_eq!(take(&mut pool), told(&[], None), "its time is over, but nobody knows that it is well");
        pool.at(key).connected(&again);
        assert_eq!(take(&mut pool), told(&["server 0 (127.0.0.1:1)"], Some(true)));
        assert_eq!(take(&mut pool), told(&[], None));
        pool.at(key).release(again, Released::default());
        pool.at(key).blacklist(ServerId::regular(0), 60, 200);
        assert_eq!(take(&mut pool), told(&[], Some(false)));
        pool.set_servers(key, vec![setup(1), setup(2)], None, None);
        assert_eq!(take(&mut pool), told(&[], Some(true)), "the other was enabled");
        pool.set_servers(key, vec![ServerSetup { duty: disabled.duty, ..setup(1) }, disabled], None, None);
        assert_eq!(take(&mut pool), told(&[], Some(false)));
    }
}
