//! The goals, as checks over the medians.
//!
//! A goal compares one number of camshaft, or of a variant that it names, with the best peer, with a floor, or with a
//! fixed bound. It is judged strictly: the noise that the A/A row shows is not added to the bound.

use crate::measure::Sample;
use crate::workload::Workload;

/// A number of a sample.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Number {
    /// CPU time per operation.
    Cpu,
    /// Elapsed time per operation.
    Wall,
    /// Allocations per operation.
    Allocs,
    /// Resident bytes per item.
    Rss,
    /// Median latency.
    P50,
    /// 99th percentile of the latency.
    P99,
}

impl Number {
    /// All numbers, in the order of the report.
    pub(crate) const ALL: [Self; 6] = [
        Self::Cpu,
        Self::Wall,
        Self::Allocs,
        Self::Rss,
        Self::P50,
        Self::P99,
    ];

    /// The number in `sample`, if it has it.
    pub(crate) fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::Cpu => sample.cpu_ns,
            Self::Wall => sample.wall_ns,
            Self::Allocs => sample.allocs,
            Self::Rss => sample.rss_bytes,
            Self::P50 => sample.p50_ns,
            Self::P99 => sample.p99_ns,
        }
    }

    /// The heading of its column.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU/op",
            Self::Wall => "wall/op",
            Self::Allocs => "allocs/op",
            Self::Rss => "RSS",
            Self::P50 => "p50",
            Self::P99 => "p99",
        }
    }
}

/// What a number is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Against {
    /// The lowest of all peers.
    BestPeer,
    /// One system.
    System(&'static str),
    /// A bound in the unit of the number.
    Bound(f64),
}

/// "`number` of `system` is at most `factor` × what it is compared with."
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    /// Whose number.
    pub(crate) system: &'static str,
    /// Which number.
    pub(crate) number: Number,
    /// The factor.
    pub(crate) factor: f64,
    /// What it is compared with.
    pub(crate) against: Against,
}

/// The number by which the systems of a workload are ranked.
pub(crate) fn ranked_by(workload: Workload) -> Number {
    match workload {
        Workload::SleepingRss | Workload::ParkedRss | Workload::IdleConn => Number::Rss,
        Workload::WakeRemote => Number::P50,
        _ => Number::Cpu,
    }
}

/// The goals of a workload.
pub(crate) fn goals(workload: Workload) -> Vec<Goal> {
    let peer = |number, factor| Goal {
        system: "camshaft",
        number,
        factor,
        against: Against::BestPeer,
    };
    let bound = |number, bound| Goal {
        against: Against::Bound(bound),
        ..peer(number, 1.0)
    };
    let floor = |name, factor| Goal {
        against: Against::System(name),
        ..peer(Number::Cpu, factor)
    };
    let spin = |goal| Goal {
        system: "camshaft-spin",
        ..goal
    };
    match workload {
        // A few allocations of warm-up are spread over the whole run.
        Workload::SpawnJoin => vec![peer(Number::Cpu, 0.6), bound(Number::Allocs, 0.001)],
        Workload::Yield1 | Workload::Yield1000 | Workload::PingPong => {
            vec![peer(Number::Cpu, 0.45)]
        }
        Workload::AwaitChain => vec![peer(Number::Cpu, 0.8)],
        Workload::TimerCancel => vec![peer(Number::Cpu, 0.4)],
        Workload::TimerFire => vec![
            peer(Number::Cpu, 0.5),
            peer(Number::P50, 1.0),
            peer(Number::P99, 1.0),
        ],
        Workload::SleepingRss => vec![peer(Number::Rss, 0.7)],
        Workload::WakeRemote => vec![peer(Number::P50, 1.0), spin(bound(Number::P50, 1000.0))],
        Workload::ParkedRss => vec![bound(Number::Rss, 80.0)],
        Workload::Echo1 => {
            vec![
                peer(Number::Cpu, 1.0),
                spin(peer(Number::Wall, 0.5)),
                spin(peer(Number::Cpu, 1.0)),
            ]
        }
        Workload::Echo64 | Workload::Echo512 | Workload::Echo4000 => {
            vec![floor("ring", 1.03), peer(Number::Cpu, 0.9)]
        }
        Workload::IdleConn => vec![bound(Number::Rss, 1024.0)],
        Workload::EchoBulk | Workload::ConnectClose => vec![peer(Number::Cpu, 1.0)],
        Workload::Hyper => vec![Goal {
            against: Against::System("tokio"),
            ..peer(Number::Cpu, 0.85)
        }],
        Workload::CachedRead1 => vec![floor("calls", 1.1)],
        Workload::CachedRead32 => vec![floor("ring", 1.05)],
        Workload::BufferedWrite => vec![floor("calls", 1.3)],
    }
}
