//! What was configured of the process: everything that is of no single service.

use super::{ACL_ENTRIES_MAX, Applied, Scoped};
use crate::acl::{ACL_COUNT, Acl, CountrySource};
use pen_proto::commands::{AclEntry, Command, Entries, Entry, Number, Question, Text};
use std::ops::{Deref, DerefMut};

/// What `messages` may name beside files.
pub const SYSLOG: &str = "syslog";
pub const STDERR: &str = "stderr";

/// Settings of the process, and the access lists, which all services share.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessConfig {
    pub scoped: Scoped,
    pub acls: [Acl; ACL_COUNT],
    /// What the file of `geoip` says. Whoever makes the configuration effective reads it.
    pub countries: CountrySource,
    /// Whether pen runs.
    pub is_running: bool,
    /// Whether the process is another program's, and pen a part of it.
    pub is_embedded: bool,
}

impl Deref for ProcessConfig {
    type Target = Scoped;

    fn deref(&self) -> &Scoped {
        &self.scoped
    }
}

impl DerefMut for ProcessConfig {
    fn deref_mut(&mut self) -> &mut Scoped {
        &mut self.scoped
    }
}

impl ProcessConfig {
    /// Carries out what a command of this scope means.
    ///
    /// # Errors
    /// A limit of this file is exceeded. The text begins with the command.
    pub(super) fn apply(&mut self, command: &Command) -> Result<Applied, String> {
        let is_running = self.is_running;
        let reply = match command {
            Command::Set(assignment) => return self.assign(assignment, is_running),
            Command::Show(setting) => return Ok(self.shown(*setting)),
            Command::Unset(setting) => {
                self.values.unset(*setting);
                String::new()
            }
            Command::Add(Entry::Acl(list, entry)) => self.add_to_list(*list, *entry)?,
            Command::Remove(Entry::Acl(list, _)) => {
                return Err(format!("acl {list}: want no acl {list}, which empties the list"));
            }
            Command::Clear(Entries::Acl(list)) => {
                self.list(*list)?.clear();
                String::new()
            }
            Command::List(Entries::Acl(list)) => self.entries_of(*list, ""),
            Command::Ask(Question::Control) => {
                self.values.control().map(|address| format!("{address}\n")).unwrap_or_default()
            }
            Command::Explained(why) => format!("{why}\n"),
            _ => return Ok(Applied::NotStored),
        };
        Ok(Applied::Reply(reply))
    }

    /// The file in which diagnostics go.
    pub fn message_file(&self) -> Option<&str> {
        self.text(Text::Messages).filter(|target| ![SYSLOG, STDERR].contains(target))
    }

    /// Whether workers and diagnostics would go by the same settings.
    pub fn serves_as(&self, other: &ProcessConfig) -> bool {
        let level = |process: &ProcessConfig| process.number(Number::Debug);
        let environment = |process: &ProcessConfig| process.text(Text::ExecEnvironment).map(str::to_owned);
        ProcessSettings::from(self) == ProcessSettings::from(other)
            && level(self) == level(other)
            && environment(self) == environment(other)
    }

    /// Arranges the access lists, and shares those that are as they were with `before`. It changes no answer; to be done
    /// before settings are published, so that workers need not walk the lists.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn arrange_lists(&mut self, before: &ProcessConfig) -> Result<(), String> {
        for (number, (list, before)) in self.acls.iter_mut().zip(&before.acls).enumerate() {
            if list == before {
                list.clone_from(before);
            }
            list.arrange().map_err(|_| no_memory_for_list(number as u8, list))?;
        }
        Ok(())
    }

    /// The lines that bring back the access lists.
    pub(super) fn acl_lines(&self) -> String {
        let mut lines = String::new();
        for list in 0..self.acls.len() as u8 {
            lines.push_str(&format!("no acl {list}\n"));
            lines.push_str(&self.entries_of(list, &format!("acl {list} ")));
        }
        lines
    }

    /// The entries of a list, one a line.
    fn entries_of(&self, list: u8, before: &str) -> String {
        let acl = self.acls.get(usize::from(list)).into_iter();
        acl.flat_map(|acl| acl.entries()).map(|entry| format!("{before}{entry}\n")).collect()
    }

    pub(super) fn add_to_list(&mut self, list: u8, entry: AclEntry) -> Result<String, String> {
        let acl = self.list(list)?;
        if acl.entries().len() >= ACL_ENTRIES_MAX {
            return Err(format!("acl {list}: want at most {ACL_ENTRIES_MAX} entries"));
        }
        match acl.push(entry) {
            Ok(()) => Ok(String::new()),
            Err(_) => Err(no_memory_for_list(list, acl)),
        }
    }

    fn list(&mut self, list: u8) -> Result<&mut Acl, String> {
        let last = ACL_COUNT - 1;
        self.acls.get_mut(usize::from(list)).ok_or_else(|| format!("acl: want 0..{last}, got \"{list}\""))
    }
}

fn no_memory_for_list(list: u8, acl: &Acl) -> String {
    format!("acl {list}: no memory for more than {} entries", acl.entries().len())
}

/// What workers read of the process. Everything else they read is of a service. As the commands of the same names say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessSettings {
    /// 0: as many as descriptors allow.
    pub conn_max: u64,
    pub pending_max: u64,
    pub multi_accept: u64,
    pub udp_sessions_max: u64,
}

impl From<&ProcessConfig> for ProcessSettings {
    fn from(settings: &ProcessConfig) -> ProcessSettings {
        ProcessSettings {
            conn_max: settings.number(Number::ConnMax),
            pending_max: settings.number(Number::PendingMax),
            multi_accept: settings.number(Number::MultiAccept),
            udp_sessions_max: settings.number(Number::UdpSessionsMax),
        }
    }
}
