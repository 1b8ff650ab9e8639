//! Operations submitted, completed, cancelled, dropped and polled in any order, on a kernel that is a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| camshaft_io::fuzzing::op_life(bytes));
