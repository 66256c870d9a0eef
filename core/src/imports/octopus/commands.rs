//! What a file of Octopus says, as commands.

use super::super::Imported;
use super::super::names::Names;
use super::{Algorithm, File, Server, VERSION};
use pen_proto::words::written;
use std::net::Ipv4Addr;

impl File {
    pub(super) fn write(&self, to: &mut Imported) {
        to.say(format!("listen {}:{}", self.ip, self.port));
        to.say("roundrobin");
        to.say(format!("policy {}", self.policy.word()));
        self.write_process(to);
        self.write_checks(to);
        self.write_load(to);
        if self.policy == Algorithm::Hash {
            self.write_rebalancing(to);
        }
        let has_clones = self.servers.iter().any(|server| server.clone);
        if has_clones || self.clones {
            to.say(format!("clone_percent {}", if self.clones { 100 } else { 0 }));
        }
        let sources = [self.member_source, self.clone_source];
        let [members, clones] = sources;
        if members == clones && !members.is_unspecified() {
            to.say(format!("source {members}"));
        }
        let mut names = Names::default();
        for (number, server) in self.servers.iter().enumerate() {
            let source = Some(if server.clone { clones } else { members });
            let source = source.filter(|source| members != clones && !source.is_unspecified());
            server.write(number, source, self.loads_count(), &mut names, to);
        }
        if self.servers.iter().all(|server| server.clone) {
            to.note(0, "there is no member: nobody answers clients");
        }
    }

    fn write_process(&self, to: &mut Imported) {
        match &self.run_dir {
            Some(directory) => {
                let directory = directory.trim_end_matches('/');
                to.say(format!("run_dir {}", written(directory)));
                to.control = Some(run_file(directory, self.ip, self.port));
                self.write_permissions(to);
            }
            None => to.note(0, "no shm_run_dir: there is no control socket for octopuslb-admin"),
        }
        if self.sessions > 0 {
            to.say(format!("conn_max {}", self.sessions));
        }
        match &self.log_file {
            Some(file) => to.say(format!("messages {}", written(file))),
            None => to.note(0, "no log_file: messages go to syslog, and with -f to standard error"),
        }
        to.say(format!("debug {}", debug_level(self.debug)));
    }

    /// Who may look is who may connect, and that is who may write to the socket.
    fn write_permissions(&self, to: &mut Imported) {
        let may_look =
            [0o700, 0o070, 0o007].map(|who| if self.perms & who & 0o666 != 0 { who & 0o666 } else { 0 });
        let mode: u32 = may_look.into_iter().sum();
        to.say(format!("control_mode {mode:03o}"));
        if self.perms & 0o020 != 0 {
            to.note(0, "shm_perms: who may change something as member of a group says control_group NAME");
        }
        if self.perms & 0o002 != 0 {
            to.note(0, "shm_perms: others may look, and only the members of control_group change something");
        }
    }

    fn write_checks(&self, to: &mut Imported) {
        to.say("check connect");
        to.say(format!("check_interval {}", self.monitor_interval));
        to.say(format!("check_timeout {}", self.connect_timeout));
    }

    /// Whether the load of servers is asked for.
    fn loads_count(&self) -> bool {
        self.snmp && self.community.is_some()
    }

    fn write_load(&self, to: &mut Imported) {
        match (&self.community, self.snmp) {
            (Some(community), true) => to.say(format!("load snmp v1 {}", written(community))),
            (None, true) => to.note(0, "snmp_enable=on without snmp_community_pw: no load is asked for"),
            (_, false) if self.policy == Algorithm::LeastLoad => {
                to.note(
                    0,
                    "algorithm=LL without snmp_enable=on: loads stay unknown, the fewest sessions count",
                );
            }
            (_, false) if self.is_strict => {
                to.note(0, "overload_mode=STRICT has no effect without snmp_enable=on");
            }
            _ => {}
        }
        if let Some(weight) = self.session_weight {
            to.say(format!("session_weight {weight}"));
        }
        if self.is_strict {
            to.say("overload strict");
        }
    }

    fn write_rebalancing(&self, to: &mut Imported) {
        let File {
            rebalance_interval: interval, rebalance_threshold: threshold, rebalance_size: size, ..
        } = *self;
        if interval == 0 || threshold == 0 || size == 0 || self.monitor_interval == 0 {
            return to.say("rebalance_interval 0");
        }
        if interval < self.monitor_interval {
            to.note(0, "hash_rebalance_interval is raised to monitor_interval, as in Octopus");
        }
        to.say(format!("rebalance_interval {}", interval.max(self.monitor_interval)));
        to.say(format!("rebalance_threshold {threshold}"));
        to.say(format!("rebalance_size {size}"));
    }
}

impl Server {
    fn write(
        &self,
        number: usize,
        source: Option<Ipv4Addr>,
        loads: bool,
        names: &mut Names,
        to: &mut Imported,
    ) {
        let Some(ip) = self.ip else { return };
        let (name, note) = names.name(&self.name, if self.clone { "clone" } else { "member" });
        note.into_iter().for_each(|note| to.note(self.line, note));
        let mut line =
            format!("server {number} name {name} address {ip} port {} max {}", self.port, self.maxc);
        if self.clone {
            line += " role clone";
        }
        if self.standby {
            line += " standby yes";
        }
        if loads && self.maxl > 0.0 {
            line += &format!(" maxload {}", self.maxl);
        }
        if let Some(source) = source {
            line += &format!(" source {source}");
        }
        to.say(line);
        if self.maxc == 0 {
            to.note(self.line, format!("{name}: maxc=0 gives it no session in Octopus: it is disabled here"));
        }
        if !self.enabled || self.maxc == 0 {
            to.say(format!("server {number} disable"));
        }
    }
}

/// The level of `debug` that tells as much. Octopus's 3 and 4 tell of bytes counted, not of bytes.
pub fn debug_level(octopus: u32) -> u32 {
    match octopus {
        0 | 1 => octopus,
        2..=4 => 2,
        _ => 3,
    }
}

/// Where Octopus would leave its run file; pen's control socket is there.
pub fn run_file(directory: &str, ip: Ipv4Addr, port: u16) -> String {
    format!("{}/octopus-{VERSION}-{ip}-{port}", directory.trim_end_matches('/'))
}
