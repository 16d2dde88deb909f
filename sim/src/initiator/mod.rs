//! Initiators: their own codec, written from RFC 7143 and sharing no code with core; well-behaved and hostile.
//!
//! [`run`] plays one [`InitiatorPlan`] in any [`World`]: in the simulator, and in the end-to-end tests over real
//! sockets. What was asked and answered goes into the history; what the target did against the RFC or SAM becomes a
//! [`Violation`].

mod audit;
mod cdb;
pub mod codec;
mod description;
mod driver;
mod hostile;
mod inquiry_data;
mod link;
mod login;
mod parameters;
pub mod plan;
pub(crate) mod self_test;
mod session;
mod shared;
#[cfg(test)]
mod tests;
pub mod world;

pub(crate) use audit::AUDITORS;
pub use audit::audit;
pub use description::Configured;
pub use driver::run;
pub use plan::InitiatorPlan;
pub(crate) use shared::parse_sense;
pub use shared::{Ear, Heard, Phase, Report, Shared, Violation};
pub use world::{Wire, World};
