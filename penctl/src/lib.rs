//! What shells for pen share: listings as tables, and what may be typed next. Pure; used by `penctl` and by penadmin's ssh.

pub mod live;
pub mod table;
