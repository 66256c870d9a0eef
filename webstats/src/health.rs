//! How a pen is doing, in a sentence. Pure; called by `page`.

use pen_core::stats::parts::{counted, grouped};
use pen_proto::status::{Level, ServerState, ServerStatus, ServiceView, Status, special};

/// A sentence about a whole pen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub level: Level,
    /// Plain text, without a full stop.
    pub sentence: String,
}

impl Verdict {
    /// Of several services the worst, with the names it applies to.
    pub fn of(status: &Status) -> Verdict {
        let verdicts: Vec<_> =
            status.views().map(|service| (service.name, Verdict::of_service(service))).collect();
        let services = verdicts.len();
        let verdict = match verdicts.iter().map(|(_, verdict)| verdict.level).max() {
            Some(Level::Good) if services > 1 => {
                Verdict { level: Level::Good, sentence: format!("All {services} services are well") }
            }
            Some(worst) if services > 1 => {
                let affected = verdicts.iter().filter(|(_, verdict)| verdict.level == worst);
                let parts: Vec<_> =
                    affected.map(|(name, verdict)| format!("{name}: {}", verdict.sentence)).collect();
                Verdict { level: worst, sentence: parts.join(" · ") }
            }
            _ => Verdict::of_service(status.own()),
        };
        let is_full = status.connections_max > 0 && status.connections_used >= status.connections_max;
        let takes_clients = status.views().any(|service| !service.listen.is_empty());
        if verdict.level != Level::Bad && takes_clients && is_full {
            let sentence = format!("The limit of {} connections is reached", grouped(status.connections_max));
            return Verdict { level: Level::Bad, sentence };
        }
        verdict
    }

    /// Without regard to the limit on connections, which services share.
    pub fn of_service(service: ServiceView<'_>) -> Verdict {
        let states: Vec<ServerState> = service
            .regular_servers()
            .map(ServerStatus::state)
            .filter(|state| *state != ServerState::Unset)
            .collect();
        let verdict = servers_verdict(&states, has_emergency(service.servers));
        if verdict.level == Level::Bad {
            return verdict;
        }
        if service.listen.is_empty() {
            return Verdict {
                level: Level::Warn,
                sentence: "pen takes no more clients; it lets those it has finish".into(),
            };
        }
        verdict
    }

    /// For a pen that did not answer.
    pub fn silent() -> Verdict {
        Verdict { level: Level::Bad, sentence: "pen does not answer".into() }
    }
}

fn has_emergency(servers: &[ServerStatus]) -> bool {
    servers.iter().any(|server| server.index == special::EMERGENCY && server.state().is_in_service())
}

fn servers_verdict(states: &[ServerState], emergency: bool) -> Verdict {
    let all = states.len();
    let up = states.iter().filter(|state| **state == ServerState::Up).count();
    let full = states.iter().filter(|state| **state == ServerState::Full).count();
    let skipped = all - up - full;
    let (level, sentence) = match () {
        () if all == 0 => (Level::Bad, "No server is configured".into()),
        () if up == 0 && emergency => (Level::Bad, "Only the emergency server takes clients".into()),
        () if up == 0 && full == all => (Level::Bad, "All servers are full".into()),
        () if up == 0 => (Level::Bad, "No server takes clients".into()),
        () if skipped > 0 => {
            (Level::Warn, format!("{skipped} of {} {} skipped", counted(all as u64, "server"), is(skipped)))
        }
        () if full > 0 => {
            (Level::Warn, format!("{full} of {} {} full", counted(all as u64, "server"), is(full)))
        }
        () if all == 1 => (Level::Good, "The server is up".into()),
        () => (Level::Good, format!("All {all} servers are up")),
    };
    Verdict { level, sentence }
}

fn is(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(blacklisted_seconds: u64, connections: u32, max: u32) -> ServerStatus {
        ServerStatus {
            address: "10.0.0.1".into(),
            blacklisted_seconds,
            connections,
            max,
            ..Default::default()
        }
    }

    fn verdict(servers: Vec<ServerStatus>) -> (Level, String) {
        let servers = servers.into_iter().enumerate();
        let numbered = |(at, server): (usize, ServerStatus)| match server.index {
            0 => ServerStatus { index: at as i32, ..server },
            _ => server,
        };
        let status = Status {
            listen: vec!["80".into()],
            connections_max: 500,
            servers: servers.map(numbered).collect(),
            ..Default::default()
        };
        let Verdict { level, sentence } = Verdict::of(&status);
        (level, sentence)
    }

    #[test]
    fn the_worst_is_said() {
        let emergency = ServerStatus { index: -1, ..server(0, 0, 0) };
        let (up, full, down) = (server(0, 0, 9), server(0, 9, 9), server(30, 0, 9));
        for (servers, wanted, level) in [
            (vec![], "No server is configured", Level::Bad),
            (vec![ServerStatus::default()], "No server is configured", Level::Bad),
            (vec![up.clone()], "The server is up", Level::Good),
            (vec![up.clone(), up.clone(), ServerStatus::default()], "All 2 servers are up", Level::Good),
            (vec![up.clone(), full.clone()], "1 of 2 servers is full", Level::Warn),
            (
                vec![up.clone(), full.clone(), down.clone(), down.clone()],
                "2 of 4 servers are skipped",
                Level::Warn,
            ),
            (vec![full.clone(), full.clone()], "All servers are full", Level::Bad),
            (vec![full.clone(), down.clone()], "No server takes clients", Level::Bad),
            (vec![down.clone(), emergency], "Only the emergency server takes clients", Level::Bad),
        ] {
            assert_eq!(verdict(servers), (level, wanted.to_string()));
        }
    }

    #[test]
    fn the_worst_of_several_services_is_said_with_its_names() {
        use pen_proto::status::ServiceStatus;
        let service = |name: &str, servers| ServiceStatus {
            name: name.into(),
            listen: vec!["53".into()],
            servers,
            ..Default::default()
        };
        let (up, down) = (server(0, 0, 9), server(30, 0, 9));
        let mut status = Status {
            service: "main".into(),
            listen: vec!["80".into()],
            connections_max: 500,
            servers: vec![up.clone()],
            services: vec![service("dns", vec![up.clone()]), service("web", vec![up.clone()])],
            ..Default::default()
        };
        let said = |status: &Status| (Verdict::of(status).level, Verdict::of(status).sentence);
        assert_eq!(said(&status), (Level::Good, "All 3 services are well".into()));
        status.services[1].servers = vec![down];
        assert_eq!(said(&status), (Level::Bad, "web: No server takes clients".into()));
        status.services[0].servers.clear();
        let both = "dns: No server is configured · web: No server takes clients";
        assert_eq!(said(&status), (Level::Bad, both.into()));
    }

    #[test]
    fn limits_and_a_pen_that_drains_are_said() {
        let servers = vec![server(0, 0, 0)];
        let status = Status { servers, connections_max: 500, connections_used: 500, ..Default::default() };
        assert_eq!(Verdict::of(&status).sentence, "pen takes no more clients; it lets those it has finish");
        let status = Status { listen: vec!["80".into()], ..status };
        assert_eq!(
            Verdict::of(&status),
            Verdict { level: Level::Bad, sentence: "The limit of 500 connections is reached".into() }
        );
    }
}
