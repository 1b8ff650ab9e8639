//! What one run yields. Every figure is a cost: less is better.
//!
//! | metric | what it is | what it leaves out |
//! |---|---|---|
//! | `wall` | length of the window over the operations in it | |
//! | `cpu` | user and system time of the measured process, all its threads | softirqs that loopback charges to the other side |
//! | `allocations` | calls of the global allocator in an operation | memory that is mapped |
//! | `resident` | growth of resident memory, an item | |
//! | `page_tables` | growth of `VmPTE`, an item | |
//! | `kernel` | growth of kernel memory that the system reports (`Slab`, `KernelStack`), an item | needs a quiet machine |
//! | `mappings` | growth of the number of mappings, of which a process may have 65,530 | |
//! | `p50`, `p99` | latencies | in a closed loop: what an open loop would have waited |
//! | `load` | the share of a core that the load client used | |
//! | `total` | one piece of work from its beginning to its end | |
//! | `size` | bytes of the state of one task | |
//! | `polls` | polls, resumes or switches of an operation | |
//! | `instructions` | instructions of an operation, counted by callgrind | the kernel's |

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::experiment::Setting;
use camshaft_probe::alloc::allocations;
use camshaft_probe::sys;

/// A kind of figure.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Elapsed time of an operation, ns.
    Wall,
    /// CPU time of an operation, ns.
    Cpu,
    /// Allocations in an operation.
    Allocations,
    /// Resident bytes of an item.
    Resident,
    /// Bytes of page tables of an item.
    PageTables,
    /// Bytes of kernel memory of an item.
    Kernel,
    /// All kinds of memory of an item together, bytes.
    Memory,
    /// Mappings of an item.
    Mappings,
    /// Median latency, ns.
    P50,
    /// 99th percentile of the latency, ns.
    P99,
    /// Cores that the load client used.
    Load,
    /// Time of the whole, ns.
    Total,
    /// Bytes of the state of one task.
    Size,
    /// Polls, resumes or switches of an operation.
    Polls,
    /// Instructions of an operation.
    Instructions,
}

impl Metric {
    /// What a table and a chart call it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Wall => "time per operation",
            Self::Cpu => "CPU time per operation",
            Self::Allocations => "allocations per operation",
            Self::Resident => "resident memory each",
            Self::PageTables => "page tables each",
            Self::Kernel => "kernel memory each",
            Self::Memory => "all memory each",
            Self::Mappings => "mappings each",
            Self::P50 => "median latency",
            Self::P99 => "99th percentile of the latency",
            Self::Load => "cores used by the load client",
            Self::Total => "time in all",
            Self::Size => "size of the state",
            Self::Polls => "switches per operation",
            Self::Instructions => "instructions per operation",
        }
    }

    /// Whether it is counted and not timed: the same in every run, so that noise is no excuse.
    pub(crate) fn is_exact(self) -> bool {
        matches!(self, Self::Size | Self::Polls)
    }

    /// Its unit.
    pub(crate) fn unit(self) -> Unit {
        match self {
            Self::Wall | Self::Cpu | Self::P50 | Self::P99 | Self::Total => Unit::Nanoseconds,
            Self::Resident | Self::PageTables | Self::Kernel | Self::Memory | Self::Size => {
                Unit::Bytes
            }
            Self::Allocations | Self::Mappings | Self::Load | Self::Polls | Self::Instructions => {
                Unit::Count
            }
        }
    }
}

/// A unit of measure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    /// Nanoseconds.
    Nanoseconds,
    /// Bytes.
    Bytes,
    /// A plain number.
    Count,
}

impl Unit {
    /// A value with its unit, in three digits.
    pub(crate) fn show(self, value: f64) -> Shown {
        Shown { unit: self, value }
    }
}

/// A value that displays with its unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    unit: Unit,
    value: f64,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (step, names): (f64, &[&str]) = match self.unit {
            Unit::Nanoseconds => (1000.0, &[" ns", " µs", " ms", " s"]),
            Unit::Bytes => (1024.0, &[" B", " KiB", " MiB", " GiB"]),
            Unit::Count => (1000.0, &["", " k", " M", " G"]),
        };
        let (mut value, mut name) = (self.value, 0);
        while value.abs() >= step * 0.9995 && name + 1 < names.len() {
            value /= step;
            name += 1;
        }
        let digits = match value.abs() {
            size if size >= 99.95 || (size == 0.0) => 0,
            size if size >= 9.995 => 1,
            _ => 2,
        };
        write!(f, "{value:.digits$}{}", names[name])
    }
}

/// The figures of one run. A figure that an experiment does not have is absent.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// Operations or items behind the averages.
    pub(crate) ops: u64,
    /// The figures.
    pub(crate) values: BTreeMap<Metric, f64>,
}

impl Sample {
    /// A sample without figures so far.
    pub(crate) fn of(ops: u64) -> Self {
        Self {
            ops,
            values: BTreeMap::new(),
        }
    }

    /// Adds a figure.
    #[must_use]
    pub(crate) fn with(mut self, metric: Metric, value: f64) -> Self {
        self.values.insert(metric, value);
        self
    }

    /// Adds the median and the 99th percentile of latencies in nanoseconds.
    #[must_use]
    pub(crate) fn with_latencies(self, mut latencies: Vec<u64>) -> Self {
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied();
        match (at(50), at(99)) {
            (Some(p50), Some(p99)) => self
                .with(Metric::P50, p50 as f64)
                .with(Metric::P99, p99 as f64),
            _ => self,
        }
    }
}

/// A window of time over this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    wall: u64,
    cpu: u64,
    allocations: u64,
}

impl Meter {
    /// Opens the window.
    pub(crate) fn start() -> Self {
        Self {
            wall: sys::now_ns(),
            allocations: allocations(),
            cpu: sys::own_cpu_ns(),
        }
    }

    /// Whether the window has been open for as long as the scale says. Ask it once for many operations.
    pub(crate) fn is_over(&self, setting: Setting) -> bool {
        u128::from(sys::now_ns() - self.wall) >= setting.scale.window().as_nanos()
    }

    /// Closes the window, in which this many operations were done.
    ///
    /// # Panics
    ///
    /// Panics if there was none: nothing can be said of it then.
    pub(crate) fn stop(self, ops: u64) -> Sample {
        assert!(ops > 0, "not one operation was done in the window");
        let (cpu, wall) = (sys::own_cpu_ns() - self.cpu, sys::now_ns() - self.wall);
        let each = |value: u64| value as f64 / ops as f64;
        Sample::of(ops)
            .with(Metric::Wall, each(wall))
            .with(Metric::Cpu, each(cpu))
            .with(Metric::Allocations, each(allocations() - self.allocations))
    }

    /// Closes the window over one piece of work, of this many operations.
    pub(crate) fn stop_whole(self, ops: u64) -> Sample {
        let sample = self.stop(ops);
        let total = sample.values[&Metric::Wall] * ops as f64;
        sample.with(Metric::Total, total)
    }
}

/// Runs batches until the window is over; a batch says how many operations it did. One batch before is not measured.
pub(crate) fn repeat(setting: Setting, mut batch: impl FnMut() -> u64) -> Sample {
    batch();
    let meter = Meter::start();
    let mut ops = 0;
    loop {
        ops += batch();
        if meter.is_over(setting) {
            return meter.stop(ops);
        }
    }
}

/// As [`repeat`], for work that may fail.
pub(crate) fn try_repeat<E>(
    setting: Setting,
    mut batch: impl FnMut() -> Result<u64, E>,
) -> Result<Sample, E> {
    batch()?;
    let meter = Meter::start();
    let mut ops = 0;
    loop {
        ops += batch()?;
        if meter.is_over(setting) {
            return Ok(meter.stop(ops));
        }
    }
}

/// As [`repeat`], for work that waits.
pub(crate) async fn repeat_async(setting: Setting, mut batch: impl AsyncFnMut() -> u64) -> Sample {
    batch().await;
    let meter = Meter::start();
    let mut ops = 0;
    loop {
        ops += batch().await;
        if meter.is_over(setting) {
            return meter.stop(ops);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        let show = |unit: Unit, value| unit.show(value).to_string();
        assert_eq!(show(Unit::Nanoseconds, 4.0), "4.00 ns");
        assert_eq!(show(Unit::Nanoseconds, 999.7), "1.00 µs");
        assert_eq!(show(Unit::Nanoseconds, 6_000_000_000.0), "6.00 s");
        assert_eq!(show(Unit::Bytes, 4326.0), "4.22 KiB");
        assert_eq!(show(Unit::Count, 0.0), "0");
        assert_eq!(show(Unit::Count, 120.0), "120");
    }

    #[test]
    fn percentiles_are_of_sorted_latencies() {
        let sample = Sample::of(1).with_latencies((0..100).rev().collect());
        assert_eq!(sample.values[&Metric::P50], 50.0);
        assert_eq!(sample.values[&Metric::P99], 99.0);
        assert!(Sample::of(1).with_latencies(vec![]).values.is_empty());
    }
}
