//! The seeded simulator: `Seed -> Plan -> Run -> Trace -> Verdict`, each a plain value.
#![forbid(unsafe_code)]

pub mod disk;
pub mod executor;
pub mod history;
pub mod initiator;
pub mod network;
pub mod oracle;
pub mod random;
pub mod runtime;
pub mod tap;
pub mod trace;
