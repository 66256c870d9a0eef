//! The way to syslogd: datagrams that never wait for long, over a socket that is connected again when syslogd was restarted.
//!
//! Used by `diag` and by penlogd. In a jail a restarted syslogd is found again only if it listens on the jail's `/dev/log`.

use crate::local_time;
use crate::socket::takes_more;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
pub use syslog::Severity;
use syslog::{Facility, LogFormat, Logger};

/// Where syslogd listens.
pub const PATH: &str = "/dev/log";

/// A connection to syslogd, or the lack of one: that is never an error.
pub struct Syslog(Logger<Connection, Format>);

impl Syslog {
    /// Messages of `program`. Connects at once, because a chroot may follow.
    pub fn open(path: impl Into<PathBuf>, program: &'static str) -> Syslog {
        let mut connection = Connection { path: path.into(), socket: None, patience_milliseconds: 0 };
        // Without a syslogd now, there may be one at the next message.
        let _ = connection.connect();
        Syslog(Logger::new(connection, Format { program }))
    }

    /// Whether the message went out, to which a busy syslogd gets so long. `text` is one line, escaped.
    pub fn send(&mut self, severity: Severity, text: &str, patience_milliseconds: u16) -> bool {
        self.0.backend.patience_milliseconds = patience_milliseconds;
        self.0.formatter.format(&mut self.0.backend, severity, text).is_ok()
    }
}

/// The line of RFC 3164 as the C library writes it. The one of the crate carries UTC on Unix; syslogd takes the time
/// in a line for local time.
struct Format {
    program: &'static str,
}

impl<T: Display> LogFormat<T> for Format {
    fn format<W: Write>(&self, out: &mut W, severity: Severity, text: T) -> syslog::Result<()> {
        let priority = Facility::LOG_USER as u8 | severity as u8;
        let time = local_time::now();
        let (time, pid) = (time.format("%b %e %H:%M:%S"), std::process::id());
        let line = format!("<{priority}>{time} {}[{pid}]: {text}", self.program);
        out.write_all(line.as_bytes()).map_err(syslog::Error::Write)
    }
}

struct Connection {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    patience_milliseconds: u16,
}

impl Connection {
    fn connect(&mut self) -> io::Result<&UnixDatagram> {
        self.socket = None;
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        Ok(self.socket.insert(socket))
    }
}

/// One write is one datagram.
impl Write for Connection {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        let patience = self.patience_milliseconds;
        match self.socket.as_ref().map(|socket| send(socket, datagram, patience)) {
            Some(Ok(sent)) => Ok(sent),
            // syslogd is there and busy; a new connection would not help.
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => Err(error),
            Some(Err(_)) | None => send(self.connect()?, datagram, patience),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A queue to syslogd holds ten datagrams on many a Linux, less than one report of USR1: it gets time to take some.
fn send(socket: &UnixDatagram, datagram: &[u8], patience_milliseconds: u16) -> io::Result<usize> {
    match socket.send(datagram) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            if !takes_more(socket.as_fd(), patience_milliseconds) {
                return Err(error);
            }
            socket.send(datagram)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tempdir::TempDir;

    fn receive(syslogd: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = syslogd.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_message_has_priority_time_name_and_number() {
        let dir = TempDir::new();
        let path = dir.join("log");
        let syslogd = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::open(&path, "pen");
        for (severity, priority) in [(Severity::LOG_ERR, "<11>"), (Severity::LOG_DEBUG, "<15>")] {
            assert!(syslog.send(severity, "no servers", 0));
            let line = receive(&syslogd);
            let (head, text) = line.split_at(priority.len() + "Nov  1 01:02:03".len());
            assert_eq!(text, format!(" pen[{}]: no servers", std::process::id()));
            let time = head.strip_prefix(priority).unwrap();
            let year = format!("2024 {time}");
            chrono::NaiveDateTime::parse_from_str(&year, "%Y %b %e %H:%M:%S").expect(time);
        }
    }

    #[test]
    fn survives_a_restart_of_syslogd() {
        let dir = TempDir::new();
        let path = dir.join("log");
        let mut syslog = Syslog::open(&path, "pen");
        assert!(!syslog.send(Severity::LOG_INFO, "nobody is listening yet", 0));
        for start in 0..3 {
            let syslogd = UnixDatagram::bind(&path).unwrap();
            for message in 0..2 {
                let text = format!("start {start} message {message}");
                assert!(syslog.send(Severity::LOG_INFO, &text, 0));
                assert!(receive(&syslogd).ends_with(&text));
            }
            drop(syslogd);
            std::fs::remove_file(&path).unwrap();
        }
        assert!(!syslog.send(Severity::LOG_INFO, "nobody is listening any more", 0));
    }

    #[test]
    fn a_busy_syslogd_makes_nobody_wait() {
        let dir = TempDir::new();
        let path = dir.join("log");
        let syslogd = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::open(&path, "pen");
        // Linux keeps 10 datagrams by default (net.unix.max_dgram_qlen), other settings a few hundred.
        let sent = (0..100_000).take_while(|_| syslog.send(Severity::LOG_INFO, "busy", 0)).count();
        assert!(sent > 0 && sent < 100_000);
        receive(&syslogd);
        assert!(syslog.send(Severity::LOG_INFO, "free again", 0));
    }

    #[test]
    fn a_report_longer_than_the_queue_arrives_whole() {
        let dir = TempDir::new();
        let path = dir.join("log");
        let syslogd = UnixDatagram::bind(&path).unwrap();
        let mut syslog = Syslog::open(&path, "pen");
        let reader = std::thread::spawn(move || (0..2000).map(|_| receive(&syslogd)).collect::<Vec<_>>());
        for line in 0..2000 {
            assert!(syslog.send(Severity::LOG_INFO, &format!("line {line}."), 10_000), "line {line}");
        }
        let received = reader.join().unwrap();
        for (line, text) in received.iter().enumerate() {
            assert!(text.ends_with(&format!(": line {line}.")), "{text}");
        }
    }
}
