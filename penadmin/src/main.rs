//! `penadmin`: the command line, and what is said on standard error. The work is done by the library beside it.
#![forbid(unsafe_code)]

use pen_sys::errors;
use pen_sys::program::Program;
use penadmin::audit::Audit;
use penadmin::office::Office;
use penadmin::options::{self, Request, Settings};
use penadmin::pens::{Pen, watch};
use penadmin::users::store::Store;
use penadmin::users::{edit, import};
use penadmin::{ssh, terminal, web};
use std::process::ExitCode;
use std::sync::Arc;

const PROGRAM: Program = Program("penadmin");

fn main() -> ExitCode {
    PROGRAM.obey(options::parse, |request| {
        let done = match request {
            Request::Help => return PROGRAM.print(options::USAGE),
            Request::Version => return PROGRAM.print_version(),
            Request::Serve(settings) => serve(settings),
            Request::SetUser { file, name, access, keys } => {
                terminal::password().and_then(|password| edit::set(&file, &name, access, &password, keys))
            }
            Request::ListUsers(file) => match edit::list(&file) {
                Ok(list) => return PROGRAM.print(&list),
                Err(error) => Err(error),
            },
            Request::RemoveUser(file, name) => edit::remove(&file, &name),
            Request::Import { config, file } => import::import(&config, &file).map(|told| {
                told.iter().for_each(|line| PROGRAM.say(line));
            }),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => PROGRAM.fail(&error),
        }
    })
}

/// Opens everything before anybody is let in.
fn serve(settings: Settings) -> Result<(), String> {
    let pens: Vec<_> =
        settings.pens.iter().map(|text| Pen::parse(text).map(Arc::new)).collect::<Result<_, _>>()?;
    for (index, pen) in pens.iter().enumerate() {
        if pens[..index].iter().any(|other| other.is_called(&pen.name) || other.is_called(pen.address())) {
            return Err(format!("{} is there twice", pen.name));
        }
    }
    let ssh = settings.ssh.map(ssh::Door::bind).transpose()?;
    let users = Store::open(settings.users)?;
    let audit = Audit::open(settings.audit)?;
    for pen in &pens {
        watch::start(pen).map_err(|error| format!("cannot start: {}", errors::reason(&error)))?;
    }
    web::run(settings.web, ssh, Arc::new(Office { users, audit, pens }))
}
