//! By the client's address: every pen with the same servers chooses alike, in whatever order they stand.
//!
//! Nothing is remembered of clients. Which server has which part of all addresses is a table that is made when servers or
//! weights change, and not when they fail: who cannot be chosen is passed over, so only its own clients go elsewhere,
//! and return with it. The hash has no secret, because all pens must have the same: whoever can choose its address can
//! choose its server.

mod table;

use super::mix::mix;
use super::ramp::WHOLE;
use super::{Policy, Question, Server, Servers};
use pen_proto::addr::ClientAddr;
use pen_proto::commands::Role;
use pen_proto::weight::Weight;
use std::net::IpAddr;
use table::{Member, Table};

/// How many places of the table a client is looked up at, before all servers are compared.
const PROBES: u64 = 64;

/// The table, and what it was made of.
#[derive(Debug, Default)]
pub struct Source {
    table: Table,
    members: Vec<Member>,
}

impl Policy for Source {
    fn choose(&mut self, question: &Question<'_>) -> Option<usize> {
        let client = hash(question.client);
        let probed = (0..PROBES).find_map(|probe| {
            let hash = mix(client.wrapping_add(probe));
            let index = self.table.at(hash).filter(|index| question.may_choose(*index))?;
            // Of a server that is ramped up, the same clients come first on every pen.
            let share = question.share(index, &question.glances()[index]);
            (share == WHOLE || mix(!hash) % u64::from(WHOLE) < share.into()).then_some(index)
        });
        probed.or_else(|| self.compare(question, client))
    }

    fn servers_changed(&mut self, servers: &Servers, role: Role) {
        let of_role = servers.regular().iter().enumerate().filter(|(_, server)| server.role() == role);
        let members: Vec<Member> = of_role.filter_map(member).collect();
        if members != self.members {
            self.table = Table::of(&members);
            self.members = members;
        }
    }
}

/// A server that has a part of the addresses, also while it fails or is leaving for a time. Its weight is what was configured:
/// what one machine makes of it would be another one's business.
fn member((index, server): (usize, &Server)) -> Option<Member> {
    let weight = server.setup.weight.unwrap_or(Weight::ONE);
    (server.is_configured() && weight > Weight::ZERO)
        .then(|| Member::new(index, &server.setup.lasting_name(), weight))
}

impl Source {
    /// Few of many are left: each client has its own order of them, in which each comes first as often as its weight says.
    fn compare(&self, question: &Question<'_>, client: u64) -> Option<usize> {
        let able = self.members.iter().filter(|member| question.may_choose(member.index));
        let ranks = able.map(|member| (member.rank(client), member.index));
        ranks.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, index)| index)
    }
}

/// The same number on every machine. An IPv4 address counts as itself, also where it came as an IPv6 one.
fn hash(client: ClientAddr) -> u64 {
    let bits = match client {
        ClientAddr::Ip(IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
        ClientAddr::Ip(IpAddr::V6(address)) => address.to_bits(),
        ClientAddr::Unix => 0,
    };
    mix(mix((bits >> 64) as u64).wrapping_add(bits as u64))
}
