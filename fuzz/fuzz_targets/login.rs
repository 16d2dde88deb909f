//! See `quintain_fuzz::login`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| quintain_fuzz::login(data));
