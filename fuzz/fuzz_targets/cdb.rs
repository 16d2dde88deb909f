//! See `quintain_fuzz::cdb`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quintain_fuzz::cdb(data));
