//! The rungs with a scheduler: each gives way, and the next in the queue has its turn.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use camshaft::fiber;
use camshaft::runtime::Builder;
use camshaft::task::yield_now;

use crate::experiment::{Outcome, Setting};
use crate::measure::{Meter, Sample};
use crate::models::native;
use crate::models::order::Order;
use crate::models::room;
use crate::models::stacks::Stacks;
use crate::models::switch::Switch;
use crate::models::switch::bare::Bare;
use crate::twice::twice;

/// Turns between two looks at the clock, or one of each if there are more.
const TURNS: u64 = 1000;

/// Where all wait at first, so that they can be let go in any order.
type Gate = Rc<RefCell<Vec<Waker>>>;

/// Pending once: at the gate.
async fn pass(gate: Gate) {
    let mut is_known = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_known, true) {
            return Poll::Ready(());
        }
        gate.borrow_mut().push(context.waker().clone());
        Poll::Pending
    })
    .await;
}

fn open(gate: &Gate, order: Order) {
    let waiting = gate.take();
    order.arrange(waiting).into_iter().for_each(Waker::wake);
}

twice! {
    /// Does something and gives way, for ever.
    fn give_way[W: FnMut()](gate: Gate, mut work: W) {
        wait!(pass(gate));
        loop {
            work();
            wait!(yield_now());
        }
    }
}

twice! {
    /// Measures the turns of all, of which it is one. The others wait at the gate.
    fn measure[W: FnMut()](setting: Setting, gate: Gate, order: Order, mut work: W) -> Sample {
        open(&gate, order);
        wait!(yield_now());
        wait!(yield_now());
        let rounds = TURNS.div_ceil(setting.at);
        let meter = Meter::start();
        let mut turns = 0;
        loop {
            for _ in 0..rounds {
                work();
                wait!(yield_now());
            }
            turns += rounds * setting.at;
            if meter.is_over(setting) {
                return meter.stop(turns);
            }
        }
    }
}

/// Tasks.
pub(super) fn tasks(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
    let gate = Gate::default();
    let sample = Builder::new().build()?.block_on(async {
        for _ in 1..setting.at {
            drop(camshaft::spawn(give_way::task(gate.clone(), || {})));
        }
        camshaft::spawn(measure::task(setting, gate, order, || {})).await
    })?;
    Ok(sample.into())
}

/// Fibers on the same executor.
pub(super) fn fibers(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
    if let Some(why) = room::lacks(setting.at, room::STACK) {
        return Ok(why);
    }
    let gate = Gate::default();
    let sample = Builder::new().build()?.block_on(async {
        for _ in 1..setting.at {
            let gate = gate.clone();
            drop(fiber::spawn(|| give_way::fiber(gate, || {})));
        }
        fiber::spawn(move || measure::fiber(setting, gate, order, || {})).await
    })?;
    Ok(sample.into())
}

/// Tasks that switch into a coroutine of their own and back at each turn: what a fiber cannot do without.
pub(super) fn tasks_that_switch(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
    if let Some(why) = room::lacks(setting.at, room::STACK) {
        return Ok(why);
    }
    let gate = Gate::default();
    let mut stacks = Stacks::new();
    let sample = Builder::new().build()?.block_on(async {
        for _ in 1..setting.at {
            let mut bare = Bare::idle(&mut stacks)?;
            let work = move || bare.turn();
            drop(camshaft::spawn(give_way::task(gate.clone(), work)));
        }
        let mut bare = Bare::idle(&mut stacks)?;
        let measuring = measure::task(setting, gate, order, move || bare.turn());
        Ok::<_, anyhow::Error>(camshaft::spawn(measuring).await?)
    })?;
    Ok(sample.into())
}

/// Fibers under the scheduler without futures.
pub(super) fn natives(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
    if let Some(why) = room::lacks(setting.at, room::STACK) {
        return Ok(why);
    }
    let sample = native::run(Rc::new(native::Nothing), move || {
        let others = (1..setting.at).map(|_| {
            native::spawn(|| {
                native::park();
                loop {
                    native::yield_now();
                }
            })
        });
        let others: Vec<native::Fiber> = others.collect();
        native::yield_now();
        let others = order.arrange(others);
        others.iter().for_each(native::Fiber::unpark);
        native::yield_now();
        native::yield_now();
        let rounds = TURNS.div_ceil(setting.at);
        let meter = Meter::start();
        let mut turns = 0;
        loop {
            for _ in 0..rounds {
                native::yield_now();
            }
            turns += rounds * setting.at;
            if meter.is_over(setting) {
                return meter.stop(turns);
            }
        }
    })?;
    Ok(sample.into())
}
