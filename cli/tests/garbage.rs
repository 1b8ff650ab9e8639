//! Damaged files give an error or a part of the truth, and never a panic, a crash or an endless loop.
//!
//! Each case is made from a seed that a failure names. `CAMSHAFT_CASES` says how many of each kind are tried.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{camshaft, full, scratch, sections};

/// How long any case may take; the whole program takes a twentieth of a second.
const PATIENCE: Duration = Duration::from_secs(60);

fn cases() -> u64 {
    let cases = std::env::var("CAMSHAFT_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(60)
}

/// The numbers of Steele, Lea and Flood's SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        let number = self.next() % end.max(1) as u64;
        usize::try_from(number).expect("it is below one")
    }
}

fn survives(path: &Path, case: &str) {
    for rest in [&["sizes"][..], &["states", "early", "--format", "json"]] {
        let child = camshaft()
            .arg(rest[0])
            .arg(path)
            .args(&rest[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the command can be run");
        wait(&mut child, case);
        let output = child.wait_with_output().expect("it has ended");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(0 | 2)),
            "{case}: {}: {errors}",
            output.status
        );
        assert!(!errors.contains("panicked"), "{case}: {errors}");
    }
}

fn wait(child: &mut Child, case: &str) {
    let start = Instant::now();
    while child.try_wait().expect("it is our child").is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("{case}: it does not end");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn files_that_end_too_early() {
    let whole = fs::read(full()).expect("it can be read");
    let path = scratch("garbage").join("truncated");
    for seed in 0..cases() {
        let mut numbers = Numbers(seed);
        let length = numbers.below(whole.len());
        // The table of sections is at the end, so what is cut from the middle leaves one that refers to nothing.
        let mut bytes = whole[..length].to_vec();
        if seed % 2 == 1 {
            let table = whole.len().saturating_sub(8192);
            bytes.truncate(length.min(table));
            bytes.extend(&whole[table..]);
        }
        fs::write(&path, bytes).expect("it can be written");
        survives(&path, &format!("truncated with seed {seed}"));
    }
}

#[test]
fn debug_information_that_is_wrong() {
    let whole = fs::read(full()).expect("it can be read");
    let sections = sections(&whole);
    assert!(sections.len() > 4, "{sections:?}");
    let path = scratch("garbage").join("mutated");
    for seed in 0..cases() {
        let mut numbers = Numbers(seed);
        let mut bytes = whole.clone();
        // From a single byte to damage everywhere.
        for _ in 0..1 << (seed % 12) {
            let (_, start, length) = sections[numbers.below(sections.len())];
            let at = start + numbers.below(length);
            bytes[at] = match numbers.below(3) {
                0 => 0xff,
                1 => bytes[at] ^ 1 << numbers.below(8),
                _ => numbers.next().to_le_bytes()[0],
            };
        }
        fs::write(&path, bytes).expect("it can be written");
        survives(&path, &format!("mutated with seed {seed}"));
    }
}

#[test]
fn headers_that_are_wrong() {
    let whole = fs::read(full()).expect("it can be read");
    let path = scratch("garbage").join("headers");
    for seed in 0..cases() {
        let mut numbers = Numbers(seed);
        let mut bytes = whole.clone();
        for _ in 0..=numbers.below(4) {
            let table = bytes.len().saturating_sub(3000);
            let at = match numbers.below(2) {
                0 => 4 + numbers.below(60),
                _ => table + numbers.below(3000),
            };
            bytes[at] = numbers.next().to_le_bytes()[0];
        }
        fs::write(&path, bytes).expect("it can be written");
        survives(&path, &format!("headers with seed {seed}"));
    }
}
