//! Servers behind a name: what name servers told becomes servers with numbers, which come and go and keep their numbers
//! while they live. Pure.
//!
//! The first of them has the number of the server that was configured; the others take free numbers above all that are
//! configured. Nothing is remembered here: who lives already is seen in the configuration that was in force before.

use super::{Config, SERVERS_MAX, ServerEntry, ServiceConfig};
use pen_proto::addr::{Host, Port};
use pen_proto::called::Called;
use pen_proto::commands::{Flag, Number};
use pen_proto::weight::Weight;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

/// Most servers behind one name: an answer that is longer is more likely a mistake than a farm.
pub const MEMBERS_MAX: usize = 256;

/// One server behind a name, as a name server told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub ip: IpAddr,
    /// With an SRV record, its port.
    pub port: Option<u16>,
    /// With an SRV record, its weight.
    pub weight: Option<Weight>,
    /// How many others must be gone before it is used: 0 for the lowest priority number of SRV records, 1 for the next.
    pub standby: u8,
}

impl From<IpAddr> for Place {
    fn from(ip: IpAddr) -> Place {
        Place { ip, port: None, weight: None, standby: 0 }
    }
}

/// Which of the servers behind a name it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Number of the server that was configured.
    pub of: usize,
    /// The number after `~`, from 1.
    pub ordinal: u32,
}

impl ServerEntry {
    /// The name of a server that was made of another's name: `web~2`, or `web.example.org~2` where that has only the
    /// host's.
    pub fn member_name(&self) -> Option<String> {
        let name = self.name.as_deref().unwrap_or(&self.host_name);
        self.member.map(|member| format!("{name}~{}", member.ordinal))
    }

    /// As it is configured, at this place.
    fn at(&self, place: &Place, member: Option<Member>) -> ServerEntry {
        let mut entry = self.clone();
        entry.spec.host = Host::Ip(place.ip);
        entry.spec.port = self.spec.port.clone().or(place.port.map(Port::Number));
        entry.spec.weight = self.spec.weight.or(place.weight);
        (entry.more, entry.standby, entry.member) = (Vec::new(), place.standby, member);
        entry
    }

    /// Keeps its number, is known by its name and never chosen.
    fn without_address(&self) -> ServerEntry {
        self.at(&IpAddr::from(Ipv4Addr::UNSPECIFIED).into(), None)
    }
}

/// Puts the servers behind names in their places: those of `places` by the number of the configured server. `before` is the
/// service in the numeric configuration so far.
pub fn spread(
    config: &mut ServiceConfig,
    places: &BTreeMap<usize, Vec<Place>>,
    before: Option<&ServiceConfig>,
) {
    let living = living(before);
    let mut spread = Spread {
        configured: config.servers.iter().map(Option::is_some).collect(),
        next: config.servers.len(),
        taken: BTreeMap::new(),
        ordinals: HashSet::new(),
    };
    let mut newcomers = Vec::new();
    for (of, places) in places {
        let Some(entry) = config.servers.get_mut(*of).and_then(Option::as_mut) else { continue };
        let mut seen = HashSet::new();
        for place in places.iter().filter(|place| seen.insert((place.ip, place.port))).take(MEMBERS_MAX) {
            let member = entry.at(place, None);
            match living.get(&(*of, place.ip, &member.spec.port)) {
                Some((number, ordinal, host_name))
                    if *host_name == entry.host_name && spread.is_free_for(*number, *of) =>
                {
                    spread.take(*number, *of, *ordinal, member);
                }
                _ => newcomers.push((*of, member)),
            }
        }
        *entry = entry.without_address();
    }
    for (of, member) in newcomers {
        spread.take_new(of, member);
    }
    let count = spread.taken.keys().next_back().map_or(0, |last| last + 1);
    if count > config.servers.len() {
        config.servers.resize(count, None);
    }
    for (number, entry) in spread.taken {
        config.servers[number] = Some(entry);
    }
}

impl ServiceConfig {
    /// Whether this server may become several, each with a name and a number of its own.
    pub fn is_spread(&self, entry: &ServerEntry) -> bool {
        let is_renewed = self.number(Number::Resolve) > 0 && !self.flag(Flag::ResolveFirst);
        entry.spec.host.service().is_some() || (is_renewed && entry.spec.host.name().is_some())
    }
}

/// What has changed among servers that were made of others' names, a sentence each.
pub fn members_told(before: &Config, after: &Config) -> Vec<String> {
    let old: HashMap<&str, &ServiceConfig> =
        before.services.iter().map(|service| (&*service.name, &**service)).collect();
    let told = after.services.iter().flat_map(|service| {
        let before = old.get(&*service.name).map(|old| members(old)).unwrap_or_default();
        let after = members(service);
        let gone = before.iter().filter(|(number, called)| after.get(number) != Some(called));
        let come = after.iter().filter(|(number, called)| before.get(number) != Some(called));
        let gone = gone.map(|(_, called)| format!("{called} is gone: its name no longer leads there"));
        let come = come.map(|(_, called)| format!("{called} is new: its name leads there"));
        gone.chain(come).map(|text| service.of(&text)).collect::<Vec<_>>()
    });
    told.collect()
}

fn members(service: &ServiceConfig) -> BTreeMap<usize, Called> {
    let entries = service.servers.iter().enumerate();
    let named = entries.filter_map(|(number, entry)| {
        entry.as_ref()?.member?;
        Some((number, service.called(number)))
    });
    named.collect()
}

/// Servers that were made of others' names, where they are: number, ordinal and host name.
type Living<'a> = HashMap<(usize, IpAddr, &'a Option<Port>), (usize, u32, &'a str)>;

fn living(before: Option<&ServiceConfig>) -> Living<'_> {
    let entries = before.into_iter().flat_map(|before| before.servers.iter().enumerate());
    let members = entries.filter_map(|(number, entry)| {
        let entry = entry.as_ref()?;
        let (member, Host::Ip(ip)) = (entry.member?, &entry.spec.host) else { return None };
        Some(((member.of, *ip, &entry.spec.port), (number, member.ordinal, entry.host_name.as_str())))
    });
    members.collect()
}

/// Numbers and ordinals given so far.
struct Spread {
    /// Which numbers are those of configured servers.
    configured: Vec<bool>,
    /// No number below this one is free, but for those of configured servers.
    next: usize,
    taken: BTreeMap<usize, ServerEntry>,
    /// The number of the configured server, and what follows `~`.
    ordinals: HashSet<(usize, u32)>,
}

impl Spread {
    fn is_free_for(&self, number: usize, of: usize) -> bool {
        let is_another = number != of && self.configured.get(number) == Some(&true);
        !is_another && !self.taken.contains_key(&number)
    }

    fn take(&mut self, number: usize, of: usize, ordinal: u32, mut entry: ServerEntry) {
        self.ordinals.insert((of, ordinal));
        entry.member = Some(Member { of, ordinal });
        self.taken.insert(number, entry);
    }

    /// Without a free number it is left out.
    fn take_new(&mut self, of: usize, entry: ServerEntry) {
        let mut number = of;
        if self.taken.contains_key(&of) {
            while self.taken.contains_key(&self.next) {
                self.next += 1;
            }
            number = self.next;
        }
        let ordinal = (1..).find(|ordinal| !self.ordinals.contains(&(of, *ordinal)));
        if let Some(ordinal) = ordinal.filter(|_| number < SERVERS_MAX) {
            self.take(number, of, ordinal, entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pen_proto::addr::ServerSpec;

    fn config(servers: &[&str]) -> ServiceConfig {
        let entry = |text: &&str| {
            let spec = ServerSpec::parse(text).unwrap();
            let host_name = spec.host.name().unwrap_or_default().to_string();
            Some(ServerEntry { host_name, ..ServerEntry::from(spec) })
        };
        ServiceConfig { servers: servers.iter().map(entry).collect(), ..ServiceConfig::default() }
    }

    fn places(ips: &[u8]) -> Vec<Place> {
        ips.iter().map(|last| IpAddr::from([10, 0, 0, *last]).into()).collect()
    }

    /// `NAME ADDRESS` by number, `-` for a gap.
    fn shown(config: &ServiceConfig) -> Vec<String> {
        let show = |entry: &Option<ServerEntry>| match entry {
            None => "-".into(),
            Some(entry) => format!("{} {}", entry.member_name().unwrap_or_default(), entry.spec),
        };
        config.servers.iter().map(show).collect()
    }

    fn after(servers: &[&str], answers: &[(usize, &[u8])], before: &ServiceConfig) -> ServiceConfig {
        let mut config = config(servers);
        spread(&mut config, &answers.iter().map(|(of, ips)| (*of, places(ips))).collect(), Some(before));
        config
    }

    #[test]
    fn servers_come_and_go_and_keep_their_numbers() {
        let servers = ["web:80", "10.9.9.9:80", "api:81"];
        let none = ServiceConfig::default();
        let first = after(&servers, &[(0, &[1, 2]), (2, &[5, 6])], &none);
        let expected = [
            "web~1 10.0.0.1:80",
            " 10.9.9.9:80",
            "api~1 10.0.0.5:81",
            "web~2 10.0.0.2:80",
            "api~2 10.0.0.6:81",
        ];
        assert_eq!(shown(&first), expected);
        // Another order changes nothing.
        assert_eq!(after(&servers, &[(0, &[2, 1]), (2, &[6, 5])], &first), first);
        let second = after(&servers, &[(0, &[3, 2]), (2, &[6])], &first);
        let expected =
            ["web~1 10.0.0.3:80", " 10.9.9.9:80", " 0.0.0.0:81", "web~2 10.0.0.2:80", "api~2 10.0.0.6:81"];
        assert_eq!(shown(&second), expected);
        let told = [
            "server 0 (web~1, 10.0.0.1:80) is gone: its name no longer leads there",
            "server 2 (api~1, 10.0.0.5:81) is gone: its name no longer leads there",
            "server 0 (web~1, 10.0.0.3:80) is new: its name leads there",
        ];
        let all =
            |service: &ServiceConfig| Config { services: vec![service.clone().into()], ..Config::default() };
        assert_eq!(members_told(&all(&first), &all(&second)), told);
        let third = after(&servers, &[(0, &[2]), (2, &[])], &second);
        assert_eq!(shown(&third), [" 0.0.0.0:80", " 10.9.9.9:80", " 0.0.0.0:81", "web~2 10.0.0.2:80"]);
        let fourth = after(&servers, &[(0, &[7, 8, 2]), (2, &[9, 9])], &third);
        let expected = [
            "web~1 10.0.0.7:80",
            " 10.9.9.9:80",
            "api~1 10.0.0.9:81",
            "web~2 10.0.0.2:80",
            "web~3 10.0.0.8:80",
        ];
        assert_eq!(shown(&fourth), expected);
    }

    #[test]
    fn a_server_that_is_configured_later_has_its_number() {
        let first = after(&["web:80"], &[(0, &[1, 2])], &ServiceConfig::default());
        assert_eq!(shown(&first), ["web~1 10.0.0.1:80", "web~2 10.0.0.2:80"]);
        let second = after(&["web:80", "10.9.9.9:80"], &[(0, &[1, 2])], &first);
        assert_eq!(shown(&second), ["web~1 10.0.0.1:80", " 10.9.9.9:80", "web~2 10.0.0.2:80"]);
        // One that is added gets a number that nobody has.
        let mut third = config(&["web:80"]);
        third.servers.resize(2, None);
        third.servers.push(config(&["10.9.9.9:80"]).servers[0].clone());
        spread(&mut third, &BTreeMap::from([(0, places(&[1, 2, 3]))]), Some(&first));
        let expected = ["web~1 10.0.0.1:80", "web~2 10.0.0.2:80", " 10.9.9.9:80", "web~3 10.0.0.3:80"];
        assert_eq!(shown(&third), expected);
    }

    #[test]
    fn records_give_what_was_not_written() {
        let mut config = config(&["web::5", "web:80::::"]);
        let place =
            Place { port: Some(3306), weight: Some(Weight::whole(20)), standby: 1, ..places(&[1])[0] };
        spread(&mut config, &BTreeMap::from([(0, vec![place]), (1, vec![place])]), None);
        assert_eq!(shown(&config), ["web~1 10.0.0.1:3306:5::20", "web~1 10.0.0.1:80:::20"]);
        assert_eq!(config.servers[0].as_ref().unwrap().standby, 1);
    }

    #[test]
    fn an_answer_without_end_has_one() {
        let many: Vec<Place> =
            (0..5000u32).map(|number| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number)).into()).collect();
        let mut config = config(&["web:80"; 20]);
        spread(&mut config, &(0..20).map(|of| (of, many.clone())).collect(), None);
        assert_eq!(config.servers.len(), SERVERS_MAX);
        let mut one = self::config(&["web:80"]);
        spread(&mut one, &BTreeMap::from([(0, many)]), None);
        assert_eq!(one.servers.len(), MEMBERS_MAX);
    }
}
