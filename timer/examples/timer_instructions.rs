//! Counts the instructions of one timer operation, which unlike its nanoseconds are the same on every run.
//!
//! Build it, then let callgrind count inside the function `measured` alone:
//!
//! ```text
//! cargo build --release -p camshaft-timer --example timer_instructions
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no '--toggle-collect=*measured*' \
//!     target/release/examples/timer_instructions insert
//! ```
//!
//! The program prints how many operations it carried out; divide callgrind's `Collected` by that number. What it knows, and
//! what came out (rustc 1.95, x86_64, 10,000 live timers in 60 s):
//!
//! | operation | instructions | what is counted |
//! |---|---|---|
//! | `insert` | 180 | arm a timer 1…31 s ahead |
//! | `near` | 157 | arm a timer within the next second |
//! | `cancel` | 115 | cancel a timer |
//! | `later` | 66 | arm a live timer anew for a later time |
//! | `earlier` | 226 | arm a live timer anew for an earlier time |
//! | `next` | 68 | ask for the next deadline |
//! | `idle` | 137 | look for due timers where there are none |
//! | `expire` | 324 | fire a timer, 10 of them in each tick |
//!
//! Arrays have grown to the size they need and random times are drawn before the counting begins.

use std::{error::Error, hint::black_box};

use camshaft_timer::{Key, Wheel};

const SECOND: u64 = 1_000_000_000;
const TICK: u64 = 1 << 20;
const LIVE: usize = 10_000;

type Timers = Wheel<[usize; 2]>;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The one function whose instructions count.
#[inline(never)]
fn measured(timers: &mut Timers, work: &[(Key, u64)], operation: impl Fn(&mut Timers, Key, u64)) {
    for &(key, time) in work {
        operation(timers, key, time);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let operation = std::env::args()
        .nth(1)
        .ok_or("name an operation: see the table at the head of this example")?;
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut timers = Timers::new(0);
    let span = if operation == "expire" {
        LIVE as u64 / 10 * TICK
    } else {
        60 * SECOND
    };
    let mut work: Vec<_> = (0..LIVE)
        .map(|_| {
            let deadline = 1 + random.below(span);
            (timers.insert(deadline, [1, 2]), deadline)
        })
        .collect();
    let mut draw = |time: &dyn Fn(&mut Random, u64) -> u64| {
        for (_, at) in &mut work {
            *at = time(&mut random, *at);
        }
    };
    match operation.as_str() {
        "insert" => draw(&|random, _| SECOND + random.below(30 * SECOND)),
        "near" => draw(&|random, _| random.below(SECOND)),
        "later" => draw(&|random, at| at + random.below(30 * SECOND)),
        "earlier" => draw(&|random, at| random.below(at)),
        "idle" => draw(&|_, _| 0),
        "expire" => draw(&|_, _| span),
        "cancel" | "next" => {}
        _ => return Err("unknown operation".into()),
    }
    if matches!(operation.as_str(), "insert" | "near") {
        let keys: Vec<_> = work
            .iter()
            .map(|&(_, at)| timers.insert(at, [1, 2]))
            .collect();
        for key in keys {
            timers.cancel(key);
        }
    }
    match operation.as_str() {
        "insert" | "near" => measured(&mut timers, &work, |timers, _, at| {
            black_box(timers.insert(at, [1, 2]));
        }),
        "cancel" => measured(&mut timers, &work, |timers, key, _| {
            black_box(timers.cancel(key));
        }),
        "later" | "earlier" => measured(&mut timers, &work, |timers, key, at| {
            black_box(timers.reset(key, at));
        }),
        "next" => measured(&mut timers, &work, |timers, _, _| {
            black_box(black_box(timers).next_deadline());
        }),
        _ => measured(&mut timers, &work, |timers, _, now| {
            black_box(timers.expire_next(now));
        }),
    }
    println!("{} operations, {} timers left", work.len(), timers.len());
    Ok(())
}
