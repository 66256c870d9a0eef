//! A pen that only remembers what it was told, for the tests of this directory and of `reload.rs`.

use super::apply::{Running, Wanted};
use crate::settings::{Config, Settings};
use pen_proto::addr::ListenAddr;
use pen_proto::commands::{LogTarget, Number, TlsText};
use pen_proto::status::{ConnectionStatus, ServerStatus, Status};
use std::cell::{Ref, RefCell, RefMut};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// What the fake was told, and how it is to behave.
#[derive(Debug, Default)]
pub struct Told {
    /// Everything that was done to it, in order, in words.
    pub deeds: Vec<String>,
    /// Names of logs and listeners that cannot be opened.
    pub broken: BTreeSet<String>,
    /// Deeds at which it panics, once.
    pub panics: BTreeSet<String>,
    pub settings: Option<Arc<Settings>>,
    pub config: Option<Config>,
    pub status: Status,
}

/// A handle on what the fake was told; clones share it.
#[derive(Debug, Clone, Default)]
pub struct FakePen(Rc<RefCell<Told>>);

impl FakePen {
    /// With two open connections, 0 and 7, of 500.
    pub fn new() -> FakePen {
        let fake = FakePen::default();
        let connection = |number| ConnectionStatus { number, down_fd: 9, up_fd: 11, ..Default::default() };
        fake.told_mut().status = Status {
            connections: vec![connection(0), connection(7)],
            connections_max: 500,
            time_local: "2026-11-21 01:31:47".into(),
            listen: vec!["127.0.0.1:4711".into()],
            ..Status::default()
        };
        fake
    }

    pub fn told(&self) -> Ref<'_, Told> {
        self.0.borrow()
    }

    pub fn told_mut(&self) -> RefMut<'_, Told> {
        self.0.borrow_mut()
    }

    /// What was done since it was last asked.
    pub fn deeds(&self) -> Vec<String> {
        std::mem::take(&mut self.told_mut().deeds)
    }

    fn did(&self, deed: String) {
        let panics = self.told_mut().panics.remove(&deed);
        assert!(!panics, "{deed} goes wrong on purpose");
        self.told_mut().deeds.push(deed);
    }

    fn open(&self, name: &str) -> Result<(), String> {
        if self.told().broken.contains(name) { Err(format!("{name}: broken")) } else { Ok(()) }
    }
}

impl Running for FakePen {
    type Log = String;
    type Tls = String;
    type Room = ();

    fn load_tls(&mut self, config: &Config, again: bool) -> Result<String, String> {
        let file = config.tls.text(TlsText::Certificate).unwrap_or("no certificate");
        match self.open(file) {
            Err(_) if again => Ok("old tls".into()),
            opened => opened.map(|()| format!("tls {file}")),
        }
    }

    fn use_tls(&mut self, tls: String) {
        self.did(tls);
    }

    fn open_log(&mut self, target: Option<&LogTarget>) -> Result<String, String> {
        let name = target.map(ToString::to_string).unwrap_or_default();
        self.open(&name).map(|()| name)
    }

    fn use_log(&mut self, log: String) {
        self.did(format!("log {log}"));
    }

    fn make_room(&mut self, config: &Config) -> Result<(), String> {
        self.open(&format!("clients_max {}", config.settings.number(Number::ClientsMax)))
    }

    fn use_room(&mut self, (): ()) {}

    fn listen(&mut self, address: &ListenAddr, _settings: &Settings) -> Result<(), String> {
        self.open(&address.text)?;
        self.did(format!("listen {}", address.text));
        Ok(())
    }

    fn set_settings(&mut self, settings: Arc<Settings>) {
        self.did("settings".into());
        self.told_mut().status.idlers_wanted = settings.number(Number::Idlers);
        self.told_mut().settings = Some(settings);
    }

    fn set_servers(&mut self, config: &Config) {
        let words = |entry: &Option<crate::settings::ServerEntry>| match entry {
            Some(entry) => entry.spec.to_string(),
            None => "-".into(),
        };
        let servers: Vec<String> = config.servers.iter().map(words).collect();
        self.did(format!("servers {}", servers.join(" ")));
        let status = |(index, entry): (usize, &Option<crate::settings::ServerEntry>)| ServerStatus {
            index: index as i32,
            address: entry.as_ref().map(|entry| entry.spec.host.to_string()).unwrap_or_default(),
            ..Default::default()
        };
        self.told_mut().status.servers = config.servers.iter().enumerate().map(status).collect();
        self.told_mut().config = Some(config.clone());
    }

    fn blacklist(&mut self, server: u16, seconds: u32) {
        self.did(format!("blacklist {server} {seconds}"));
    }

    fn close_connection(&mut self, number: u32) -> bool {
        let mut told = self.told_mut();
        let before = told.status.connections.len();
        told.status.connections.retain(|connection| connection.number != number);
        told.status.connections.len() < before
    }

    fn status(&mut self, _wanted: Wanted) -> Status {
        assert!(!self.told_mut().panics.remove("status"), "the status goes wrong on purpose");
        self.told().status.clone()
    }

    fn stop(&mut self) {
        self.did("stop".into());
    }
}
