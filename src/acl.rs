//! Access lists: first match decides. Pure.

use pen_proto::addr::ClientAddr;
use pen_proto::commands::AclEntry;

/// How many lists there are: `acl 0` to `acl 9`.
pub const ACL_COUNT: usize = 10;

/// One list, in the order the entries were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    pub entries: Vec<AclEntry>,
}

impl Acl {
    /// Whether `client` passes. See docs/compatibility.md for Pen's rule when nothing matches.
    pub fn permits(&self, _client: ClientAddr) -> bool {
        todo!()
    }
}
