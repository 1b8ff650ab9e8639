//! By how much a process has grown.

use std::fs;
use std::process;

use anyhow::Context;
use camshaft_probe::sys;

use crate::measure::{Metric, Sample};

/// Which memory of the kernel belongs to what is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kernel {
    /// None but page tables and mappings: it makes no objects of the kernel.
    Nothing,
    /// Stacks and objects, by what the whole system has more of. Needs a quiet machine.
    Objects,
}

/// What there is at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    resident: u64,
    tables: u64,
    mappings: u64,
    kernel: u64,
}

impl Usage {
    pub(super) fn now() -> anyhow::Result<Self> {
        let maps = fs::read("/proc/self/maps").context("/proc is mounted")?;
        Ok(Self {
            resident: sys::resident_bytes(process::id())?,
            tables: kilobytes("/proc/self/status", "VmPTE:")?,
            mappings: maps.iter().filter(|byte| **byte == b'\n').count() as u64,
            kernel: kilobytes("/proc/meminfo", "Slab:")?
                + kilobytes("/proc/meminfo", "KernelStack:")?,
        })
    }

    /// The growth since then, by the item.
    pub(super) fn grown(self, items: u64, kernel: Kernel) -> anyhow::Result<Sample> {
        let now = Self::now()?;
        let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / items as f64;
        let resident = each(now.resident, self.resident);
        let tables = each(now.tables, self.tables);
        let objects = match kernel {
            Kernel::Nothing => 0.0,
            Kernel::Objects => each(now.kernel, self.kernel),
        };
        Ok(Sample::of(items)
            .with(Metric::Resident, resident)
            .with(Metric::PageTables, tables)
            .with(Metric::Kernel, objects)
            .with(Metric::Mappings, each(now.mappings, self.mappings))
            .with(Metric::Memory, resident + tables + objects))
    }
}

/// A field of one of the files that count in kilobytes, in bytes.
fn kilobytes(path: &str, field: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: u64 = number
        .with_context(|| format!("{path} has no {field}"))?
        .parse()?;
    Ok(kilobytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_is_counted() {
        let before = Usage::now().unwrap();
        // So much that it does not matter what the other tests of this process do meanwhile.
        let bytes = std::hint::black_box(vec![7_u8; 128 << 20]);
        let sample = before.grown(2, Kernel::Nothing).unwrap();
        let each = sample.values[&Metric::Memory];
        assert!((50e6..90e6).contains(&each), "{each}");
        assert_eq!(sample.values[&Metric::Kernel], 0.0);
        drop(bytes);
    }
}
