#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| goscope_fuzz::targets::recorded_window(data));
