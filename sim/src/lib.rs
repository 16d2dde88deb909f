//! The seeded simulator: `Seed -> Plan -> Run -> Trace -> Verdict`, each a plain value.
#![forbid(unsafe_code)]

pub mod cli;
pub mod cluster;
pub mod disk;
pub mod executor;
pub mod faults;
pub mod history;
pub mod initiator;
pub mod network;
pub mod oracle;
pub mod plan;
pub mod random;
pub mod runner;
pub mod runtime;
pub mod tap;
pub mod trace;
pub mod verdict;
