//! The prime sieve: a chain of filters, one for each prime, that pass on what their prime does not divide.

use std::mem;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::langs::{self, Cores};
use crate::measure::{Meter, Metric, Sample};
use crate::models::written::{
    fiber as on_fibers, in_models, native as on_native, thread as on_threads,
};
use crate::peers::{self, Camshaft, Runtime, with_peers};

/// Room in each channel.
const ROOM: usize = 16;

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "sieve",
    workload: 9,
    title: "Channels: the prime sieve",
    question: "What does a chain of many small processes cost that grows while it runs?",
    operation: "a message from one filter to the next; the filters are made, and end, within the time",
    axis: Axis {
        label: "primes",
        smoke: &[100],
        quick: &[100, 1000],
        full: &[100, 300, 1000, 3000],
    },
    metric: Metric::Cpu,
    also: &[Metric::Wall, Metric::Allocations],
    expectations: &[
        Expectation::ratio(
            "Sixteen messages share a switch, so that the channel and the division count for more than the model.",
            Metric::Cpu,
            "fibers",
            "tasks",
            None,
            (0.9, 1.4),
        ),
        Expectation::ratio(
            "Threads wait in the kernel.",
            Metric::Cpu,
            "threads, one core",
            "tasks",
            Some(100),
            (10.0, 100.0),
        ),
        Expectation::ratio(
            "Goroutines lock their channels.",
            Metric::Cpu,
            "Go, one core",
            "tasks",
            Some(1000),
            (1.5, 5.0),
        ),
    ],
    control: "tasks",
    subjects: with_peers![tasks;
        Subject::new("tasks", Model::Task, tasks::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run(move || fiber::sieves(setting))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run(move || native::sieves(setting))
        }),
        Subject::new("threads, all cores", Model::Thread, |setting| {
            on_threads::run(|| thread::sieves(setting))
        })
        .up_to(300, "beyond, one sieve takes many seconds"),
        Subject::new("threads, one core", Model::Thread, |setting| {
            on_threads::run_on_one_core(|| thread::sieves(setting))
        })
        .up_to(300, "beyond, one sieve takes many seconds"),
        Subject::new("Go, all cores", Model::Language, |setting| go(setting, Cores::All)),
        Subject::new("Go, one core", Model::Language, |setting| go(setting, Cores::One)),
    ],
};

fn tasks<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::sieves::<R>(setting))
}

fn go(setting: Setting, cores: Cores) -> anyhow::Result<Outcome> {
    let (limit, messages) = plan(setting.count());
    let more = [limit, messages, ROOM as u64].map(|number| number.to_string());
    langs::go_with("sieve", setting, cores, &more)
}

/// The last of so many primes, and the messages of a sieve up to it: each number is sent once, and once more by each
/// filter in front of the one of its smallest factor, or its own.
fn plan(count: usize) -> (u64, u64) {
    let (mut primes, mut messages) = (Vec::new(), 0);
    for number in 2_u64.. {
        let filter = primes.iter().position(|prime| number % prime == 0);
        messages += filter.unwrap_or(primes.len()) as u64 + 1;
        if filter.is_none() {
            primes.push(number);
            if primes.len() == count {
                return (number, messages);
            }
        }
    }
    unreachable!("there is no last prime")
}

in_models! { [task, fiber, native, thread] {
    /// Sends all numbers up to the limit.
    fn count_up(limit: u64, to: Sender<u64>) {
        for number in 2..=limit {
            wait!(to.send(number));
        }
    }

    /// Passes on what its prime does not divide.
    fn filter(prime: u64, from: Receiver<u64>, to: Sender<u64>) {
        while let Some(number) = wait!(from.receive()) {
            if number % prime != 0 {
                wait!(to.send(number));
            }
        }
    }

    /// Counts the primes up to a limit.
    fn sieve(limit: u64) -> usize {
        let (to, mut last) = channel(ROOM);
        start!(count_up(limit, to));
        let mut count = 0;
        while let Some(prime) = wait!(last.receive()) {
            count += 1;
            let (to, next) = channel(ROOM);
            let from = mem::replace(&mut last, next);
            start!(filter(prime, from, to));
        }
        count
    }

    /// Sieves until the window is over.
    fn sieves(setting: Setting) -> Sample {
        let (limit, messages) = plan(setting.count());
        call!(sieve(limit));
        let meter = Meter::start();
        let mut sent = 0;
        while sent == 0 || !meter.is_over(setting) {
            assert_eq!(call!(sieve(limit)), setting.count(), "no prime is lost");
            sent += messages;
        }
        meter.stop(sent)
    }
} }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_by_smallest_factors() {
        // 2: 1, 3: 2, 4: 1, 5: 3.
        assert_eq!(plan(3), (5, 7));
        assert_eq!(plan(100).0, 541);
    }
}
