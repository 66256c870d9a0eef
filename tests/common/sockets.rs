//! What pen has set on its sockets, asked of the kernel.

use super::pen::Pen;
use super::programs::{is_installed, run};
use super::skip_without;
use super::wait::eventually;
use serde_json::Value;

/// The options of a TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub nodelay: bool,
    pub keepalive: bool,
    pub idle_seconds: u32,
    pub interval_seconds: u32,
    pub probes: u32,
}

/// Those of the only open connection, of the client's side and of the server's. `None`, which is said, when there is
/// nothing to ask with.
pub fn options_of_the_connection(pen: &Pen) -> Option<[Options; 2]> {
    if !is_installed("python3") {
        skip_without("python3");
        return None;
    }
    let connections = || serde_json::from_str::<Value>(&pen.control("connections json")).unwrap();
    let count = |connections: &Value| connections.as_array().map(Vec::len);
    let listed = eventually("one open connection", connections, |connections| count(connections) == Some(1));
    let [client, server] = ["down_fd", "up_fd"].map(|side| listed[0][side].to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/socket_options.py");
    let asked = run("python3", &[script, &pen.pid().to_string(), &client, &server], "");
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let options = asked.stdout.lines().map(|line| {
        let values: Vec<u32> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let [nodelay, keepalive, idle_seconds, interval_seconds, probes] = values[..] else {
            panic!("{line:?}")
        };
        Options { nodelay: nodelay != 0, keepalive: keepalive != 0, idle_seconds, interval_seconds, probes }
    });
    Some(options.collect::<Vec<_>>().try_into().unwrap())
}
