//! Runs one path of the executor over and over, so that callgrind can count its instructions per operation.
//!
//! ```text
//! cargo run --release --example executor_instructions                      every path, nanoseconds each
//! cargo build --release --example executor_instructions
//! valgrind --tool=callgrind target/release/examples/executor_instructions spawn_join 100000
//! ```
//!
//! Run a path with two counts and divide the difference: start-up then cancels out.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use camshaft_executor::{block_on, spawn, yield_now};

/// A path: its name, and what runs it so many times.
type Path = (&'static str, fn(usize));

const PATHS: [Path; 7] = [
    ("bare_queue", bare_queue),
    ("spawn_join", spawn_join),
    ("yield_1", |count| yields(1, count)),
    ("yield_1000", |count| yields(1000, count)),
    ("yield_50000", |count| yields(50_000, count)),
    ("ping_pong", ping_pong),
    ("await_chain_32", await_chain),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let wanted = arguments.next();
    let count = arguments
        .next()
        .map_or(Ok(10_000_000), |text| text.parse())?;
    for (name, run) in PATHS {
        if wanted.as_deref().is_none_or(|wanted| wanted == name) {
            let start = Instant::now();
            run(count);
            let each = start.elapsed().as_secs_f64() * 1e9 / count as f64;
            println!("{name:16} {each:8.2} ns");
        }
    }
    Ok(())
}

/// The floor: pop a boxed closure's place from a queue, call it, push it back.
fn bare_queue(count: usize) {
    let calls = Cell::new(0usize);
    let call: Box<dyn Fn()> = Box::new(|| calls.set(calls.get() + 1));
    let mut queue: VecDeque<&dyn Fn()> = VecDeque::from([&*call]);
    for _ in 0..count {
        let Some(next) = std::hint::black_box(&mut queue).pop_front() else {
            return;
        };
        next();
        queue.push_back(next);
    }
}

fn spawn_join(count: usize) {
    block_on(async {
        for number in 0..count {
            let joined = spawn(async move { number }).await;
            std::hint::black_box(joined).ok();
        }
    });
}

fn yields(tasks: usize, count: usize) {
    block_on(async {
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                spawn(async move {
                    for _ in 0..count / tasks {
                        yield_now().await;
                    }
                })
            })
            .collect();
        for handle in handles {
            handle.await.ok();
        }
    });
}

/// A cell for one value and one waiter.
#[derive(Default)]
struct Slot {
    full: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    fn put(&self) {
        self.full.set(true);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    async fn take(&self) {
        poll_fn(|cx| {
            if self.full.replace(false) {
                return Poll::Ready(());
            }
            let mut waker = self.waker.borrow_mut();
            match &mut *waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *waker = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }
}

fn ping_pong(count: usize) {
    block_on(async {
        let (there, back) = (Rc::new(Slot::default()), Rc::new(Slot::default()));
        let (hear, answer) = (Rc::clone(&there), Rc::clone(&back));
        let other = spawn(async move {
            for _ in 0..count {
                hear.take().await;
                answer.put();
            }
        });
        for _ in 0..count {
            there.put();
            back.take().await;
        }
        other.await.ok();
    });
}

macro_rules! chain {
    ($inner:expr) => { $inner };
    ($inner:expr, $_:tt $($rest:tt)*) => { chain!(async { $inner.await }, $($rest)*) };
    ($inner:expr,) => { $inner };
}

fn await_chain(count: usize) {
    block_on(async {
        let chain = chain!(
            async {
                for _ in 0..count {
                    yield_now().await;
                }
            },
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
        );
        chain.await;
    });
}
