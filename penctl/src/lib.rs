//! What the programs of this package share: talking to a pen. `penctl` is the program for a terminal, `penctl-cgi` the one
//! for a web server.

pub mod client;
