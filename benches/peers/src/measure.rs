//! What one run of one workload on one system yields.
//!
//! - **CPU per operation** is the user and system time of the whole measured process, helper threads and kernel workers
//!   of its ring included. It leaves out what loopback does in the sender's context: the softirq that carries a request
//!   to the server is charged to the load client, for every system alike.
//! - **Wall per operation** is the length of the window divided by the operations in it; with many connections it is
//!   the reciprocal of the throughput.
//! - **Allocations per operation** are calls of the global allocator; memory mapped by a system itself is not counted.
//! - **RSS** is the growth of resident memory of the process; socket buffers and other kernel memory are left out.
//! - **p50, p99** are latencies; a closed loop cannot see what an open loop would have waited.

use std::fmt::Write;

use crate::workload::Scale;
use camshaft_probe::alloc::allocations;
use camshaft_probe::sys;

/// The numbers of one run. A number that a workload does not have is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    /// Operations behind the averages.
    pub(crate) ops: f64,
    /// CPU time per operation, ns.
    pub(crate) cpu_ns: Option<f64>,
    /// Elapsed time per operation, ns.
    pub(crate) wall_ns: Option<f64>,
    /// Allocations per operation.
    pub(crate) allocs: Option<f64>,
    /// Resident bytes per item.
    pub(crate) rss_bytes: Option<f64>,
    /// Median latency, ns.
    pub(crate) p50_ns: Option<f64>,
    /// 99th percentile of the latency, ns.
    pub(crate) p99_ns: Option<f64>,
}

impl Sample {
    /// A sample of memory alone.
    pub(crate) fn resident(ops: u64, bytes: u64) -> Self {
        Self {
            ops: ops as f64,
            rss_bytes: Some(bytes as f64 / ops as f64),
            ..Self::default()
        }
    }

    /// Adds the median and the 99th percentile of `latencies_ns`.
    #[must_use]
    pub(crate) fn with_latencies(mut self, mut latencies_ns: Vec<u64>) -> Self {
        latencies_ns.sort_unstable();
        self.p50_ns = percentile(&latencies_ns, 50);
        self.p99_ns = percentile(&latencies_ns, 99);
        self
    }

    /// One line of JSON: a flat object of numbers.
    pub(crate) fn to_json(&self) -> String {
        let mut line = format!("{{\"ops\":{}", self.ops);
        for (name, value) in self.named() {
            if let Some(value) = value {
                let _ = write!(line, ",\"{name}\":{value:.3}");
            }
        }
        line.push('}');
        line
    }

    /// Reads what [`to_json`](Self::to_json) wrote; `None` for anything else.
    pub(crate) fn from_json(line: &str) -> Option<Self> {
        let mut sample = Self::default();
        for pair in line.trim().strip_prefix('{')?.strip_suffix('}')?.split(',') {
            let (name, value) = pair.split_once(':')?;
            let value: f64 = value.parse().ok()?;
            match name.trim_matches('"') {
                "ops" => sample.ops = value,
                "cpu_ns" => sample.cpu_ns = Some(value),
                "wall_ns" => sample.wall_ns = Some(value),
                "allocs" => sample.allocs = Some(value),
                "rss_bytes" => sample.rss_bytes = Some(value),
                "p50_ns" => sample.p50_ns = Some(value),
                "p99_ns" => sample.p99_ns = Some(value),
                _ => return None,
            }
        }
        Some(sample)
    }

    /// The median of each number over several runs; `None` without runs.
    pub(crate) fn median(runs: &[Self]) -> Option<Self> {
        let of =
            |number: fn(&Self) -> Option<f64>| median(runs.iter().filter_map(number).collect());
        Some(Self {
            ops: of(|run| Some(run.ops))?,
            cpu_ns: of(|run| run.cpu_ns),
            wall_ns: of(|run| run.wall_ns),
            allocs: of(|run| run.allocs),
            rss_bytes: of(|run| run.rss_bytes),
            p50_ns: of(|run| run.p50_ns),
            p99_ns: of(|run| run.p99_ns),
        })
    }

    fn named(&self) -> [(&'static str, Option<f64>); 6] {
        [
            ("cpu_ns", self.cpu_ns),
            ("wall_ns", self.wall_ns),
            ("allocs", self.allocs),
            ("rss_bytes", self.rss_bytes),
            ("p50_ns", self.p50_ns),
            ("p99_ns", self.p99_ns),
        ]
    }
}

/// A window over this process.
#[derive(Debug)]
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

    /// Whether the window has been open for as long as `scale` says.
    pub(crate) fn is_over(&self, scale: Scale) -> bool {
        u128::from(sys::now_ns() - self.wall) >= scale.window.as_nanos()
    }

    /// Closes the window, in which `ops` operations were done.
    pub(crate) fn stop(&self, ops: u64) -> Sample {
        let cpu = sys::own_cpu_ns() - self.cpu;
        let (wall, allocs) = (sys::now_ns() - self.wall, allocations() - self.allocations);
        Sample {
            ops: ops as f64,
            cpu_ns: Some(cpu as f64 / ops as f64),
            wall_ns: Some(wall as f64 / ops as f64),
            allocs: Some(allocs as f64 / ops as f64),
            ..Sample::default()
        }
    }
}

fn percentile(sorted: &[u64], percent: usize) -> Option<f64> {
    sorted
        .get(sorted.len() * percent / 100)
        .map(|&value| value as f64)
}

/// The middle of `values`, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (half, odd) = (values.len() / 2, values.len() % 2);
    let upper = *values.get(half)?;
    Some(if odd == 1 {
        upper
    } else {
        f64::midpoint(upper, values[half - 1])
    })
}

/// Half the distance between the quartiles of `values`, relative to their median; `None` below four values.
pub(crate) fn spread(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len() / 4, values.len() * 3 / 4);
    let width = *values.get(high)? - values[low];
    (values.len() >= 4)
        .then_some(width / 2.0)
        .zip(median(values))
        .map(|(half, median)| half / median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_survives_json() {
        let sample = Sample {
            ops: 7.0,
            cpu_ns: Some(1.5),
            p99_ns: Some(12.25),
            ..Sample::default()
        };
        assert_eq!(Sample::from_json(&sample.to_json()), Some(sample));
        assert_eq!(Sample::from_json("thread panicked"), None);
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn the_spread_leaves_outliers_out() {
        assert_eq!(spread(vec![9.0, 10.0, 11.0, 10.0, 1000.0]), Some(0.05));
        assert_eq!(spread(vec![1.0, 2.0]), None);
    }
}
