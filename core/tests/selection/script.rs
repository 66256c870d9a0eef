//! Cases written as they would be told: commands separated by `|`, and the servers that served, in order.
//!
//! Clients are numbers N, meaning 127.0.0.N. Servers are letters, with `:max:hard:weight:prio` behind them; `_` is a gap.
//! `visit` connects and leaves, `hold` stays, `begin` stays without the connect being answered. Servers named by `dead`
//! refuse. `leave` ends the connections that stayed, `give_up` those that had no answer yet.

use crate::service::Service;
use pen_core::balance::{Admission, Attempt, Endpoint, Refusal, Released, ServerId, ServerSetup};
use pen_core::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{AclEntry, AclMatch, Flag, Number};
use pen_proto::weight::Weight;
use std::net::Ipv4Addr;

/// Runs the script; answers who served, with blanks between.
pub fn run(script: &str) -> String {
    let mut scene = Scene::new();
    for command in script.split('|') {
        let words: Vec<&str> = command.split_whitespace().collect();
        scene.command(words[0], &words[1..]);
    }
    scene.served.join(" ")
}

struct Scene {
    service: Service,
    settings: Settings,
    servers: Vec<ServerSetup>,
    emergency: Option<ServerSetup>,
    abuse: Option<ServerSetup>,
    dead: String,
    now_seconds: u32,
    held: Vec<Attempt>,
    served: Vec<String>,
}

impl Scene {
    fn new() -> Scene {
        let mut settings = Settings::default();
        settings.set_number(Number::Blacklist, 30);
        Scene {
            service: Service::new(100, &settings),
            settings,
            servers: Vec::new(),
            emergency: None,
            abuse: None,
            dead: String::new(),
            now_seconds: 1_800_000_000,
            held: Vec::new(),
            served: Vec::new(),
        }
    }

    fn command(&mut self, word: &str, arguments: &[&str]) {
        let number = |position: usize| arguments[position].parse::<u64>().unwrap();
        match word {
            "roundrobin" => self.settings.set_flag(Flag::Roundrobin, true),
            "weight" => self.settings.set_flag(Flag::Weight, true),
            "prio" => self.settings.set_flag(Flag::Prio, true),
            "hash" => self.settings.set_flag(Flag::Hash, true),
            "stubborn" => self.settings.set_flag(Flag::Stubborn, true),
            "tracking" => self.settings.set_number(Number::Tracking, number(0)),
            "blacklist_time" => self.settings.set_number(Number::Blacklist, number(0)),
            "client_acl" => self.settings.set_number(Number::ClientAcl, number(0)),
            "acl" => self.add_acl(number(0) as usize, arguments[1] == "permit", number(2) as u8),
            "clients_max" => self.service = Service::new(number(0) as u32, &self.settings),
            "servers" => self.servers = arguments.iter().map(|text| setup(text)).collect(),
            "emergency" => self.emergency = Some(setup(arguments[0])),
            "abuse" => self.abuse = Some(setup(arguments[0])),
            "server_acl" => self.servers[number(0) as usize].acl = number(1) as u8,
            "dead" => self.dead.extend(arguments.iter().copied()),
            "alive" => self.dead.retain(|name| !arguments.contains(&name.to_string().as_str())),
            "pass" => self.now_seconds += number(0) as u32,
            "blacklist" => {
                let server = match arguments[0] {
                    "-1" => ServerId::EMERGENCY,
                    "-2" => ServerId::ABUSE,
                    _ => ServerId::regular(number(0) as usize),
                };
                self.service.at().blacklist(server, number(1) as u32, self.now_seconds);
            }
            "visit" | "hold" | "begin" => arguments.iter().for_each(|client| self.client(word, client)),
            "leave" => self.end_held(Released { established: true, ..Released::default() }),
            "give_up" => self.held.drain(..).for_each(|attempt| self.service.at().abandon(attempt)),
            "failures" => self.show_failures(),
            _ => panic!("script: {word}"),
        }
        self.service.at().set_rules(self.settings.rules());
        if matches!(word, "servers" | "emergency" | "abuse" | "server_acl") {
            let (servers, emergency, abuse) =
                (self.servers.clone(), self.emergency.clone(), self.abuse.clone());
            self.service.set_servers(servers, emergency, abuse);
        }
    }

    fn add_acl(&mut self, list: usize, permit: bool, client: u8) {
        let address = Ipv4Addr::new(127, 0, 0, client).to_bits();
        let what = AclMatch::V4 { address, mask: u32::MAX };
        self.settings.acls[list].push(AclEntry { permit, what }).unwrap();
    }

    fn client(&mut self, word: &str, number: &str) {
        let address = Ipv4Addr::new(127, 0, 0, number.parse().unwrap());
        let client = ClientAddr::Ip(address.into());
        let (mut attempt, mut endpoint) = match self.service.at().admit(client, 40_000, self.now_seconds) {
            Admission::Connect(attempt, endpoint) => (attempt, endpoint),
            Admission::Refused(Refusal::Denied | Refusal::OverLimit) => {
                return self.served.push("!".to_string());
            }
            Admission::Refused(Refusal::NoServer) => return self.served.push("-".to_string()),
        };
        while word != "begin" && self.dead.contains(name(&endpoint)) {
            match self.service.at().failed(client, &mut attempt, self.now_seconds) {
                Some(next) => endpoint = next,
                None => return self.served.push("-".to_string()),
            }
        }
        self.served.push(name(&endpoint).to_string());
        if word != "begin" && attempt.clears_failure() {
            self.service.at().connected(&attempt);
        }
        self.held.push(attempt);
        if word == "visit" {
            let attempt = self.held.pop().unwrap();
            self.service.at().release(attempt, Released { established: true, ..Released::default() });
        }
    }

    fn end_held(&mut self, released: Released) {
        self.held.drain(..).for_each(|attempt| self.service.at().release(attempt, released));
    }

    fn show_failures(&mut self) {
        let statuses = self.service.at().server_statuses(self.now_seconds);
        self.served.extend(statuses.iter().map(|status| status.failures_total.to_string()));
    }
}

/// The letter is kept in the port.
fn setup(text: &str) -> ServerSetup {
    let mut fields = text.split(':');
    let letter = fields.next().unwrap().chars().next().unwrap();
    if letter == '_' {
        return ServerSetup::default();
    }
    let mut next = || fields.next();
    let number = |field: Option<&str>| field.map_or(0, |field| field.parse::<u32>().unwrap());
    let endpoint = Endpoint::Inet(([127, 0, 0, 1], letter as u16).into());
    ServerSetup {
        max: number(next()),
        hard: number(next()),
        weight: next().map(|field| Weight::parse(field).unwrap()),
        prio: number(next()),
        ..ServerSetup::new(endpoint)
    }
}

fn name(endpoint: &Endpoint) -> char {
    char::from_u32(endpoint.port().into()).unwrap()
}
