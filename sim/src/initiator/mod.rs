//! Initiators: their own codec, written from RFC 7143 and sharing no code with core; well-behaved and hostile.

pub mod codec;
pub mod world;
