//! `penctl-cgi`: control of a pen from a browser, as a program that a web server calls (CGI).
//!
//! Owns standard input, output and error. `cgi` answers the request, `guard` decides who may do what, `form` understands
//! what was sent, `views` ask pen, `page` shows. Without PENCTL_ALLOW it only shows.
#![forbid(unsafe_code)]

mod cgi;
mod form;
mod guard;
mod page;
mod views;

use pen_proto::escape::Escaped;
use pen_sys::control::{Address, Reply, Session};
use std::io::{self, Write};
use std::process::ExitCode;

const USAGE: &str = "\
penctl-cgi controls a pen from a browser. It is called by a web server, once
for each visit, and takes no arguments. The web server's configuration sets:

  PENCTL_CONTROL  pen's control socket: HOST:PORT or a path. Required
  PENCTL_ALLOW    what users whom the web server knows may do:
                  read (default), servers or all

See penctl-cgi(1).
";

impl views::Ask for Session {
    fn ask(&mut self, command: &str) -> Result<Reply, String> {
        Session::ask(self, command)
    }
}

fn main() -> ExitCode {
    // Set by every web server, and by nothing else.
    if std::env::var_os("GATEWAY_INTERFACE").is_none() {
        return print(USAGE);
    }
    let connect = |address: &str| Session::open(Address::parse(address)?);
    let response = cgi::respond(|name| std::env::var(name).ok(), io::stdin().lock(), connect);
    for note in &response.notes {
        // In one write, or a web server may log it as several. A standard error that is gone is its affair.
        let line = format!("penctl-cgi: {}\n", Escaped(note));
        let _ = io::stderr().write_all(line.as_bytes());
    }
    print(&response.output)
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        // A visitor who left takes nothing more.
        Err(_) => ExitCode::FAILURE,
    }
}
