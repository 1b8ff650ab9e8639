//! Two sides that exchange a ball over two channels with room for one: a switch for each message.

use std::io;

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::langs::{self, Cores};
use crate::measure::{Meter, Metric, Sample, try_repeat};
use crate::models::process;
use crate::models::written::{
    Role, fiber as on_fibers, in_models, native as on_native, thread as on_threads,
};
use crate::peers::{self, Camshaft, Runtime, with_peers};

/// Round trips between two looks at the clock.
const BATCH: u64 = 64;

/// Round trips before a pair is ready.
const WARM: u64 = 2;

/// How often somebody played, and the clock of the one who has it.
type Tally = (u64, Option<Meter>);

pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "ping_pong",
    workload: 9,
    title: "Channels: ping-pong",
    question: "What does it cost to hand a message to somebody who waits for it, and to wait for the answer?",
    operation: "a round trip of a ball between two sides: two messages, two switches",
    axis: Axis {
        label: "pairs",
        smoke: &[1, 100],
        quick: &[1, 100, 10_000],
        full: &[1, 10, 100, 1000, 10_000, 100_000],
    },
    metric: Metric::Cpu,
    also: &[Metric::Wall, Metric::Allocations],
    expectations: &[
        Expectation::ratio(
            "A fiber pays two switches of stacks more for a message than a task, beside the same channel.",
            Metric::Cpu,
            "fibers",
            "tasks",
            Some(1),
            (1.1, 2.0),
        ),
        Expectation::ratio(
            "With 20,000 of them, the stack of each is out of the cache when its turn comes.",
            Metric::Cpu,
            "fibers",
            "tasks",
            Some(10_000),
            (1.5, 4.0),
        ),
        Expectation::ratio(
            "Between threads on one core the kernel switches: microseconds instead of tens of nanoseconds.",
            Metric::Cpu,
            "threads, one core",
            "tasks",
            Some(1),
            (20.0, 100.0),
        ),
        Expectation::ratio(
            "A second core makes it worse: it has to be woken from its sleep.",
            Metric::Wall,
            "threads, all cores",
            "threads, one core",
            Some(1),
            (1.2, 10.0),
        ),
        Expectation::ratio(
            "Goroutines lock their channels, and are parked by a scheduler made for many threads.",
            Metric::Cpu,
            "Go, one core",
            "fibers",
            Some(1),
            (1.5, 6.0),
        ),
    ],
    control: "tasks",
    subjects: with_peers![tasks;
        Subject::new("tasks", Model::Task, tasks::<Camshaft>),
        Subject::new("fibers", Model::Fiber, |setting| {
            on_fibers::run_crowd(2 * setting.at, move || fiber::ping_pong(setting))
        }),
        Subject::new("native fibers", Model::Native, |setting| {
            on_native::run_crowd(2 * setting.at, move || native::ping_pong(setting))
        }),
        Subject::new("threads, all cores", Model::Thread, |setting| {
            on_threads::run(|| thread::ping_pong(setting))
        })
        .up_to(1000, "2 threads a pair: the system has room for some thousands"),
        Subject::new("threads, one core", Model::Thread, |setting| {
            on_threads::run_on_one_core(|| thread::ping_pong(setting))
        })
        .up_to(1000, "2 threads a pair: the system has room for some thousands"),
        Subject::new("processes, pipes", Model::Process, process_ping_pong)
            .up_to(1, "one pair shows what a pipe costs"),
        peers::may!(may::ping_pong),
        Subject::new("Go, all cores", Model::Language, |setting| {
            langs::go("ping-pong", setting, Cores::All)
        }),
        Subject::new("Go, one core", Model::Language, |setting| {
            langs::go("ping-pong", setting, Cores::One)
        }),
    ],
};

fn tasks<R: Runtime>(setting: Setting) -> anyhow::Result<Outcome> {
    peers::run::<R, _>(task::ping_pong::<R>(setting))
}

in_models! { [task, fiber, native, thread, #[cfg(feature = "may")] may] {
    /// Returns every ball.
    fn pong(balls: Receiver<u64>, back: Sender<u64>) {
        while let Some(ball) = wait!(balls.receive()) {
            wait!(back.send(ball));
        }
    }

    /// Sends balls and awaits them until it is over, and tells how often. One has the clock, and begins when all play.
    fn ping(setting: Setting, begun: Flag, over: Flag, role: Role<Receiver<()>, Sender<()>>, result: Sender<Tally>) {
        let (there, balls) = channel(1);
        let (back, here) = channel(1);
        start!(pong(balls, back));
        for ball in 0..WARM {
            wait!(there.send(ball));
            wait!(here.receive());
        }
        let meter = match role {
            Role::Clock(others) => {
                for _ in 1..setting.at {
                    wait!(others.receive());
                }
                let meter = Meter::start();
                begun.raise();
                Some(meter)
            }
            Role::Other(ready) => {
                wait!(ready.send(()));
                while !begun.is_raised() {
                    wait!(there.send(0));
                    wait!(here.receive());
                }
                None
            }
        };
        let every = if setting.at < BATCH { BATCH } else { 1 };
        let mut count = 0;
        while !over.is_raised() {
            wait!(there.send(count));
            wait!(here.receive());
            count += 1;
            if count % every == 0 && meter.is_some_and(|meter| meter.is_over(setting)) {
                over.raise();
            }
        }
        wait!(result.send((count, meter)));
    }

    /// Lets all pairs play.
    fn ping_pong(setting: Setting) -> Sample {
        let (begun, over) = (Flag::default(), Flag::default());
        let (sender, results) = channel(setting.count());
        let (ready, others) = channel(setting.count());
        let mut others = Some(others);
        for _ in 0..setting.at {
            let (begun, over, sender) = (begun.clone(), over.clone(), sender.clone());
            let role = others.take().map_or_else(|| Role::Other(ready.clone()), Role::Clock);
            start!(ping(setting, begun, over, role, sender));
        }
        drop(sender);
        let (mut total, mut meter) = (0, None);
        while let Some((count, clock)) = wait!(results.receive()) {
            total += count;
            meter = meter.or(clock);
        }
        meter.expect("the first pair has the clock").stop(total)
    }
} }

fn process_ping_pong(setting: Setting) -> anyhow::Result<Outcome> {
    let (mut here, mut there) = (process::pipe()?, process::pipe()?);
    let other = process::fork(
        || {
            while there.receive().is_ok_and(|ball| here.send(ball).is_ok()) {}
        },
    )?;
    let sample = try_repeat::<io::Error>(setting, || {
        for ball in 0..BATCH {
            there.send(ball)?;
            here.receive()?;
        }
        Ok(BATCH)
    });
    drop(other);
    Ok(process::with_children(sample?).into())
}
