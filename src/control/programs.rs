//! Commands that name a program: those may give them who can run it themselves.

use crate::settings::Config;
use pen_proto::commands::{Assignment, Check, Command, Flag, LoadSource, ServerChange, Text};

/// What a control client on another machine hears.
pub const PROGRAM_REFUSED: &str = "check exec: want it from a file, the command line or a Unix control socket; with \
                                   exec_enabled at start it is taken from here too, as is load exec";

/// Whether a command names a program that pen is to run, and `exec_enabled` does not let everybody do that.
pub fn runs_program(config: &Config, command: &Command) -> bool {
    let names_program = |change: &ServerChange| match change {
        ServerChange::Check(check) => check.is_program(),
        ServerChange::Load(source) => source.is_program(),
        _ => false,
    };
    let names = match command {
        Command::Set(Assignment::Text(Text::Check, text)) => {
            Check::parse(text).is_ok_and(|check| check.is_program())
        }
        Command::Set(Assignment::Text(Text::Load, text)) => {
            LoadSource::parse(text).is_ok_and(|source| source.is_program())
        }
        Command::Server { changes, .. } | Command::AddServer { changes, .. } => {
            changes.iter().any(names_program)
        }
        _ => false,
    };
    names && !config.process.flag(Flag::ExecEnabled)
}
