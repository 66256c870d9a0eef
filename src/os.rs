//! What connections ask of the operating system: sockets, watching them, pipes and time.
//!
//! In every build of pen a name here is the thing itself, so the seam costs nothing: no trait, no generic, no call. Unit
//! tests may put a simulated network in their place (`os/simulated.rs`): there a descriptor is a real one or a simulated one.

#[cfg(test)]
pub mod simulated;
mod system;

#[cfg(test)]
pub use simulated::seam::*;
#[cfg(not(test))]
pub use system::*;
