//! The sockets on which pen is commanded, opened while there are privileges: that of `-C`, and the one in `run_dir`.

use crate::control::rights::Rights;
use crate::net::listen::{ListenOptions, Listener};
use crate::opening::open_or_adopt;
use crate::settings::{Config, ProcessConfig};
use crate::sys::errors::reason;
use crate::sys::inherited::Inherited;
use crate::sys::privileges::{self, Account};
use nix::unistd::{Gid, Group};
use pen_proto::addr::{Host, ListenAddr};
use pen_proto::commands::{Number, Text};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How sockets listen on which pen is commanded, their files for their owner.
pub const PRIVATE: ListenOptions =
    ListenOptions { backlog: 128, nodelay: true, mode: Some(0o600), datagram_sockets: 0, shared: false };

/// The group of `control_group`, by its name or number.
#[derive(Clone, Copy)]
pub struct Members<'a> {
    name: &'a str,
    gid: Gid,
}

impl Members<'_> {
    /// Looks the group up, while /etc/group can still be seen; `None` where none is set.
    ///
    /// # Errors
    /// There is no such group.
    pub fn look_up(process: &ProcessConfig, explain: fn(&str)) -> Result<Option<Members<'_>>, String> {
        let Some(name) = process.text(Text::ControlGroup) else { return Ok(None) };
        let found = Group::from_name(name).map_err(|errno| errno.desc().to_owned());
        let found = found.map(|group| group.map(|group| group.gid));
        let by_number = || name.parse().ok().map(Gid::from_raw);
        let gid = found.and_then(|gid| gid.or_else(by_number).ok_or_else(|| "no such group".to_owned()));
        let gid = gid.map_err(|trouble| format!("control_group: {name}: {trouble}"))?;
        if process.number(Number::ControlMode) & 0o022 == 0 {
            let mode = process.number(Number::ControlMode);
            explain(&format!("control_group: with control_mode {mode:o} nobody of it can connect; want 660"));
        }
        Ok(Some(Members { name, gid }))
    }
}

/// Who may give commands.
pub fn rights(account: Option<&Account>, members: Option<Members<'_>>) -> Rights {
    let user = account.map(|account| (account.name(), account.uid));
    Rights::new(user, members.map(|members| (members.name, members.gid)))
}

/// Opens the control sockets. Anyone who can give commands there can do what pen can: not as root, unless the operator
/// said so.
///
/// # Errors
/// The socket and what the system refuses.
pub fn open_control(
    config: &Config,
    members: Option<Members<'_>>,
    inherited: &mut Inherited,
    explain: fn(&str),
) -> Result<Vec<Listener>, String> {
    let process = &config.process;
    // What is no permission of a file is not in the row's bounds.
    let options = ListenOptions { mode: Some(process.number(Number::ControlMode) as u32), ..PRIVATE };
    if is_control_refused(process, explain) {
        return Ok(Vec::new());
    }
    let mut listeners = Vec::new();
    if let Some(address) = process.values.control() {
        listeners.push(open_or_adopt(address, options, inherited)?);
    }
    if let Some(directory) = wanted_directory(process) {
        listeners.push(open_in(directory, &name_in_run_dir(config), options, inherited)?);
    }
    for (members, listener) in
        members.into_iter().flat_map(|members| listeners.iter().map(move |it| (members, it)))
    {
        listener.give_file_to(members.gid).map_err(|error| {
            let (name, path) = (members.name, &listener.text);
            format!("control_group: {name}: {path}: {}; want pen's user in this group", reason(&error))
        })?;
    }
    Ok(listeners)
}

/// Explains why, if there will be no control socket. What a program opens inside of it is its own business.
pub fn is_control_refused(process: &ProcessConfig, explain: fn(&str)) -> bool {
    let is_wanted = process.values.control().is_some() || process.text(Text::RunDir).is_some();
    let is_refused =
        is_wanted && !process.is_embedded && privileges::is_root() && process.text(Text::User).is_none();
    if is_refused {
        explain("Won't open control port running as root; use -u to run as different user");
    }
    is_refused
}

/// The directory of `run_dir`, unless the socket of `-C` is found there, or one level deeper, already.
fn wanted_directory(process: &ProcessConfig) -> Option<&Path> {
    let directory = Path::new(process.text(Text::RunDir)?);
    let is_found = match process.values.control().map(|address| &address.host) {
        Some(Host::Unix(path)) => Path::new(path).ancestors().skip(1).take(2).any(|above| above == directory),
        _ => false,
    };
    (!is_found).then_some(directory)
}

/// `pen-` and the first listening address, without what a file name cannot have.
fn name_in_run_dir(config: &Config) -> String {
    let mut listeners = config.services.iter().flat_map(|service| service.listeners());
    let address = listeners.next().map_or("", |address| &address.text);
    format!(
        "pen-{}",
        address.trim_start_matches('/').replace(|letter: char| letter == '/' || letter.is_control(), "_")
    )
}

fn open_in(
    directory: &Path,
    name: &str,
    options: ListenOptions,
    inherited: &mut Inherited,
) -> Result<Listener, String> {
    let cannot = |error: &io::Error| format!("run_dir: {}: {}", directory.display(), reason(error));
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(cannot(&error)),
        _ => {}
    }
    let mut open = |path: PathBuf| {
        let address = ListenAddr::parse(&path.to_string_lossy()).map_err(io::Error::other)?;
        Listener::adopt_or_open(&address, options, inherited)
    };
    let opened = match open(directory.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            open(directory.join(format!("{name}-{}", std::process::id())))
        }
        opened => opened,
    };
    opened.map_err(|error| format!("run_dir: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::MAIN;
    use pen_proto::commands::{Address, AddressValue};

    #[test]
    fn a_socket_of_c_in_the_directory_is_enough() {
        let wanted = |control: Option<&str>| {
            let mut config = Config::default();
            config.process.values.set_text(Text::RunDir, Some("/run/pen/".into()));
            let control = control.map(|control| AddressValue::listen(control).unwrap());
            config.process.values.set_address(Address::Control, control);
            wanted_directory(&config.process).map(Path::to_path_buf)
        };
        let directory = Some(PathBuf::from("/run/pen"));
        for control in ["/run/pen/control", "/run/pen/web/control"] {
            assert_eq!(wanted(Some(control)), None, "{control}");
        }
        for control in [None, Some("127.0.0.1:8888"), Some("/run/pen.ctl"), Some("/run/pen/a/b/control")] {
            assert_eq!(wanted(control), directory, "{control:?}");
        }
    }

    #[test]
    fn the_name_is_the_first_address() {
        for (listen, name) in
            [("80", "pen-80"), ("[::1]:80", "pen-[::1]:80"), ("/tmp/a/web", "pen-tmp_a_web")]
        {
            let mut config = Config::default();
            let listen = AddressValue::listen(listen).unwrap();
            config.make_service(MAIN).values.set_address(Address::Listen, Some(listen));
            assert_eq!(name_in_run_dir(&config), name);
        }
        assert_eq!(name_in_run_dir(&Config::default()), "pen-");
    }
}
