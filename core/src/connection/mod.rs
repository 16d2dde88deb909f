//! Stage 2: one TCP connection.

pub mod error;
pub mod login;
pub mod text;
