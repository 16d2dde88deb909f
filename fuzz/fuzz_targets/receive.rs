//! See `quintain_fuzz::receive`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quintain_fuzz::receive(data));
