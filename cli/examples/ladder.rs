//! The state machines that `docs/state-machines.md` goes through, from the smallest up.
//!
//! `cargo run -p camshaft-cli --example ladder` prints the size of each, as `size_of_val` says, and runs it to its end. What is in
//! them, the command shows: `cargo run -p camshaft-cli -- sizes target/debug/examples/ladder`.

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Waits once, as for something from outside.
struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

fn pause() -> Pause {
    Pause(false)
}

async fn add(a: u32, b: u32) -> u32 {
    a + b
}

async fn wait_and_add(a: u32, b: u32) -> u32 {
    pause().await;
    a + b
}

async fn holds_its_buffer() -> usize {
    let buffer = [1u8; 1024];
    let sum = buffer.iter().map(|byte| usize::from(*byte)).sum();
    pause().await;
    sum
}

async fn scopes_its_buffer() -> usize {
    let sum = {
        let buffer = [1u8; 1024];
        buffer.iter().map(|byte| usize::from(*byte)).sum()
    };
    pause().await;
    sum
}

struct Message([u8; 256]);

async fn sends(message: Message) -> u8 {
    pause().await;
    let first = message.0[0];
    pause().await;
    first + message.0[1]
}

async fn sends_boxed(message: Box<Message>) -> u8 {
    pause().await;
    let first = message.0[0];
    pause().await;
    first + message.0[1]
}

async fn one_after_the_other() -> usize {
    let first = holds_its_buffer().await;
    let second = holds_its_buffer().await;
    first + second
}

async fn both_at_once() -> usize {
    let first = pin!(holds_its_buffer());
    let second = pin!(holds_its_buffer());
    first.await + second.await
}

async fn retries(mut attempts: u32) -> Result<u32, String> {
    loop {
        pause().await;
        let answer = check(attempts).await?;
        if answer > 2 {
            return Ok(answer);
        }
        attempts += 1;
    }
}

async fn check(number: u32) -> Result<u32, String> {
    pause().await;
    number.checked_mul(2).ok_or_else(|| "too many".to_owned())
}

fn countdown(number: u32) -> Pin<Box<dyn Future<Output = u32>>> {
    Box::pin(async move {
        if number == 0 {
            return 0;
        }
        pause().await;
        countdown(number - 1).await + 1
    })
}

/// What the compiler makes of `wait_and_add`, written by hand.
enum WaitAndAdd {
    Unresumed { a: u32, b: u32 },
    Suspended { a: u32, b: u32, pause: Pause },
    Returned,
}

impl Future for WaitAndAdd {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u32> {
        loop {
            match &mut *self {
                Self::Unresumed { a, b } => {
                    let (a, b, pause) = (*a, *b, pause());
                    *self = Self::Suspended { a, b, pause };
                }
                Self::Suspended { a, b, pause } => {
                    if Pin::new(pause).poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    let sum = *a + *b;
                    *self = Self::Returned;
                    return Poll::Ready(sum);
                }
                Self::Returned => panic!("`async fn` resumed after completion"),
            }
        }
    }
}

/// Prints the size of a future, and polls it until it is ready.
fn run<F: Future>(name: &str, future: F) {
    println!("{:>6}  {name}", size_of_val(&future));
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    while black_box(future.as_mut()).poll(&mut context).is_pending() {}
}

fn main() {
    run("add", add(1, 2));
    run("wait_and_add", wait_and_add(1, 2));
    run("WaitAndAdd", WaitAndAdd::Unresumed { a: 1, b: 2 });
    run("holds_its_buffer", holds_its_buffer());
    run("scopes_its_buffer", scopes_its_buffer());
    run("sends", sends(Message([1; 256])));
    run("sends_boxed", sends_boxed(Box::new(Message([1; 256]))));
    run("one_after_the_other", one_after_the_other());
    run("both_at_once", both_at_once());
    run("retries", retries(1));
    run("countdown, a pointer", countdown(3));
}
