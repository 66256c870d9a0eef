//! Where the load of servers is read, as it was configured.

use super::{Config, ServerEntry, ServiceConfig};
use pen_proto::commands::{LoadSource, Number, Overload, ServerChange, Text};
use pen_proto::load::Load;

/// How the load of a server is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadWatch {
    /// Not [`LoadSource::None`].
    pub source: LoadSource,
    /// 0: never again.
    pub interval_ms: u64,
    pub timeout_ms: u64,
}

impl ServiceConfig {
    /// The source for servers that have none of their own.
    pub fn load_source(&self) -> LoadSource {
        // Kept as it was read.
        self.text(Text::Load).and_then(|text| LoadSource::parse(text).ok()).unwrap_or_default()
    }

    /// Whether the load of any server may be read.
    pub fn reads_loads(&self) -> bool {
        self.text(Text::Load).is_some() || self.servers.iter().flatten().any(|entry| entry.load.is_some())
    }

    /// How the load of a server is read, where `source` is that of its service; `None`: it is not. A server that is
    /// disabled is asked, too.
    pub fn load_watch(&self, entry: &ServerEntry, source: &LoadSource) -> Option<LoadWatch> {
        let source = entry.load.as_ref().unwrap_or(source);
        let own = &entry.check;
        (*source != LoadSource::None).then(|| LoadWatch {
            source: source.clone(),
            interval_ms: own.interval_ms.unwrap_or_else(|| self.number(Number::CheckInterval)),
            timeout_ms: own.timeout_ms.unwrap_or_else(|| self.number(Number::CheckTimeout)),
        })
    }

    /// The load at which a server is fully loaded; none is 0.
    pub fn maxload(&self, entry: &ServerEntry) -> Load {
        Load::of_thousandths(entry.maxload.unwrap_or_else(|| self.number(Number::Maxload)))
    }

    /// Whether servers with more load than that get no new clients.
    pub fn is_strict(&self) -> bool {
        self.values.choice::<Overload>() == Overload::Strict
    }

    /// Which place a server has among those that stand by: 0 for one that does not. Those that `standby` names come after
    /// all that a name server names.
    pub fn standby_place(&self, entry: &ServerEntry) -> u8 {
        match entry.is_standby {
            false => entry.standby,
            true => {
                let others = self.servers.iter().flatten().map(|entry| entry.standby).max().unwrap_or(0);
                entry.standby.saturating_add(others).saturating_add(1)
            }
        }
    }

    fn has_secret(&self) -> bool {
        let unaddressed = self.unaddressed.values().flatten().filter_map(|change| match change {
            ServerChange::Load(source) => Some(source),
            _ => None,
        });
        let own = self.servers.iter().flatten().filter_map(|entry| entry.load.as_ref());
        self.load_source().is_secret() || own.chain(unaddressed).any(LoadSource::is_secret)
    }
}

impl Config {
    /// Whether a file with it is to be read by nobody else: it names a community.
    pub fn has_secret(&self) -> bool {
        self.services.iter().any(|service| service.has_secret())
    }
}
