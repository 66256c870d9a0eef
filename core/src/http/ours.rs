//! What is ours in a head: the list that our address joins, and how it is written. Pure; for `edit.rs`.

use std::io::Write;
use std::net::IpAddr;

/// The list that was read last.
#[derive(Debug, Default)]
pub(super) struct List {
    /// From its line end on, while `is_held`: then the end of the list is not written yet.
    pub(super) held: Vec<u8>,
    pub(super) is_held: bool,
    pub(super) has_colon: bool,
    pub(super) has_value: bool,
}

/// Each head gets one: without the general way to format numbers.
pub(super) fn write_address(ip: IpAddr, out: &mut Vec<u8>) {
    let IpAddr::V4(ip) = ip else {
        let _ = write!(out, "{ip}"); // to a vector, which cannot fail
        return;
    };
    for (index, octet) in ip.octets().into_iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        if octet >= 100 {
            out.push(b'0' + octet / 100);
        }
        if octet >= 10 {
            out.push(b'0' + octet / 10 % 10);
        }
        out.push(b'0' + octet % 10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_they_are_shown() {
        for text in ["0.0.0.0", "1.10.100.255", "99.109.200.9", "2001:db8::1", "::ffff:10.0.0.1"] {
            let mut out = Vec::new();
            write_address(text.parse().unwrap(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
