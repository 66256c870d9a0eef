//! Giving up root for good: jail, groups, user, and a check that nothing is left.

use crate::capabilities;
use crate::errors::reason;
use nix::errno::Errno;
use nix::unistd::{Gid, Uid, User, chdir, chroot, geteuid, getgrouplist, setgid, setgroups, setuid};
use std::ffi::CString;

/// What of root is still wanted afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Nothing,
    /// The capability to use addresses of others, for `transparent`.
    ForeignAddresses,
}

/// A user to become, looked up while /etc/passwd and /etc/group can still be seen.
#[derive(Debug)]
pub struct Account {
    name: String,
    pub uid: Uid,
    pub gid: Gid,
    groups: Vec<Gid>,
}

impl Account {
    /// By name, or by number; a number that has no user stands for itself and the group of the same number.
    ///
    /// # Errors
    /// `Can't getpwnam(NAME)`, in the words of the original, with the reason.
    pub fn look_up(name: &str) -> Result<Account, String> {
        let no = |reason: String| format!("Can't getpwnam({name}): {reason}");
        let unknown = |errno: Errno| no(errno.desc().into());
        let number = name.bytes().all(|byte| byte.is_ascii_digit()).then(|| name.parse().ok()).flatten();
        let mut user = User::from_name(name).map_err(unknown)?;
        if let (None, Some(number)) = (&user, number) {
            user = User::from_uid(Uid::from_raw(number)).map_err(unknown)?;
            if user.is_none() {
                let gid = Gid::from_raw(number);
                return Ok(Account { name: name.into(), uid: Uid::from_raw(number), gid, groups: vec![gid] });
            }
        }
        let user = user.ok_or_else(|| no("no such user".into()))?;
        let c_name = CString::new(user.name.as_str()).map_err(|_| no("NUL in name".into()))?;
        let groups = getgrouplist(&c_name, user.gid).map_err(|errno| no(errno.desc().into()))?;
        Ok(Account { name: name.into(), uid: user.uid, gid: user.gid, groups })
    }

    /// As it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Becomes this user: supplementary groups, group, user. Afterwards nothing can bring root back, no program started
    /// from here gains privileges, and of root's capabilities there is what `keep` says.
    pub fn become_it(&self, keep: Keep) -> Result<(), String> {
        if geteuid() == self.uid && !geteuid().is_root() {
            return Ok(());
        }
        let step = |what: &str, result: Result<(), Errno>| {
            result.map_err(|errno| format!("cannot run as {}: {what}: {}", self.name, errno.desc()))
        };
        // Root keeps what it has, being root.
        let keep = if self.uid.is_root() { Keep::Nothing } else { keep };
        if keep == Keep::ForeignAddresses {
            step("keepcaps", capabilities::outlast_change_of_user())?;
        }
        // What a program could gain by what is written at its file; root that stays root keeps it.
        if !self.uid.is_root() {
            step("bounding set", capabilities::empty_bounding_set())?;
        }
        step("setgroups", setgroups(&self.groups))?;
        step("setgid", setgid(self.gid))?;
        step("setuid", setuid(self.uid))?;
        if keep == Keep::ForeignAddresses {
            step("capset", capabilities::keep_foreign_addresses_only())?;
        }
        if !self.uid.is_root() && (setuid(Uid::from_raw(0)).is_ok() || setgid(Gid::from_raw(0)).is_ok()) {
            return Err(format!("cannot run as {}: root could be had back", self.name));
        }
        step("no_new_privs", nix::sys::prctl::set_no_new_privs())
    }
}

/// Makes `directory` the root, and the place to be.
pub fn enter_jail(directory: &str) -> Result<(), String> {
    chroot(directory)
        .and_then(|()| chdir("/"))
        .map_err(|errno| format!("Can't chroot({directory}): {}", reason(&errno.into())))
}

/// Whether the process may do everything.
pub fn is_root() -> bool {
    geteuid().is_root()
}
