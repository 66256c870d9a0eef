//! The tables and the line of GLB's control socket, byte for byte.

use pen_proto::weight::Weight;
use std::fmt::Write;

const RULE: &str = "------------------------------------------------------";
const SHORT_RULE: &str = "-----------------------------------------";

/// A destination in a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Destination {
    /// Numeric, without the port and without brackets.
    pub host: String,
    pub port: u16,
    pub weight: Weight,
    pub connections: u32,
    /// It may be given to a new client.
    pub is_good: bool,
}

/// Whether the policy chooses by a map of shares, which is shown then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    Shown,
    None,
}

/// `getinfo` of the load balancer. `connections_max` is how many there may be at once.
pub fn info(destinations: &[Destination], map: Map, connections_max: u64) -> String {
    let mut text = format!("Router:\n{RULE}\n        Address       :   weight   usage    map  conns\n");
    let mut total = 0;
    for (destination, bound) in destinations.iter().zip(bounds(destinations)) {
        let connections = destination.connections;
        total += u64::from(connections);
        let usage = f64::from(connections) / (f64::from(connections) + 1.0);
        let map = match map {
            Map::Shown => format!("{bound:7.3}"),
            Map::None => "   N/A ".to_owned(),
        };
        let (address, weight) = (address(destination), number(destination.weight));
        add(&mut text, format_args!("{address} : {weight:8.3} {usage:7.3} {map} {connections:5}"));
    }
    let count = destinations.len();
    add(&mut text, format_args!("{RULE}"));
    add(
        &mut text,
        format_args!("Destinations: {count}, total connections: {total} of {connections_max} max"),
    );
    text
}

/// `getinfo` of the library, which counts no connections.
pub fn library_info(destinations: &[Destination]) -> String {
    let mut text = format!("Router:\n{SHORT_RULE}\n        Address       :   weight    map\n");
    for (destination, bound) in destinations.iter().zip(bounds(destinations)) {
        let (address, weight) = (address(destination), number(destination.weight));
        add(&mut text, format_args!("{address} : {weight:8.3} {bound:7.3}"));
    }
    add(&mut text, format_args!("{SHORT_RULE}"));
    add(&mut text, format_args!("Destinations: {}", destinations.len()));
    text
}

/// Where the slice of each destination ends in the range from 0 to 1.
fn bounds(destinations: &[Destination]) -> Vec<f64> {
    let share = |destination: &Destination| match destination.is_good {
        true => number(destination.weight),
        false => 0.0,
    };
    let total: f64 = destinations.iter().map(share).sum();
    let mut sum = 0.0;
    let bound = |destination| {
        sum += share(destination);
        if total > 0.0 { sum / total } else { 0.0 }
    };
    destinations.iter().map(bound).collect()
}

/// The colon stands in one column, as far as addresses are of IPv4.
fn address(destination: &Destination) -> String {
    let host = &destination.host;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    format!("{host:>15}:{:<5}", destination.port)
}

fn number(weight: Weight) -> f64 {
    f64::from(weight.thousandths()) / 1000.0
}

fn add(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes everything");
}

/// What `getstat` counts, since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub from_clients_bytes: u64,
    pub to_clients_bytes: u64,
    pub received_bytes: u64,
    pub receives: u64,
    pub sent_bytes: u64,
    pub sends: u64,
    pub opened: u64,
    pub readable: u64,
    pub writable: u64,
    pub wakeups: u64,
}

impl Counts {
    /// What was counted since then; what was counted by services that are no more counts as nothing.
    pub fn since(self, before: Counts) -> Counts {
        let of = |field: fn(&Counts) -> u64| field(&self).saturating_sub(field(&before));
        Counts {
            from_clients_bytes: of(|counts| counts.from_clients_bytes),
            to_clients_bytes: of(|counts| counts.to_clients_bytes),
            received_bytes: of(|counts| counts.received_bytes),
            receives: of(|counts| counts.receives),
            sent_bytes: of(|counts| counts.sent_bytes),
            sends: of(|counts| counts.sends),
            opened: of(|counts| counts.opened),
            readable: of(|counts| counts.readable),
            writable: of(|counts| counts.writable),
            wakeups: of(|counts| counts.wakeups),
        }
    }
}

/// `getstat`: what was counted in the last so many microseconds, and how many connections are open.
pub fn statistics(counts: Counts, open: u64, elapsed_usec: u64) -> String {
    let Counts { from_clients_bytes, to_clients_bytes, received_bytes, receives, .. } = counts;
    let Counts { sent_bytes, sends, opened, readable, writable, wakeups, .. } = counts;
    let elapsed = elapsed_usec as f64 / 1e6;
    format!(
        "in: {from_clients_bytes} out: {to_clients_bytes} recv: {received_bytes} / {receives} send: {sent_bytes} / \
         {sends} conns: {opened} / {open} poll: {readable} / {writable} / {wakeups} elapsed: {elapsed:.5}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(port: u16, weight: u32, connections: u32) -> Destination {
        let weight = Weight::whole(weight);
        Destination { host: "127.0.0.1".into(), port, weight, connections, is_good: true }
    }

    /// As GLB 1.0.2 printed them.
    #[test]
    fn tables_are_as_glb_prints_them() {
        let farm = [destination(17101, 3, 6), destination(17102, 1, 2), destination(17103, 2, 4)];
        assert_eq!(
            info(&farm, Map::None, 9981),
            "Router:\n\
             ------------------------------------------------------\n        \
             Address       :   weight   usage    map  conns\n      \
             127.0.0.1:17101 :    3.000   0.857    N/A      6\n      \
             127.0.0.1:17102 :    1.000   0.667    N/A      2\n      \
             127.0.0.1:17103 :    2.000   0.800    N/A      4\n\
             ------------------------------------------------------\n\
             Destinations: 3, total connections: 12 of 9981 max\n"
        );
        assert!(info(&farm, Map::Shown, 1).contains(":17102 :    1.000   0.667   0.667     2\n"));
        let drained = info(&[destination(80, 0, 0)], Map::None, 1);
        assert!(drained.contains("      127.0.0.1:80    :    0.000   0.000    N/A      0\n"), "{drained}");
    }

    #[test]
    fn the_map_leaves_out_who_is_not_good() {
        let mut farm = [destination(1, 1, 0), destination(2, 2, 0), destination(3, 1, 0)];
        farm[1].is_good = false;
        let text = library_info(&farm);
        assert!(text.contains(":1     :    1.000   0.500\n") && text.contains(":2     :    2.000   0.500\n"));
        assert!(text.ends_with("-----------------------------------------\nDestinations: 3\n"));
        farm.iter_mut().for_each(|destination| destination.is_good = false);
        assert!(library_info(&farm).contains(":3     :    1.000   0.000\n"));
    }

    #[test]
    fn statistics_are_a_line_of_pairs() {
        let counts = Counts { to_clients_bytes: 72, received_bytes: 72, receives: 36, ..Counts::default() };
        assert_eq!(
            statistics(counts, 12, 2_394_070),
            "in: 0 out: 72 recv: 72 / 36 send: 0 / 0 conns: 0 / 12 poll: 0 / 0 / 0 elapsed: 2.39407\n"
        );
        assert_eq!(counts.since(counts), Counts::default());
    }
}
