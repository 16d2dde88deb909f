//! The seeded simulator: `Seed -> Plan -> Run -> Trace -> Verdict`, each a plain value.
#![forbid(unsafe_code)]

pub mod executor;
pub mod history;
pub mod initiator;
pub mod oracle;
pub mod random;
pub mod tap;
