//! (in work) Which server gets a client.
pub struct Balancer {}
