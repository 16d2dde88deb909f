//! Stage 4: what becomes of a command: status and sense.

pub mod sense;
pub mod status;
