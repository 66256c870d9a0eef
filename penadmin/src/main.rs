//! `penadmin`: the command line, and what is said on standard error. The work is done by the library beside it.
#![forbid(unsafe_code)]

use pen_sys::program::Program;
use penadmin::options::{self, Request};
use penadmin::terminal;
use penadmin::users::edit;
use std::process::ExitCode;

const PROGRAM: Program = Program("penadmin");

fn main() -> ExitCode {
    PROGRAM.obey(options::parse, |request| {
        let done = match request {
            Request::Help => return PROGRAM.print(options::USAGE),
            Request::Version => return PROGRAM.print_version(),
            Request::SetUser { file, name, access, keys } => {
                terminal::password().and_then(|password| edit::set(&file, &name, access, &password, keys))
            }
            Request::ListUsers(file) => match edit::list(&file) {
                Ok(list) => return PROGRAM.print(&list),
                Err(error) => Err(error),
            },
            Request::RemoveUser(file, name) => edit::remove(&file, &name),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => PROGRAM.fail(&error),
        }
    })
}
