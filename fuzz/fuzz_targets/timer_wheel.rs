//! The timer wheel against a `BTreeMap` of its timers.
#![no_main]

#[path = "../../timer/tests/oracle/pair.rs"]
mod pair;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pair::history(bytes));
