//! `penadmin import`: the users of txLoadBalancer and PythonDirector, without their passwords.

use super::{Access, User, check_name, edit};
use pen_core::imports::{Note, txlb};
use pen_sys::{errors, files};
use std::path::Path;

/// The longest file that is read.
const BYTES_MAX: u64 = 4 << 20;

/// Adds the users of `config` to those of `path`, and returns what is to be told, a line each. Who is there already stays
/// as it is; who is new can come in by nothing yet.
///
/// # Errors
/// What is wrong with one of the files, in `config` with line and column.
pub fn import(config: &Path, path: &Path) -> Result<Vec<String>, String> {
    let whole = |notes: &[Note]| {
        let lines: Vec<String> = notes.iter().map(|note| note.of_file(config.display())).collect();
        lines.join("\n")
    };
    let text = files::read_text(config, BYTES_MAX)
        .map_err(|error| format!("{}: {}", config.display(), errors::reason(&error)))?;
    let users = txlb::users(&text).map_err(|errors| whole(&errors))?;
    if users.is_empty() {
        return Err(format!("{}: want a <user> in <admin>", config.display()));
    }
    let wrong: Vec<Note> = users.iter().filter_map(wrong_name).collect();
    if !wrong.is_empty() {
        return Err(whole(&wrong));
    }
    let mut told = Vec::new();
    edit::change(path, |known| {
        for user in &users {
            let access = access(user.access);
            let text = match known.get(&user.name) {
                Some(old) => {
                    let access = old.access.word();
                    format!(
                        "{} is in {} already, and stays {access} as it is there",
                        user.name,
                        path.display()
                    )
                }
                None => {
                    known.set(&user.name, User { access, hash: None, keys: Vec::new() });
                    format!(
                        "{name} cannot come in before a new password is set: penadmin user {} {name} {}",
                        path.display(),
                        access.word(),
                        name = user.name
                    )
                }
            };
            told.push(Note { place: user.place, text }.of_file(config.display()));
        }
        Ok(())
    })?;
    Ok(told)
}

/// A name may be typed everywhere, so one that cannot be is no name here.
fn wrong_name(user: &txlb::User) -> Option<Note> {
    let reason = check_name(&user.name).err()?;
    Some(Note { place: user.place, text: format!("<user>: name: {reason}") })
}

fn access(access: txlb::Access) -> Access {
    match access {
        txlb::Access::Full => Access::Full,
        txlb::Access::ReadOnly => Access::ReadOnly,
    }
}
