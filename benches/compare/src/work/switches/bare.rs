//! The rungs without a scheduler: a loop goes to one after the other.

use std::future::poll_fn;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::experiment::{Outcome, Setting};
use crate::measure::repeat;
use crate::models::order::Order;
use crate::models::process;
use crate::models::room;
use crate::models::stacks::Stacks;
use crate::models::switch::{Switch, bare::Bare, handoff};

/// Turns between two looks at the clock, or one of each if there are more.
const TURNS: u64 = 1000;

/// Has each of them its turn, again and again.
fn turns(setting: Setting, order: Order, all: Vec<impl Switch>) -> anyhow::Result<Outcome> {
    let mut all = order.arrange(all);
    let rounds = TURNS.div_ceil(setting.at);
    let sample = repeat(setting, || {
        for _ in 0..rounds {
            all.iter_mut().for_each(Switch::turn);
        }
        rounds * setting.at
    });
    Ok(sample.into())
}

/// Makes as many as there shall be.
fn make<T, E>(setting: Setting, one: impl FnMut() -> Result<T, E>) -> Result<Vec<T>, E> {
    std::iter::repeat_with(one).take(setting.count()).collect()
}

struct Callee(u64);

impl Switch for Callee {
    fn turn(&mut self) {
        self.0 += 1;
    }
}

impl Switch for Box<dyn Switch> {
    #[inline]
    fn turn(&mut self) {
        (**self).turn();
    }
}

/// A call through a pointer, of an object on the heap.
pub(super) fn calls(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
    let one = || Ok::<_, anyhow::Error>(Box::new(Callee(0)) as Box<dyn Switch>);
    turns(setting, order, black_box(make(setting, one)?))
}

/// Pending every other time.
async fn alternate() {
    loop {
        let mut is_ready = false;
        poll_fn(|_| match std::mem::replace(&mut is_ready, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

struct Polled<F: ?Sized>(Pin<Box<F>>);

impl<F: Future<Output = ()> + ?Sized> Switch for Polled<F> {
    #[inline]
    fn turn(&mut self) {
        let poll = self
            .0
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(poll.is_pending());
    }
}

/// A boxed future of unknown type, polled.
pub(super) fn polls(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
    let one = || {
        let boxed: Pin<Box<dyn Future<Output = ()>>> = Box::pin(alternate());
        Ok::<_, anyhow::Error>(Polled(boxed))
    };
    turns(setting, order, make(setting, one)?)
}

/// What [`alternate`] is, by hand. It needs no pinning, so it lies in the table itself.
enum Machine {
    Before,
    After,
}

impl Switch for Machine {
    #[inline]
    fn turn(&mut self) {
        let poll = Pin::new(self).poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(poll.is_pending());
    }
}

impl Future for Machine {
    type Output = ();

    #[inline(never)] // or nothing would be left of it
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        loop {
            match *self {
                Self::Before => {
                    *self = Self::After;
                    return Poll::Pending;
                }
                Self::After => *self = Self::Before,
            }
        }
    }
}

/// A state machine by hand, polled.
pub(super) fn machines(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
    // They lie in a table, so to shuffle them would shuffle the table: those who refer to them are shuffled.
    let mut table = make(setting, || Ok::<_, anyhow::Error>(Machine::Before))?;
    if order == Order::Made {
        return turns(setting, order, table);
    }
    turns(setting, order, table.iter_mut().collect())
}

impl Switch for &mut Machine {
    #[inline]
    fn turn(&mut self) {
        (**self).turn();
    }
}

/// corosensei alone.
pub(super) fn corosensei(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
    on_stacks(setting, order, Bare::idle)
}

fn on_stacks<S: Switch>(
    setting: Setting,
    order: Order,
    mut one: impl FnMut(&mut Stacks) -> std::io::Result<S>,
) -> anyhow::Result<Outcome> {
    if let Some(why) = room::lacks(setting.at, room::STACK) {
        return Ok(why);
    }
    let mut stacks = Stacks::new();
    let all = make(setting, || one(&mut stacks))?;
    turns(setting, order, all)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod own {
    use super::*;
    use crate::models::switch::assembly::{Assembly, Outside, Ring};

    pub(in super::super) fn assembly(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
        let outside = Outside::new();
        on_stacks(setting, order, |stacks| Assembly::new(stacks, outside))
    }

    pub(in super::super) fn ring(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
        if let Some(why) = room::lacks(setting.at, room::STACK) {
            return Ok(why);
        }
        // One alone would have nobody to switch to.
        let mut ring = Ring::new(&mut Stacks::new(), &order.of(setting.count().max(2)))?;
        let count = TURNS.max(setting.at);
        let sample = repeat(setting, || {
            ring.turns(count);
            count
        });
        Ok(sample.into())
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod own {
    use super::*;

    fn none(_: Setting, _: Order) -> anyhow::Result<Outcome> {
        Ok(Outcome::Skipped(
            "written for x86_64 and aarch64 only".into(),
        ))
    }

    pub(in super::super) use {none as assembly, none as ring};
}

pub(super) use own::{assembly, ring};

#[cfg(c_switches)]
mod c {
    use super::*;
    use crate::models::switch::c::{Context, Jumper};

    pub(in super::super) fn setjmp(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
        on_stacks(setting, order, Jumper::new)
    }

    pub(in super::super) fn ucontext(setting: Setting, order: Order) -> anyhow::Result<Outcome> {
        on_stacks(setting, order, Context::new)
    }
}

#[cfg(not(c_switches))]
mod c {
    use super::*;

    fn none(_: Setting, _: Order) -> anyhow::Result<Outcome> {
        Ok(Outcome::Skipped(
            "there was no C compiler with ucontext at build time".into(),
        ))
    }

    pub(in super::super) use {none as setjmp, none as ucontext};
}

pub(super) use c::{setjmp, ucontext};

/// Threads on one core, which wake each other.
pub(super) fn threads(setting: Setting) -> anyhow::Result<Outcome> {
    turns(setting, Order::Made, handoff::threads(setting.count())?)
}

/// Processes on one core, which write to each other.
pub(super) fn processes(setting: Setting) -> anyhow::Result<Outcome> {
    let outcome = turns(setting, Order::Made, handoff::processes(setting.count())?)?;
    Ok(match outcome {
        Outcome::Sample(sample) => process::with_children(sample).into(),
        other => other,
    })
}
