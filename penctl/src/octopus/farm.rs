//! What a pen says of itself, as Octopus's administrators think of it: members and clones, numbered apart.

use super::words::Which;
use pen_sys::control::Session;
use serde::Deserialize;

/// As many connections and as much load as Octopus gives a server when nothing else is said.
pub const MAX_CONNECTIONS: u32 = 500;
pub const MAX_LOAD: f64 = 4.0;

/// What Octopus shows of a server.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Told {
    index: i32,
    name: Option<String>,
    address: String,
    port: u16,
    connections: u64,
    max: u32,
    connections_total: u64,
    sent_bytes: u64,
    received_bytes: u64,
    state: String,
    role: String,
    /// `true` or `"yes"`.
    standby: serde_json::Value,
    load: Option<f64>,
    load_error: Option<String>,
    maxload: Option<f64>,
    uris: Option<u64>,
}

/// A server, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// The name, or the number, by which pen knows it.
    pub reference: String,
    pub is_clone: bool,
    /// Among its kind.
    pub id: usize,
    pub name: String,
    pub status: &'static str,
    pub is_standby: bool,
    pub ip: String,
    pub port: u16,
    pub connections: u64,
    pub max: u32,
    pub completed: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    /// `None` while it is not known.
    pub load: Option<f64>,
    /// It was asked for its load, in vain.
    pub has_no_answer: bool,
    pub max_load: f64,
    /// Addresses of requests that belong to it.
    pub uris: u64,
}

impl Server {
    /// In percent of what it may have, cut to a whole number.
    pub fn effective_load(&self) -> u64 {
        match self.load {
            Some(load) if load > 0.0 && self.max_load > 0.0 => (load / self.max_load * 100.0) as u64,
            _ => 0,
        }
    }
}

/// Members first, then clones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Farm {
    pub servers: Vec<Server>,
}

impl Farm {
    /// What `servers json` says.
    ///
    /// # Errors
    /// Pen is gone, refuses, or says something else.
    pub fn ask(session: &mut Session) -> Result<Farm, String> {
        let json = session.ask("servers json")??;
        Farm::read(&json).ok_or_else(|| "ERROR: the balancer does not say what servers it has".to_owned())
    }

    fn read(json: &str) -> Option<Farm> {
        let mut told: Vec<Told> = serde_json::from_str(json).ok()?;
        told.retain(|server| server.index >= 0 && server.state != "unset");
        told.sort_by_key(|server| server.index);
        let mut servers = Vec::new();
        // A number that is free now was of the kind of the server before it, so others keep theirs.
        let (mut next, mut ids) = (0, [0, 0]);
        let mut kind = told.first().map_or(0, |first| usize::from(first.is_clone()));
        for server in &told {
            let number = server.index as usize;
            ids[kind] += number.saturating_sub(next);
            next = number + 1;
            kind = usize::from(server.is_clone());
            servers.push(server.shown(ids[kind]));
            ids[kind] += 1;
        }
        servers.sort_by_key(|server| (server.is_clone, server.id));
        Some(Farm { servers })
    }

    /// The server that is meant.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, which: &Which) -> Result<&Server, String> {
        let of = |is_clone: bool, id: usize| {
            self.servers.iter().find(move |server| server.is_clone == is_clone && server.id == id)
        };
        match which {
            Which::Member(id) => of(false, *id).ok_or_else(|| "ERROR: Invalid member ID!".to_owned()),
            Which::Clone(id) => of(true, *id).ok_or_else(|| "ERROR: Invalid clone ID!".to_owned()),
            Which::Named(name) => {
                let named = self.servers.iter().find(|server| server.name == *name);
                named.ok_or_else(|| format!("ERROR: Invalid name {}!", pen_proto::addr::quoted(name)))
            }
        }
    }

    /// In percent of what members may have; `None` while nothing is known.
    pub fn overall_load(&self) -> Option<u64> {
        let known = self.servers.iter().filter(|server| !server.is_clone && server.max_load > 0.0);
        let known =
            known.filter_map(|server| Some((server.load.filter(|load| *load > 0.0)?, server.max_load)));
        let (load, max) = known.fold((0.0, 0.0), |(load, max), (own, own_max)| (load + own, max + own_max));
        (max > 0.0).then(|| (load / max * 100.0) as u64)
    }
}

impl Told {
    fn is_clone(&self) -> bool {
        self.role == "clone"
    }

    fn shown(&self, id: usize) -> Server {
        let number = self.index.to_string();
        let is_standby = self.standby == true || self.standby == "yes";
        Server {
            reference: self.name.clone().unwrap_or(number),
            is_clone: self.is_clone(),
            id,
            name: self.name.clone().unwrap_or_else(|| self.address.clone()),
            status: match &self.state[..] {
                "removing" => "Deleted",
                "disabled" | "draining" => "Disabled",
                "down" | "blacklisted" => "Failed",
                _ => "Enabled",
            },
            is_standby,
            ip: self.address.clone(),
            port: self.port,
            connections: self.connections,
            max: self.max,
            completed: self.connections_total.saturating_sub(self.connections),
            sent_bytes: self.sent_bytes,
            received_bytes: self.received_bytes,
            load: self.load,
            // Octopus asks no server that has failed.
            has_no_answer: self.load_error.is_some() && self.state != "down",
            max_load: self.maxload.unwrap_or(MAX_LOAD),
            uris: self.uris.unwrap_or(0),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Servers as pen tells of them: number, role, state.
    fn farm(servers: &[(i32, &str, &str)]) -> Farm {
        let told = servers.iter().map(|(index, role, state)| {
            format!(r#"{{"index":{index},"name":"s{index}","address":"10.0.0.1","port":80,"connections":1,"max":9,"connections_total":5,"sent_bytes":1,"received_bytes":2,"state":"{state}","role":"{role}","standby":false,"load":null,"else":0}}"#)
        });
        Farm::read(&format!("[{}]", told.collect::<Vec<_>>().join(","))).unwrap()
    }

    fn ids(farm: &Farm) -> Vec<(bool, usize, &str)> {
        farm.servers.iter().map(|server| (server.is_clone, server.id, &*server.name)).collect()
    }

    #[test]
    fn members_and_clones_are_numbered_apart_and_keep_their_numbers() {
        let all = [
            (0, "member", "up"),
            (1, "member", "up"),
            (2, "clone", "up"),
            (3, "member", "up"),
            (4, "clone", "up"),
        ];
        let expected =
            [(false, 0, "s0"), (false, 1, "s1"), (false, 2, "s3"), (true, 0, "s2"), (true, 1, "s4")];
        assert_eq!(ids(&farm(&all)), expected);
        let without_first = farm(&all[1..]);
        assert_eq!(ids(&without_first)[0], (false, 1, "s1"));
        assert_eq!(without_first.find(&Which::Member(0)), Err("ERROR: Invalid member ID!".into()));
        let without_clone = farm(&[all[0], all[1], all[2], all[3]]);
        assert_eq!(without_clone.find(&Which::Clone(1)), Err("ERROR: Invalid clone ID!".into()));
        assert_eq!(without_clone.find(&Which::Named("s3".into())).unwrap().id, 2);
        assert!(farm(&[]).servers.is_empty());
    }

    #[test]
    fn states_are_octopuss() {
        let states =
            ["up", "down", "disabled", "draining", "removing", "full", "standby", "warming", "later"];
        let servers: Vec<_> = (0..).zip(states).map(|(index, state)| (index, "member", state)).collect();
        let shown: Vec<_> = farm(&servers).servers.iter().map(|server| server.status).collect();
        let expected = [
            "Enabled", "Failed", "Disabled", "Disabled", "Deleted", "Enabled", "Enabled", "Enabled",
            "Enabled",
        ];
        assert_eq!(shown, expected);
        assert_eq!(farm(&servers).servers[0].completed, 4, "those that are open are not over");
    }

    #[test]
    fn loads_are_told_in_percent() {
        let mut farm = farm(&[(0, "member", "up"), (1, "member", "up"), (2, "clone", "up")]);
        assert_eq!(farm.overall_load(), None);
        for (server, load) in farm.servers.iter_mut().zip([1.0, 3.0, 100.0]) {
            (server.load, server.max_load) = (Some(load), 4.0);
        }
        assert_eq!((farm.servers[1].effective_load(), farm.overall_load()), (75, Some(50)));
    }
}
