//! The same server for the same client address, without remembering anything: every pen with the same servers in the
//! same order chooses alike.

use super::super::{Question, Route};
use pen_proto::addr::ClientAddr;
use pen_proto::weight::Weight;
use std::net::IpAddr;

/// Not checked for availability, as in Pen: when the server is down, its clients go to the next one that takes them,
/// and all others stay where they are. One that is leaving is as if it was down, also for stubborn clients.
pub fn choose(question: &Question<'_>) -> Option<usize> {
    let choice = of_all(question)?;
    let is_leaving = question.servers.regular()[choice].is_leaving();
    if is_leaving { question.first_after(choice) } else { Some(choice) }
}

fn of_all(question: &Question<'_>) -> Option<usize> {
    let count = question.glances().len();
    let hash = hash(question) as usize;
    let are_alike =
        question.servers.are_alike() && !question.servers.has_clones() && question.weight_min == Weight::ZERO;
    if question.route == Route::DEFAULT && are_alike && !question.servers.have_reserve() {
        return hash.checked_rem(count);
    }
    // Numbers go round among the servers of the group in use, as if there were no others.
    let is_in_reserve = |index: usize| question.servers.regular()[index].setup.in_reserve;
    let serving = || (0..count).filter(|&index| question.serves(index) && !is_in_reserve(index));
    let place = hash.checked_rem(serving().count())?;
    serving().nth(place)
}

/// Pen's numbers, on little-endian machines: of IPv4 the address as it lies in memory, of IPv6 the last byte. Without
/// tracking, the connections of one IPv4 client are spread by their ports, again as they lie in memory.
fn hash(question: &Question<'_>) -> u32 {
    match question.client {
        ClientAddr::Ip(IpAddr::V4(address)) => {
            let address = u32::from_le_bytes(address.octets());
            let port = u16::from_le_bytes(question.client_port.to_be_bytes());
            if question.rules.forgets_clients { address ^ u32::from(port) } else { address }
        }
        ClientAddr::Ip(IpAddr::V6(address)) => address.octets()[15].into(),
        ClientAddr::Unix => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Rules;
    use super::*;
    use crate::balance::selection::keyed;
    use crate::balance::servers::{ServerSetup, Servers};
    use crate::settings::Settings;
    use pen_proto::commands::Role;

    #[test]
    fn hashes_as_pen_does_on_a_little_endian_machine() {
        let ip = |text: &str| ClientAddr::Ip(text.parse().unwrap());
        let cases = [
            (ip("127.0.0.2"), 0x1234, false, 0x0200_007f),
            (ip("127.0.0.2"), 0x1234, true, 0x0200_007f ^ 0x3412),
            (ip("2001:db8::7f"), 0x1234, false, 0x7f),
            (ip("2001:db8:ffff::7f"), 0x1234, true, 0x7f),
            (ClientAddr::Unix, 0, true, 0),
        ];
        for (client, client_port, forgets_clients, expected) in cases {
            for count in 1..8 {
                let mut servers = Servers::default();
                servers.set(keyed(vec![ServerSetup::default(); count]), None, None);
                let servers = &servers;
                let rules = &Rules { forgets_clients, ..Settings::default().rules() };
                let question = Question {
                    role: Role::Member,
                    client,
                    client_port,
                    rules,
                    servers,
                    route: Route::DEFAULT,
                    uri: None,
                    now_seconds: 0,
                    standby: 0,
                    weight_min: Weight::ZERO,
                    others: None,
                };
                assert_eq!(choose(&question), Some(expected as usize % count), "{client:?} of {count}");
            }
        }
    }

    #[test]
    fn nobody_to_choose_from_is_no_choice() {
        let client = ClientAddr::Unix;
        let question = Question {
            role: Role::Member,
            client,
            client_port: 0,
            rules: &Settings::default().rules(),
            servers: &Servers::default(),
            route: Route::DEFAULT,
            uri: None,
            now_seconds: 0,
            standby: 0,
            weight_min: Weight::ZERO,
            others: None,
        };
        assert_eq!(choose(&question), None);
    }
}
