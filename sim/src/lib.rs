//! The seeded simulator: `Seed -> Plan -> Run -> Trace -> Verdict`, each a plain value. How to use it and what it can do
//! is in docs/SIMULATION.md.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`plan`] | the plan, and how it is drawn from a seed |
//! | [`runner`] | the phases of a run, from plan to [`verdict`] |
//! | [`executor`] | tasks, virtual time, nodes that die: the only file that knows madsim |
//! | [`chunk`] | bytes that are handed on without being copied |
//! | [`network`], [`disk`] | byte streams and disks with their faults |
//! | [`runtime`], [`cluster`] | the world as core sees it; the target's process, its deaths and returns |
//! | [`exhaust`] | short workloads with a fault at every place |
//! | [`faults`] | lets the plan's faults strike |
//! | [`initiator`] | well-behaved and hostile initiators with a codec of their own |
//! | [`history`], [`tap`], [`beginnings`], [`trace`] | what is kept of a run: commands, bytes, steps, everything |
//! | [`pcap`], [`timeline`] | the simulated wire as a capture; a run as a page |
//! | [`oracle`] | what judges it |
//! | [`paths`] | what of core a run went through |
//! | [`probes`], [`buggify`] | rare moments that core tells, unlikely choices that it makes |
//! | [`strikes`] | whether each kind of fault does something |
//! | [`random`] | keyed draws |
//! | [`cli`] | `cargo sim` |
#![forbid(unsafe_code)]

pub mod beginnings;
pub mod buggify;
pub mod cells;
pub mod chunk;
pub mod cli;
pub mod cluster;
pub mod disk;
pub mod executor;
pub mod exhaust;
pub mod faults;
pub mod generator;
pub mod history;
pub mod initiator;
pub mod network;
pub mod oracle;
pub mod paths;
pub mod pcap;
pub mod plan;
mod planted;
pub mod probes;
pub mod random;
pub mod runner;
pub mod runtime;
pub mod shrink;
pub mod strikes;
pub mod tap;
pub mod timeline;
pub mod trace;
pub mod verdict;
