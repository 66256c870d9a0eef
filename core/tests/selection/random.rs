//! Long random runs: the service and the model get the same clients, failures, releases, limits, reloads and time steps
//! in all modes, must answer alike, and agree on every number they show. What must hold in any case is swept after each
//! step.

use crate::model::{ABUSE, EMERGENCY, Model, ModelAdmission, ModelAttempt, NONE};
use crate::service::Service;
use crate::settings;
use pen_core::balance::{
    Admission, Attempt, ClientRoom, Duty, Endpoint, Refusal, Released, ServerId, ServerSetup,
};
use pen_core::settings::Settings;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::{AclEntry, AclMatch, Flag, Number};
use pen_proto::weight::Weight;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// How many names servers may have.
const NAMES: u8 = 5;

#[derive(Debug, Clone)]
struct Reload {
    regular: Vec<ServerSetup>,
    emergency: Option<ServerSetup>,
    abuse: Option<ServerSetup>,
}

#[derive(Debug, Clone)]
enum Event {
    Succeed,
    Fail,
    PassOver,
    Abandon,
    Release { up_bytes: u64, down_bytes: u64 },
}

#[derive(Debug, Clone)]
enum Step {
    Connect {
        client: ClientAddr,
        port: u16,
    },
    /// Something happens to one of the live connections.
    Happens(Index, Event),
    Pass {
        seconds: u32,
    },
    Flag(Flag, bool),
    Number(Number, u64),
    Blacklist {
        server: i32,
        seconds: u32,
    },
    Reload(Box<Reload>),
    Grow {
        clients_max: u32,
    },
}

fn any_client() -> impl Strategy<Value = ClientAddr> {
    let addresses = [
        "127.0.0.1",
        "127.0.0.2",
        "10.0.0.3",
        "10.0.0.4",
        "10.9.8.7",
        "192.0.2.255",
        "2001:db8::1",
        "2001:db8::2",
        "fe80::ff",
    ];
    prop_oneof![
        9 => select(addresses.map(|text| ClientAddr::Ip(text.parse().unwrap())).to_vec()),
        1 => Just(ClientAddr::Unix),
    ]
}

/// Few addresses, so that a reload often keeps one, and some that can never be used.
fn any_endpoint() -> impl Strategy<Value = Endpoint> {
    prop_oneof![
        8 => (1..4u16).prop_map(|port| Endpoint::Inet(([127, 0, 0, 1], port).into())),
        1 => Just(Endpoint::Unset),
        1 => Just(Endpoint::Inet(([127, 0, 0, 1], 0).into())),
        1 => Just(Endpoint::Inet(([0, 0, 0, 0], 80).into())),
        1 => Just(Endpoint::Unix(std::path::Path::new("/run/app").into())),
    ]
}

fn any_weight() -> impl Strategy<Value = Weight> {
    let whole = (0..4u32).prop_map(Weight::whole);
    prop_oneof![3 => whole, 1 => select(&["0.001", "0.5", "1.25", "2.999"][..]).prop_map(|text| Weight::parse(text).unwrap())]
}

fn any_server() -> impl Strategy<Value = ServerSetup> {
    let limits = (prop_oneof![Just(0), 1..4u32], 0..5u32);
    let operator = (any_duty(), option::weighted(0.3, 0..NAMES));
    (
        any_endpoint(),
        limits,
        option::of(any_weight()),
        0..3u32,
        prop_oneof![3 => Just(0), 1 => 0..4u8],
        operator,
    )
        .prop_map(|(endpoint, (max, hard), weight, prio, acl, (duty, name))| ServerSetup {
            duty,
            name: name.map(|number| format!("name{number}")),
            max,
            hard,
            weight,
            prio,
            acl,
            ..ServerSetup::new(endpoint)
        })
}

fn any_duty() -> impl Strategy<Value = Duty> {
    let since_seconds = 1_800_000_000;
    let until_seconds = None;
    prop_oneof![
        6 => Just(Duty::Enabled),
        1 => Just(Duty::Draining { since_seconds, until_seconds }),
        1 => Just(Duty::Disabled { since_seconds }),
    ]
}

fn any_reload() -> impl Strategy<Value = Reload> {
    (vec(any_server(), 0..6), option::of(any_server()), option::of(any_server())).prop_map(
        |(mut regular, emergency, abuse)| {
            let mut names = std::collections::HashSet::new();
            for setup in &mut regular {
                // No two servers of a service have the same.
                setup.name.take_if(|name| !names.insert(name.clone()));
            }
            Reload { regular, emergency, abuse }
        },
    )
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Succeed),
        8 => Just(Event::Fail),
        2 => Just(Event::PassOver),
        2 => Just(Event::Abandon),
        8 => (0..99u64, 0..99u64).prop_map(|(up_bytes, down_bytes)| Event::Release { up_bytes, down_bytes }),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let modes = vec![Flag::Roundrobin, Flag::Prio, Flag::Weight, Flag::Hash, Flag::Stubborn];
    let numbers = prop_oneof![
        (0..40u64).prop_map(|seconds| (Number::Blacklist, seconds)),
        (0..40u64).prop_map(|seconds| (Number::Tracking, seconds)),
        (0..4u64).prop_map(|list| (Number::ClientAcl, list)),
    ];
    prop_oneof![
        20 => (any_client(), any::<u16>()).prop_map(|(client, port)| Step::Connect { client, port }),
        24 => (any::<Index>(), any_event()).prop_map(|(which, event)| Step::Happens(which, event)),
        4 => (0..20u32).prop_map(|seconds| Step::Pass { seconds }),
        3 => (select(modes), any::<bool>()).prop_map(|(flag, on)| Step::Flag(flag, on)),
        2 => numbers.prop_map(|(number, value)| Step::Number(number, value)),
        2 => (-2..6i32, 0..60u32).prop_map(|(server, seconds)| Step::Blacklist { server, seconds }),
        1 => any_reload().prop_map(|reload| Step::Reload(Box::new(reload))),
        1 => (0..12u32).prop_map(|clients_max| Step::Grow { clients_max }),
    ]
}

struct Run {
    service: Service,
    model: Model,
    settings: Settings,
    now_seconds: u32,
    live: Vec<(Attempt, ModelAttempt)>,
}

impl Run {
    fn new(clients_max: u32) -> Run {
        let mut settings = settings();
        let entry = |permit, address: Ipv4Addr, mask: Ipv4Addr| AclEntry {
            permit,
            what: AclMatch::V4 { address: address.to_bits(), mask: mask.to_bits() },
        };
        let host = Ipv4Addr::BROADCAST;
        settings.acls[1].push(entry(true, Ipv4Addr::LOCALHOST, host)).unwrap();
        settings.acls[2].push(entry(false, Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(255, 0, 0, 0))).unwrap();
        settings.acls[3]
            .push(AclEntry { permit: true, what: AclMatch::V6 { address: 0, prefix: 0 } })
            .unwrap();
        Run {
            service: Service::new(clients_max, &settings),
            model: Model::new(clients_max as usize),
            settings,
            now_seconds: 1_800_000_000,
            live: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        let now_seconds = self.now_seconds;
        match step {
            Step::Connect { client, port } => self.connect(client, port)?,
            Step::Pass { seconds } => self.now_seconds += seconds,
            Step::Flag(flag, on) => {
                self.settings.set_flag(flag, on);
                self.service.at().set_rules(self.settings.rules());
            }
            Step::Number(number, value) => {
                self.settings.set_number(number, value);
                self.service.at().set_rules(self.settings.rules());
            }
            Step::Blacklist { server, seconds } => {
                let id = match server {
                    EMERGENCY => ServerId::EMERGENCY,
                    ABUSE => ServerId::ABUSE,
                    index => ServerId::regular(index as usize),
                };
                // The special servers' slots exist before they are configured; the model's do not.
                if self.model.servers.contains_key(&server) {
                    self.service.at().blacklist(id, seconds, now_seconds);
                    self.model.blacklist(&self.settings, server, seconds, now_seconds);
                }
            }
            Step::Reload(reload) => {
                let Reload { regular, emergency, abuse } = *reload;
                self.model.set_servers(&regular, emergency.as_ref(), abuse.as_ref());
                self.service.set_servers(regular, emergency, abuse);
            }
            Step::Grow { clients_max } => {
                self.service.pool.grow_clients(ClientRoom::new(clients_max).expect("memory"));
                self.model.clients_max = self.model.clients_max.max(clients_max as usize);
            }
            Step::Happens(which, event) => {
                if !self.live.is_empty() {
                    let position = which.index(self.live.len());
                    self.happens(position, event)?;
                }
            }
        }
        Ok(())
    }

    fn happens(&mut self, position: usize, event: Event) -> Result<(), TestCaseError> {
        let (mut attempt, mut model) = self.live.swap_remove(position);
        match event {
            Event::Succeed => {
                prop_assert_eq!(attempt.clears_failure(), model.clears_failure());
                if attempt.clears_failure() {
                    prop_assert_eq!(self.service.at().connected(&attempt), self.model.connected(&model));
                }
                self.live.push((attempt, model));
            }
            Event::Fail => {
                let endpoint = self.service.at().failed(model.client, &mut attempt, self.now_seconds);
                self.model.failed(&self.settings, &mut model, self.now_seconds);
                self.moved_on(attempt, model, endpoint)?;
            }
            Event::PassOver => {
                let endpoint = self.service.at().passed_over(model.client, &mut attempt, self.now_seconds);
                self.model.passed_over(&self.settings, &mut model, self.now_seconds);
                self.moved_on(attempt, model, endpoint)?;
            }
            Event::Abandon => {
                self.service.at().abandon(attempt);
                self.model.release(&model, false, 0, 0);
            }
            Event::Release { up_bytes, down_bytes } => {
                self.service.at().release(attempt, Released { established: true, up_bytes, down_bytes });
                self.model.release(&model, true, up_bytes, down_bytes);
            }
        }
        Ok(())
    }

    fn connect(&mut self, client: ClientAddr, port: u16) -> Result<(), TestCaseError> {
        let expected = self.model.admit(&self.settings, client, port, self.now_seconds);
        let admission = self.service.at().admit(client, port, self.now_seconds);
        match (admission, expected) {
            (Admission::Connect(attempt, endpoint), ModelAdmission::Connect(model)) => {
                self.taken(attempt, model, &endpoint)?;
            }
            (Admission::Refused(Refusal::Denied), ModelAdmission::Denied) => {}
            (Admission::Refused(Refusal::NoServer), ModelAdmission::NoServer) => {}
            (admission, _) => prop_assert!(false, "the model does not expect {admission:?}"),
        }
        Ok(())
    }

    /// A connection lost its server: it has another one or none.
    fn moved_on(
        &mut self,
        attempt: Attempt,
        model: ModelAttempt,
        endpoint: Option<Arc<Endpoint>>,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(endpoint.is_some(), model.server.is_some());
        match endpoint {
            Some(endpoint) => self.taken(attempt, model, &endpoint)?,
            None => self.service.at().release(attempt, Released::default()),
        }
        Ok(())
    }

    /// A server took a connection just now: the right one, and within its maxima.
    fn taken(
        &mut self,
        attempt: Attempt,
        model: ModelAttempt,
        endpoint: &Endpoint,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(Some(attempt.server().number()), model.server);
        prop_assert_eq!(attempt.begins_outage(), model.begins_outage);
        let server = &self.model.servers[&attempt.server().number()];
        prop_assert_eq!(endpoint, &*server.setup.endpoint);
        let ServerSetup { max, hard, .. } = server.setup;
        prop_assert!(max == 0 || server.connections <= max.max(hard), "above its maximum");
        self.live.push((attempt, model));
        Ok(())
    }

    fn sweep(&mut self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.service.at().current_server().number(), self.model.current);
        let mut emptied: Vec<i32> =
            self.service.at().take_emptied().iter().map(|it| it.called.number()).collect();
        emptied.sort();
        let mut expected = std::mem::take(&mut self.model.emptied);
        expected.sort();
        prop_assert_eq!(emptied, expected);
        prop_assert_eq!(self.service.pool.clients_max() as usize, self.model.clients_max);
        self.sweep_servers()?;
        self.sweep_clients()
    }

    fn sweep_servers(&mut self) -> Result<(), TestCaseError> {
        let statuses = self.service.at().server_statuses(self.now_seconds);
        let listed = statuses.iter().filter(|status| status.index >= 0).count();
        prop_assert_eq!(listed as i32, self.model.listed());
        for status in &statuses {
            let live = self.live.iter().filter(|(attempt, _)| attempt.server().number() == status.index);
            prop_assert_eq!(status.connections as usize, live.count(), "server {}", status.index);
            let model = &self.model.servers[&status.index];
            let state = Model::state(&self.settings, model, self.now_seconds);
            prop_assert_eq!(status.state().word(), state, "server {}", status.index);
            let left_seconds = Model::blacklisted_seconds(&self.settings, model, self.now_seconds);
            prop_assert_eq!(status.blacklisted_seconds as i64, left_seconds);
            prop_assert_eq!(
                (status.connections, status.connections_total, status.failures_total),
                (model.connections, model.connections_total, model.failures_total)
            );
            prop_assert_eq!(
                (status.sent_bytes, status.received_bytes),
                (model.sent_bytes, model.received_bytes)
            );
        }
        Ok(())
    }

    fn sweep_clients(&mut self) -> Result<(), TestCaseError> {
        let mut shown: Vec<_> = self.service.at().client_statuses(0..u32::MAX, self.now_seconds).collect();
        shown.sort_by(|a, b| a.address.cmp(&b.address));
        let mut expected: Vec<_> = self.model.clients.iter().collect();
        expected.retain(|client| !Model::is_expired(&self.settings, client, self.now_seconds));
        expected.sort_by_key(|client| client.address.to_string());
        prop_assert_eq!(shown.len(), expected.len());
        for (status, model) in shown.iter().zip(expected) {
            prop_assert!(
                (NONE..self.model.count).contains(&status.server),
                "an unknown server {}",
                status.server
            );
            let server = self.model.known(&model.server);
            prop_assert_eq!((&status.address, status.server), (&model.address.to_string(), server));
            prop_assert_eq!(
                (status.connects, status.sent_bytes, status.received_bytes, status.age_seconds),
                (
                    model.connects,
                    model.sent_bytes,
                    model.received_bytes,
                    u64::from(self.now_seconds - model.last_use_seconds)
                )
            );
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        clients_max in 1..8u32,
        start in any_reload(),
        steps in vec(any_step(), 1..150),
    ) {
        let mut run = Run::new(clients_max);
        run.step(Step::Reload(Box::new(start)))?;
        for step in steps {
            run.step(step)?;
            run.sweep()?;
        }
        for (attempt, _) in std::mem::take(&mut run.live) {
            run.service.at().abandon(attempt);
        }
        for status in run.service.at().server_statuses(run.now_seconds) {
            prop_assert_eq!(status.connections, 0, "server {}", status.index);
        }
    }
}
