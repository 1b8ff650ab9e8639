//! Whether there is memory for what a run needs. A run that does not fit says so, instead of being killed.

use std::fs;

use crate::experiment::Outcome;

/// What a stack takes that is hardly used: a page, its part of the page table, and what is kept of it elsewhere.
pub(crate) const STACK: u64 = 4500;

/// What is left for others.
const SPARE: u64 = 1 << 30;

/// Why so many things of this size don't fit, if they don't.
pub(crate) fn lacks(count: u64, bytes_each: u64) -> Option<Outcome> {
    let needed = count * bytes_each + SPARE;
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|it| it.strip_prefix("MemAvailable:"));
    let kib: u64 = line?.trim().trim_end_matches("kB").trim().parse().ok()?;
    (needed > kib << 10).then(|| {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        Outcome::Skipped(format!(
            "needs {:.1} GiB of memory, and there are {:.1}",
            gib(needed),
            gib(kib << 10)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_never_room_for_everything() {
        assert!(lacks(1 << 20, 1 << 30).is_some());
    }
}
