//! The books of lent buffers against a kernel that follows the rules of provided buffers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| camshaft_io::fuzzing::buffer_ring(bytes));
