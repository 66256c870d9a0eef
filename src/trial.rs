//! `--check`: what a start would open, as far as that can be tried without opening a port, changing a file or becoming
//! another user. Called by `start.rs` when everything is read.

use crate::geoip;
use crate::settings::{Config, ServiceConfig};
use crate::sys::errors::reason;
use crate::sys::interfaces;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
use pen_proto::addr::Host;
use pen_proto::commands::{LogTarget, Text};
use std::io;
use std::path::{Path, PathBuf};

/// Looks at the jail, at the files that pen would write, and at what it would read in the jail.
///
/// # Errors
/// What a start would say.
pub fn check(config: &Config) -> Result<(), String> {
    let process = &config.process;
    let jail = process.text(Text::Jail);
    if let Some(jail) = jail {
        let is_directory = Path::new(jail).metadata().and_then(|metadata| match metadata.is_dir() {
            true => Ok(()),
            false => Err(io::ErrorKind::NotADirectory.into()),
        });
        is_directory.map_err(|error| format!("Can't chroot({jail}): {}", reason(&error)))?;
        if let Some(file) = process.text(Text::Geoip) {
            let inside = inside(Some(jail), file);
            geoip::open(&inside.display().to_string())
                .map_err(|trouble| format!("geoip: {file}: {trouble}"))?;
        }
    }
    if let Some(Host::Unix(path)) = process.values.control().map(|address| &address.host) {
        may_write_in(parent(path.as_ref())).map_err(|error| format!("{path}: {}", reason(&error)))?;
    }
    if let Some(directory) = process.text(Text::RunDir) {
        let directory = Path::new(directory);
        let holder = if directory.is_dir() { directory } else { parent(directory) };
        may_write_in(holder)
            .map_err(|error| format!("run_dir: {}: {}", directory.display(), reason(&error)))?;
    }
    if let Some(file) = process.text(Text::PidFile) {
        may_write(&inside(jail, file))
            .map_err(|error| format!("Can't create pidfile {file}: {}", reason(&error)))?;
    }
    if let Some(file) = process.message_file() {
        may_write(&inside(jail, file))
            .map_err(|error| format!("messages: cannot open {file}: {}", reason(&error)))?;
    }
    let check_service = |service| check_service(service, jail).map_err(|trouble| service.of(&trouble));
    config.services.iter().map(AsRef::as_ref).try_for_each(check_service)
}

fn check_service(service: &ServiceConfig, jail: Option<&str>) -> Result<(), String> {
    if let Some(LogTarget::File(name)) = service.log() {
        let writable = may_write(&inside(jail, name));
        writable.map_err(|error| format!("log: Can't open logfile {name}: {}", reason(&error)))?;
    }
    if let Some(name) = service.text(Text::DsrIf) {
        interfaces::ethernet(name).map_err(|error| format!("dsr_if: {name}: {}", reason(&error)))?;
    }
    Ok(())
}

/// Where a file is that is opened in the jail; relative names begin at its root there.
fn inside(jail: Option<&str>, file: &str) -> PathBuf {
    match jail {
        Some(jail) => Path::new(jail).join(file.trim_start_matches('/')),
        None => file.into(),
    }
}

/// Whether files can be made in it.
fn may_write_in(directory: &Path) -> io::Result<()> {
    Ok(access(directory, AccessFlags::W_OK | AccessFlags::X_OK)?)
}

fn parent(file: &Path) -> &Path {
    file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether the file can be written, or made where there is none.
fn may_write(file: &Path) -> io::Result<()> {
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => return Err(Errno::EISDIR.into()),
        Ok(_) => access(file, AccessFlags::W_OK)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            may_write_in(parent(file))?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
