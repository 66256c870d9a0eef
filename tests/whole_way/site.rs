//! A site: two web servers, and clients that visit it through pen, each from its own address.
//!
//! A visitor asks for paths that name it, so that every line of a log tells by itself whose it must be.

use crate::common::pen::Pen;
use crate::common::ports::free_port;
use crate::common::programs::command;
use crate::programs::succeed;

/// The two web servers' addresses: different ones, because logs know servers by address.
pub const SERVERS: [&str; 2] = ["127.0.0.11", "127.0.0.12"];

/// Their port.
pub fn port() -> u16 {
    free_port()
}

pub const VISITORS: usize = 8;
pub const VISITS: usize = 5;

fn visitor(number: usize) -> String {
    format!("127.0.1.{}", number + 1)
}

/// Every visitor comes so many times as [`VISITS`] says, in turns.
pub fn visit_all(pen: &Pen) {
    for visit in 0..VISITS {
        for number in 0..VISITORS {
            let visitor = visitor(number);
            let url = format!("http://{}/?{visitor}/{visit}", pen.address);
            let mut curl = command("curl");
            curl.args([
                "--silent",
                "--fail",
                "--max-time",
                "20",
                "--noproxy",
                "*",
                "--interface",
                &visitor,
                &url,
            ]);
            let answer = succeed(&mut curl);
            assert!(String::from_utf8_lossy(&answer.stdout).contains("It works"));
        }
    }
}

/// # Panics
/// Unless the log has a line for every visit, with the visitor's address in front.
pub fn assert_every_line_has_its_visitor(log: &str) {
    let mut seen = vec![0; VISITORS];
    for line in log.lines() {
        let client = line.split(' ').next().unwrap();
        let number = (0..VISITORS).find(|number| visitor(*number) == client);
        let number = number.unwrap_or_else(|| panic!("{client} is no visitor: {line}"));
        assert!(line.contains(&format!("\"GET /?{client}/")), "not a visit of {client}: {line}");
        assert!(line.ends_with('"') && line.contains(" 200 "), "not a line as Apache writes it: {line}");
        seen[number] += 1;
    }
    assert_eq!(seen, vec![VISITS; VISITORS], "{log}");
}
