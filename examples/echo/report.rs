//! What came out, as a table or as JSON.

use std::fmt;

use crate::Options;
use crate::load::Measured;
use crate::server::Cost;

/// The result of a run.
pub(crate) struct Report {
    pub(crate) about: String,
    pub(crate) options: Options,
    pub(crate) measured: Measured,
    pub(crate) cost: Cost,
}

impl Report {
    fn seconds(&self) -> f64 {
        self.measured.elapsed as f64 / 1e9
    }

    fn rate(&self) -> f64 {
        self.measured.round_trips as f64 / self.seconds()
    }

    /// A number of the server by round trips: those that the server itself counted in its window.
    fn per_round_trip(&self, total: f64) -> f64 {
        let round_trips = self.cost.bytes as f64 / f64::from(self.options.size);
        total / round_trips.max(1.0)
    }

    fn cpu_micros(&self) -> f64 {
        self.per_round_trip(self.cost.cpu.as_secs_f64() * 1e6)
    }

    fn enters(&self) -> f64 {
        self.per_round_trip(self.cost.enters as f64)
    }

    fn spin(&self) -> String {
        format!("{:?}", self.options.spin).to_lowercase()
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured {
            round_trips,
            p50,
            p99,
            p999,
            max,
            ..
        } = self.measured;
        let micros = |nanos: u64| format!("{:.1} µs", nanos as f64 / 1e3);
        let rows = [
            ("backend", self.about.clone()),
            ("spin", self.spin()),
            ("connections", self.options.connections.to_string()),
            ("message", format!("{} bytes, and back", self.options.size)),
            (
                "round trips",
                format!(
                    "{round_trips} in {:.2} s, every byte compared",
                    self.seconds()
                ),
            ),
            ("rate", format!("{:.0} round trips per second", self.rate())),
            (
                "latency",
                format!(
                    "p50 {}, p99 {}, p99.9 {}, max {}",
                    micros(p50),
                    micros(p99),
                    micros(p999),
                    micros(max)
                ),
            ),
            (
                "server CPU",
                format!("{:.2} µs per round trip", self.cpu_micros()),
            ),
            (
                // On epoll each operation is a call of its own, and these are those that wait.
                if self.about.starts_with("epoll") {
                    "waits"
                } else {
                    "system calls"
                },
                format!("{:.3} per round trip", self.enters()),
            ),
            (
                "allocations",
                format!("{} in all of them", self.cost.allocations),
            ),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:<13} {value}")?;
        }
        Ok(())
    }

    fn json(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured {
            round_trips,
            p50,
            p99,
            p999,
            max,
            ..
        } = self.measured;
        writeln!(f, "{{")?;
        writeln!(f, "  \"backend\": \"{}\",", self.about)?;
        writeln!(f, "  \"spin\": \"{}\",", self.spin())?;
        writeln!(f, "  \"connections\": {},", self.options.connections)?;
        writeln!(f, "  \"size\": {},", self.options.size)?;
        writeln!(f, "  \"seconds\": {:.3},", self.seconds())?;
        writeln!(f, "  \"round_trips\": {round_trips},")?;
        writeln!(f, "  \"round_trips_per_second\": {:.0},", self.rate())?;
        writeln!(
            f,
            "  \"latency_ns\": {{ \"p50\": {p50}, \"p99\": {p99}, \"p99.9\": {p999}, \"max\": {max} }},"
        )?;
        writeln!(
            f,
            "  \"server_cpu_us_per_round_trip\": {:.3},",
            self.cpu_micros()
        )?;
        writeln!(f, "  \"enters_per_round_trip\": {:.4},", self.enters())?;
        writeln!(f, "  \"server_allocations\": {}", self.cost.allocations)?;
        writeln!(f, "}}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.options.json {
            self.json(f)
        } else {
            self.table(f)
        }
    }
}
