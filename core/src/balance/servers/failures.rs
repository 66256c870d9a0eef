//! Which servers have failed, in the order in which they did.

use super::{Server, ServerId, Servers};

impl Servers {
    /// The regular servers that failed and are not known to be well again, the one that failed longest ago first.
    pub fn failed(&self) -> impl Iterator<Item = (usize, &Server)> {
        let indices = self.failed.iter().filter_map(|id| id.index());
        let servers = indices.filter_map(|index| Some((index, self.regular().get(index)?)));
        servers.filter(|(_, server)| server.standing.has_failed())
    }

    /// A connect that began in this era failed. What it says of another era is not about the server as it is now.
    pub(in crate::balance) fn connect_failed(&mut self, id: ServerId, era: u16, now_seconds: u32) {
        let failed = self.change(id, |server| {
            server.failures_total += 1;
            let is_news = server.era == era;
            if is_news {
                server.standing.fail(now_seconds);
            }
            is_news
        });
        if failed == Some(true) {
            self.remember_failure(id);
        }
    }

    /// The server has failed without a connect. A blacklisting that was commanded and is not over stays as it is.
    pub(in crate::balance) fn vanished(&mut self, id: ServerId, now_seconds: u32) {
        let blacklist_seconds = self.blacklist_seconds;
        let failed = self.change(id, |server| {
            let stands = server.standing.is_commanded(blacklist_seconds, now_seconds);
            if !stands {
                server.standing.fail(now_seconds);
            }
            !stands
        });
        if failed == Some(true) {
            self.remember_failure(id);
        }
    }

    fn remember_failure(&mut self, id: ServerId) {
        if id.index().is_some() {
            self.failed.retain(|failed| *failed != id);
            self.failed.push(id);
        }
    }
}
