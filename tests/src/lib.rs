//! What the tests across packages share: a daemon to test, and the simulator's initiators over real sockets.

pub mod client;
pub mod process;
pub mod races;
pub mod sockets;
