//! Workload 10: what it costs to count together.
//!
//! Who shares with nobody needs no protection: this is what tasks and fibers on one thread have. An atomic addition is one
//! locked instruction; a loop of compare-and-swap reads, computes, and tries again if somebody was faster; a mutex does the
//! same once for the lock, and may sleep.

use std::cell::Cell;
use std::hint::{black_box, spin_loop};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use camshaft_probe::sys;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::measure::{Meter, Metric, Sample, repeat};
use crate::models::process;
use crate::models::shared::{self, Locked, Race};
use crate::models::written::{fiber as on_fibers, in_models};
use crate::peers::{self, Camshaft};

/// Additions between two looks at the clock.
const BATCH: u64 = 10_000;

pub(crate) const EXPERIMENTS: &[Experiment] = &[Experiment {
    name: "counters",
    workload: 10,
    title: "Shared counters",
    question: "What does it cost to add one to a counter that others add to as well? \
               (Each on a core of its own, or all on one core; between threads, processes and tasks.)",
    operation: "an addition, by whoever: the time over the additions of all",
    axis: Axis {
        label: "who add without pause",
        smoke: &[1, 2],
        quick: &[1, 2],
        full: &[1, 2],
    },
    metric: Metric::Wall,
    also: &[Metric::Cpu],
    expectations: &[
        Expectation::ratio(
            "A mutex that nobody else wants is two locked instructions instead of one.",
            Metric::Wall,
            "Mutex",
            "fetch_add",
            Some(1),
            (1.5, 3.0),
        ),
        Expectation::ratio(
            "Between two cores the cache line travels, and a loop of compare-and-swap loses to fetch_add.",
            Metric::Wall,
            "compare_exchange",
            "fetch_add",
            Some(2),
            (1.2, 10.0),
        ),
        Expectation::ratio(
            "A mutex between two cores has its own line travel, and sleeps besides: compare-and-swap is far ahead.",
            Metric::Wall,
            "Mutex",
            "compare_exchange",
            Some(2),
            (2.0, 20.0),
        ),
        Expectation::ratio(
            "A second core makes a shared counter slower, not faster.",
            Metric::Wall,
            "fetch_add",
            "fetch_add, one core",
            Some(2),
            (1.5, 20.0),
        ),
        Expectation::ratio(
            "On one core a thread is rarely interrupted while it holds the lock: a mutex costs what it does alone.",
            Metric::Wall,
            "Mutex, one core",
            "fetch_add, one core",
            Some(2),
            (1.5, 3.0),
        ),
        Expectation::ratio(
            "A cache line does not know whether it is shared by threads or by processes.",
            Metric::Wall,
            "fetch_add, processes",
            "fetch_add",
            None,
            (0.8, 1.25),
        ),
        Expectation::scales(
            "A counter for each thread, summed at the end, scales: two take half the time.",
            Metric::Wall,
            "a counter each",
            (1, 2),
            (0.48, 0.6),
        ),
        Expectation::ratio(
            "Tasks that share a thread share a plain cell, whatever their number.",
            Metric::Wall,
            "Cell, tasks",
            "fetch_add",
            Some(2),
            (0.01, 0.2),
        ),
    ],
    control: "fetch_add",
    subjects: &[
        Subject::new("Cell, one thread", Model::Floor, cell)
            .up_to(1, "a Cell has no second thread"),
        Subject::new("Cell, tasks", Model::Task, |setting| {
            peers::run::<Camshaft, _>(task::adders::<Camshaft>(setting))
        }),
        Subject::new("Cell, fibers", Model::Fiber, |setting| {
            on_fibers::run(move || fiber::adders(setting))
        }),
        Subject::new("fetch_add", Model::Thread, |setting| {
            contend(setting, Cores::Own, &AtomicU64::new(0), add)
        }),
        Subject::new("compare_exchange", Model::Thread, |setting| {
            contend(setting, Cores::Own, &AtomicU64::new(0), add_by_exchange)
        }),
        Subject::new("Mutex", Model::Thread, |setting| {
            contend(setting, Cores::Own, &Mutex::new(0), add_under_lock)
        }),
        Subject::new("a counter each", Model::Thread, a_counter_each),
        Subject::new("fetch_add, one core", Model::Thread, |setting| {
            contend(setting, Cores::Same, &AtomicU64::new(0), add)
        }),
        Subject::new("compare_exchange, one core", Model::Thread, |setting| {
            contend(setting, Cores::Same, &AtomicU64::new(0), add_by_exchange)
        }),
        Subject::new("Mutex, one core", Model::Thread, |setting| {
            contend(setting, Cores::Same, &Mutex::new(0), add_under_lock)
        }),
        Subject::new("fetch_add, processes", Model::Process, |setting| {
            contend_by_process(setting, shared::map::<AtomicU64>()?, add)
        }),
        Subject::new("pthread mutex, processes", Model::Process, |setting| {
            let counter = shared::map::<Locked>()?;
            counter.share()?;
            contend_by_process(setting, counter, Locked::add)
        }),
    ],
}];

fn cell(setting: Setting) -> anyhow::Result<Outcome> {
    let counter = Cell::new(0_u64);
    let sample = repeat(setting, || {
        add_often(&counter);
        BATCH
    });
    Ok(sample.into())
}

fn add_often(counter: &Cell<u64>) {
    for _ in 0..BATCH {
        black_box(counter).set(counter.get() + 1);
    }
}

in_models! { [task, fiber] {
    /// Adds, and lets the others add.
    fn adder(counter: Rc<Cell<u64>>, over: Flag, done: Sender<()>) {
        while !over.is_raised() {
            add_often(&counter);
            give_way!();
        }
        wait!(done.send(()));
    }

    /// All adders share a cell and a thread; the one that runs this looks at the clock.
    fn adders(setting: Setting) -> Sample {
        let (counter, over) = (Rc::new(Cell::new(0)), Flag::default());
        let (sender, done) = channel(setting.count());
        let meter = Meter::start();
        for _ in 0..setting.at {
            let (counter, over, sender) = (Rc::clone(&counter), over.clone(), sender.clone());
            start!(adder(counter, over, sender));
        }
        // All have added before the clock is looked at.
        loop {
            give_way!();
            if meter.is_over(setting) {
                break;
            }
        }
        over.raise();
        for _ in 0..setting.at {
            wait!(done.receive());
        }
        meter.stop(counter.get())
    }
} }

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn add_by_exchange(counter: &AtomicU64) {
    let mut seen = counter.load(Ordering::Relaxed);
    while let Err(now) =
        counter.compare_exchange_weak(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed)
    {
        seen = now;
    }
}

fn add_under_lock(counter: &Mutex<u64>) {
    *counter
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner()) += 1;
}

/// Far enough apart that no two share a cache line, nor a pair of lines that are fetched together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Own(AtomicU64);

thread_local! {
    static OWN: Own = Own::default();
}

fn a_counter_each(setting: Setting) -> anyhow::Result<Outcome> {
    contend(setting, Cores::Own, &(), |()| {
        OWN.with(|own| {
            let count = own.0.load(Ordering::Relaxed);
            own.0.store(count + 1, Ordering::Relaxed);
        });
    })
}

/// Where those run who add.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cores {
    /// Each on the next core.
    Own,
    /// All on one.
    Same,
}

/// Adds on this thread while others add too.
fn contend<C: Sync>(
    setting: Setting,
    cores: Cores,
    counter: &C,
    add: impl Fn(&C) + Sync,
) -> anyhow::Result<Outcome> {
    let race = Race::default();
    Ok(thread::scope(|scope| {
        let others = (1..setting.count()).map(|other| {
            let (race, add) = (&race, &add);
            scope.spawn(move || {
                if cores == Cores::Own {
                    sys::pin((sys::SERVER_CORE + other) % 2);
                }
                add_until_over(race, counter, add);
            })
        });
        let others: Vec<_> = others.collect();
        lead(setting, &race, counter, &add, || {
            for other in others {
                other.join().expect("additions do not panic");
            }
        })
    })
    .into())
}

/// Adds in this process while others add too.
fn contend_by_process<C>(
    setting: Setting,
    counter: &'static C,
    add: impl Fn(&C),
) -> anyhow::Result<Outcome> {
    let race = shared::map::<Race>()?;
    let mut others = Vec::new();
    for other in 1..setting.count() {
        others.push(process::fork(|| {
            sys::pin((sys::SERVER_CORE + other) % 2);
            add_until_over(race, counter, &add);
        })?);
    }
    let mut ended = Ok(());
    let sample = lead(setting, race, counter, &add, || {
        ended = others.into_iter().try_for_each(process::Child::join);
    });
    ended?;
    Ok(process::with_children(sample).into())
}

/// What one of the others does.
fn add_until_over<C>(race: &Race, counter: &C, add: impl Fn(&C)) {
    race.ready.fetch_add(1, Ordering::Release);
    while !race.begun.load(Ordering::Acquire) {
        spin_loop();
        thread::yield_now();
    }
    let mut count = 0;
    while !race.over.load(Ordering::Relaxed) {
        for _ in 0..BATCH {
            add(black_box(counter));
        }
        count += BATCH;
    }
    race.done.fetch_add(count, Ordering::Release);
}

/// What the one does who looks at the clock.
fn lead<C>(
    setting: Setting,
    race: &Race,
    counter: &C,
    add: impl Fn(&C),
    join: impl FnOnce(),
) -> Sample {
    // They start on this core, and have to be on their own before it is taken.
    while race.ready.load(Ordering::Acquire) + 1 < setting.at {
        thread::yield_now();
    }
    let meter = Meter::start();
    race.begun.store(true, Ordering::Release);
    let mut count = 0;
    loop {
        for _ in 0..BATCH {
            add(black_box(counter));
        }
        count += BATCH;
        if meter.is_over(setting) {
            break;
        }
    }
    race.over.store(true, Ordering::Relaxed);
    join();
    meter.stop(count + race.done.load(Ordering::Acquire))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Scale;

    #[test]
    fn no_addition_is_lost() {
        let setting = Setting {
            at: 2,
            scale: Scale::Smoke,
        };
        let counter = AtomicU64::new(0);
        let outcome = contend(setting, Cores::Own, &counter, add_by_exchange).unwrap();
        let Outcome::Sample(sample) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(sample.ops, counter.into_inner());
    }
}
