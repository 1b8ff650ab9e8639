//! Values from a loop, of which many are alive and take turns.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use camshaft::fiber::Generator;

use super::slot::{Slot, Values};
use crate::experiment::{Outcome, Setting};
use crate::langs::{self, Cores};
use crate::measure::repeat;
use crate::models::room;
use crate::models::stacks::{self, Stacks};
use crate::models::switch::bare::Bare;

/// Values between two looks at the clock, or one of each if there are more.
const VALUES: u64 = 1000;

/// Takes a value of one after the other.
fn take_turns(
    setting: Setting,
    mut all: Vec<impl Iterator<Item = u64>>,
) -> anyhow::Result<Outcome> {
    let rounds = VALUES.div_ceil(setting.at);
    let sample = repeat(setting, || {
        for _ in 0..rounds {
            for one in &mut all {
                black_box(one.next());
            }
        }
        rounds * setting.at
    });
    Ok(sample.into())
}

pub(super) fn closures(setting: Setting) -> anyhow::Result<Outcome> {
    let one = || {
        let mut n = 0;
        let next: Box<dyn FnMut() -> Option<u64>> = Box::new(move || {
            n += 1;
            Some(n)
        });
        std::iter::from_fn(next)
    };
    take_turns(setting, (0..setting.at).map(|_| one()).collect())
}

pub(super) fn by_hand(setting: Setting) -> anyhow::Result<Outcome> {
    struct Numbers(u64);
    impl Iterator for Numbers {
        type Item = u64;

        #[inline(never)] // or the compiler would add once for many
        fn next(&mut self) -> Option<u64> {
            self.0 += 1;
            Some(self.0)
        }
    }
    take_turns(setting, (0..setting.at).map(|_| Numbers(0)).collect())
}

async fn count(out: Rc<Slot<u64>>) {
    for n in 1.. {
        out.give(n).await;
    }
}

pub(super) fn futures(setting: Setting) -> anyhow::Result<Outcome> {
    let all = (0..setting.at).map(|_| Values::new(count));
    take_turns(setting, all.collect())
}

pub(super) fn fibers(setting: Setting) -> anyhow::Result<Outcome> {
    if let Some(why) = room::lacks(setting.at, room::STACK) {
        return Ok(why);
    }
    let all = (0..setting.at).map(|_| {
        Generator::new(|out| {
            for n in 1.. {
                out.give(n);
            }
        })
    });
    take_turns(setting, all.collect())
}

pub(super) fn bare(setting: Setting) -> anyhow::Result<Outcome> {
    struct Numbers(Bare<u64>);
    impl Iterator for Numbers {
        type Item = u64;

        #[inline]
        fn next(&mut self) -> Option<u64> {
            self.0.next()
        }
    }
    if let Some(why) = room::lacks(setting.at, room::STACK) {
        return Ok(why);
    }
    let mut stacks = Stacks::new();
    let all: std::io::Result<Vec<_>> = (0..setting.at)
        .map(|_| {
            let bare = Bare::new(&mut stacks, |out| {
                for n in 1.. {
                    out.suspend(n);
                }
            });
            bare.map(Numbers)
        })
        .collect();
    take_turns(setting, all?)
}

pub(super) fn threads(setting: Setting) -> anyhow::Result<Outcome> {
    let one = |_| {
        let (sender, values) = mpsc::sync_channel(0);
        let count = move || (1..).take_while(|n| sender.send(*n).is_ok()).for_each(drop);
        thread::Builder::new()
            .stack_size(stacks::SIZE)
            .spawn(count)?;
        Ok::<_, std::io::Error>(values.into_iter())
    };
    let all: std::io::Result<Vec<_>> = (0..setting.at).map(one).collect();
    take_turns(setting, all?)
}

pub(super) fn python(setting: Setting) -> anyhow::Result<Outcome> {
    let window = setting.scale.window().as_millis();
    langs::python(&[
        "generator",
        "sequential",
        &setting.at.to_string(),
        &window.to_string(),
    ])
}

pub(super) fn go(setting: Setting) -> anyhow::Result<Outcome> {
    langs::go("generator", setting, Cores::One)
}
