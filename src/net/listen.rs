//! (in work) Listening sockets.
pub struct Listener {}
