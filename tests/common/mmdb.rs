//! Writes databases in MaxMind's format (MaxMind DB specification 2.0), so that tests need none from elsewhere.
//!
//! Owns just enough of the format for a map of networks to country codes: a binary search tree over address bits, a data
//! section of maps and strings, the metadata. Knows neither pen nor the reader that is tested with it. Unit tests use it too.

use std::net::IpAddr;

/// What the file says about a network.
#[derive(Debug, Clone)]
pub struct Record(Vec<u8>);

impl Record {
    /// `{"country": {"iso_code": CODE}}`, as in GeoLite2-Country.
    pub fn country(code: &str) -> Record {
        Record(map(&[("country", map(&[("iso_code", string(code))]))]))
    }

    /// As in GeoLite2-Country where the network is registered in another country than it is used in.
    pub fn used_and_registered(country: &str, registered: &str) -> Record {
        let code = |code: &str| map(&[("iso_code", string(code))]);
        Record(map(&[("country", code(country)), ("registered_country", code(registered))]))
    }

    /// As in GeoLite2-Country where the network is used everywhere.
    pub fn registered(code: &str) -> Record {
        Record(map(&[("registered_country", map(&[("iso_code", string(code))]))]))
    }

    /// Names and texts, without maps among them.
    pub fn texts(pairs: &[(&str, &str)]) -> Record {
        Record(map(&pairs.iter().map(|(name, text)| (*name, string(text))).collect::<Vec<_>>()))
    }

    /// A map with nothing in it.
    pub fn empty() -> Record {
        Record(map(&[]))
    }
}

/// A database in the making.
#[derive(Debug, Clone)]
pub struct Mmdb {
    database_type: String,
    record_bits: usize,
    ip_version: u16,
    networks: Vec<(IpAddr, usize, Record)>,
}

/// Where a bit of an address leads.
#[derive(Debug, Clone, Copy)]
enum Way {
    Nowhere,
    Node(usize),
    /// Index into the networks.
    Network(usize),
}

impl Mmdb {
    /// Of the type that MaxMind gives its free databases of countries.
    pub fn countries() -> Mmdb {
        Mmdb::of_type("GeoLite2-Country")
    }

    pub fn of_type(database_type: &str) -> Mmdb {
        Mmdb { database_type: database_type.into(), record_bits: 24, ip_version: 6, networks: Vec::new() }
    }

    /// 24, 28 or 32: how many bits half a node of the tree has.
    pub fn record_bits(mut self, bits: usize) -> Mmdb {
        self.record_bits = bits;
        self
    }

    /// A tree of 32 bits, in which no IPv6 address can be looked up.
    pub fn ipv4_only(mut self) -> Mmdb {
        self.ip_version = 4;
        self
    }

    /// Adds `ADDRESS/LENGTH`. A later network wins over an earlier one that holds it.
    pub fn network(mut self, network: &str, record: Record) -> Mmdb {
        let (address, length) = network.split_once('/').expect("ADDRESS/LENGTH");
        let address: IpAddr = address.parse().expect("an address");
        self.networks.push((address, length.parse().expect("a length"), record));
        self
    }

    /// The bits of an address from the top, as many as its network has. IPv4 lies at ::/96 of an IPv6 tree.
    fn path(&self, address: IpAddr, length: usize) -> Vec<bool> {
        let (bits, length) = match (address, self.ip_version) {
            (IpAddr::V4(address), 4) => (u128::from(address.to_bits()) << 96, length),
            (IpAddr::V4(address), _) => (u128::from(address.to_bits()), 96 + length),
            (IpAddr::V6(address), _) => (address.to_bits(), length),
        };
        (0..length).map(|depth| bits >> (127 - depth) & 1 == 1).collect()
    }

    fn tree(&self) -> Vec<[Way; 2]> {
        let mut nodes = vec![[Way::Nowhere; 2]];
        for (index, (address, length, _)) in self.networks.iter().enumerate() {
            let path = self.path(*address, *length);
            let (last, way) = path.split_last().expect("a network longer than /0");
            let mut node = 0;
            for bit in way {
                node = match nodes[node][usize::from(*bit)] {
                    Way::Node(next) => next,
                    // What a larger network said holds for both halves until one of them is told otherwise.
                    said => {
                        nodes.push([said; 2]);
                        let next = nodes.len() - 1;
                        nodes[node][usize::from(*bit)] = Way::Node(next);
                        next
                    }
                };
            }
            nodes[node][usize::from(*last)] = Way::Network(index);
        }
        nodes
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let nodes = self.tree();
        let mut data = Vec::new();
        let offsets: Vec<usize> = self
            .networks
            .iter()
            .map(|(_, _, record)| {
                data.extend_from_slice(&record.0);
                data.len() - record.0.len()
            })
            .collect();
        let value = |way: Way| match way {
            Way::Nowhere => nodes.len(),
            Way::Node(node) => node,
            Way::Network(index) => nodes.len() + 16 + offsets[index],
        };
        let mut bytes: Vec<u8> =
            nodes.iter().flat_map(|node| self.node(value(node[0]) as u32, value(node[1]) as u32)).collect();
        bytes.extend([0; 16]);
        bytes.extend(data);
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        bytes.extend(self.metadata(nodes.len()));
        bytes
    }

    fn node(&self, left: u32, right: u32) -> Vec<u8> {
        let ([l0, l1, l2, l3], [r0, r1, r2, r3]) = (left.to_be_bytes(), right.to_be_bytes());
        match self.record_bits {
            24 => vec![l1, l2, l3, r1, r2, r3],
            28 => vec![l1, l2, l3, l0 << 4 | r0, r1, r2, r3],
            32 => vec![l0, l1, l2, l3, r0, r1, r2, r3],
            bits => panic!("records of {bits} bits"),
        }
    }

    fn metadata(&self, nodes: usize) -> Vec<u8> {
        map(&[
            ("binary_format_major_version", number(5, 2)),
            ("binary_format_minor_version", number(5, 0)),
            ("build_epoch", number(9, 1_795_224_206)),
            ("database_type", string(&self.database_type)),
            ("description", map(&[("en", string("made for a test"))])),
            ("ip_version", number(5, u32::from(self.ip_version))),
            ("languages", control(11, 0)),
            ("node_count", number(6, nodes as u32)),
            ("record_size", number(5, self.record_bits as u32)),
        ])
    }
}

/// The byte or bytes before a value: its type and size.
fn control(kind: u8, size: usize) -> Vec<u8> {
    assert!(size < 29, "longer values are written in another way");
    if kind < 8 { vec![kind << 5 | size as u8] } else { vec![size as u8, kind - 7] }
}

fn string(text: &str) -> Vec<u8> {
    [control(2, text.len()), text.into()].concat()
}

/// Unsigned, of type 5 (16 bits), 6 (32 bits) or 9 (64 bits).
fn number(kind: u8, value: u32) -> Vec<u8> {
    let digits: Vec<u8> = value.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [control(kind, digits.len()), digits].concat()
}

fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = control(7, pairs.len());
    for (key, value) in pairs {
        bytes.extend(string(key));
        bytes.extend(value);
    }
    bytes
}
