//! A password from standard input: typed unseen and twice at a terminal, else the first line of it.

use crate::users::password::BYTES_MAX;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use pen_sys::{errors, program};
use std::io::{self, BufRead, IsTerminal};

/// Reads a password; empty for none.
///
/// # Errors
/// Standard input cannot be read, or what was typed twice was not the same.
pub fn password() -> Result<String, String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(stdin.lock());
    }
    let first = unseen("Password: ")?;
    let second = unseen("Once more: ")?;
    if first == second { Ok(first) } else { Err("the two passwords differ".into()) }
}

fn unseen(prompt: &str) -> Result<String, String> {
    eprint!("{prompt}");
    let stdin = io::stdin();
    let shown = tcgetattr(&stdin).map_err(|error| error.desc().to_string())?;
    let mut hidden = shown.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&stdin, SetArg::TCSAFLUSH, &hidden).map_err(|error| error.desc().to_string())?;
    let typed = line(stdin.lock());
    // A terminal that is gone shows nothing anyway.
    let _ = tcsetattr(&stdin, SetArg::TCSAFLUSH, &shown);
    program::complain("");
    typed
}

fn line(input: impl BufRead) -> Result<String, String> {
    let mut text = String::new();
    let read = input.take(BYTES_MAX as u64 + 2).read_line(&mut text);
    read.map_err(|error| format!("standard input: {}", errors::reason(&error)))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line() {
        assert_eq!(line(&b"open sesame \nmore\n"[..]), Ok("open sesame ".into()));
        assert_eq!(line(&b""[..]), Ok(String::new()));
        assert_eq!(line(&b"x\r\n"[..]), Ok("x".into()));
        assert!(line(&b"\xff\n"[..]).is_err());
    }
}
