//! The prime sieve: a chain of fibers, one for each prime, that pass on what their prime does not divide.
//!
//! Run it with `cargo run --release --features stackful --example prime_sieve -- 1000`; the argument says how many primes.
//! Each number goes through a channel and a fiber for each prime before it, as in the classic programs of communicating
//! processes:
//!
//! ```text
//! prime 1000 is 7919; 976518 messages in 0.06 s, 62 ns each; 1001 stacks hold 3.9 MiB
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use camshaft::fiber;

/// A channel with room for a few numbers. On one thread it needs no lock.
#[derive(Default)]
struct Channel {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    numbers: VecDeque<u64>,
    /// Whoever waits: the receiver if it is empty, the sender if it is full.
    waiting: Option<Waker>,
    sent: u64,
}

impl Channel {
    const ROOM: usize = 16;

    fn send(&self, number: u64) {
        fiber::wait(poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            if state.numbers.len() == Self::ROOM {
                state.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
            state.numbers.push_back(number);
            state.sent += 1;
            wake(state.waiting.take());
            Poll::Ready(())
        }));
    }

    fn receive(&self) -> u64 {
        fiber::wait(poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            let Some(number) = state.numbers.pop_front() else {
                state.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            };
            wake(state.waiting.take());
            Poll::Ready(number)
        }))
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Starts a fiber that passes on what `prime` does not divide.
fn filter(prime: u64, from: Rc<Channel>) -> Rc<Channel> {
    let to = Rc::new(Channel::default());
    let passed = to.clone();
    drop(fiber::spawn(move || {
        loop {
            let number = from.receive();
            if !number.is_multiple_of(prime) {
                passed.send(number);
            }
        }
    }));
    to
}

#[camshaft::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let wanted: usize = std::env::args().nth(1).map_or(Ok(1000), |n| n.parse())?;
    let start = Instant::now();
    let sieve = fiber::spawn(move || {
        let first = Rc::new(Channel::default());
        let numbers = first.clone();
        drop(fiber::spawn(move || {
            for number in 2.. {
                numbers.send(number);
            }
        }));
        let mut channels = vec![first];
        let mut prime = 0;
        for last in 0..wanted {
            prime = channels[last].receive();
            channels.push(filter(prime, channels[last].clone()));
        }
        let messages: u64 = channels.iter().map(|it| it.state.borrow().sent).sum();
        (prime, messages)
    });
    let (prime, messages) = sieve.await?;
    let seconds = start.elapsed().as_secs_f64();
    let census = fiber::census();
    println!(
        "prime {wanted} is {prime}; {messages} messages in {seconds:.2} s, {:.0} ns each; {} stacks hold {:.1} MiB",
        seconds / messages as f64 * 1e9,
        census.live,
        census.resident as f64 / f64::from(1 << 20),
    );
    Ok(())
}
