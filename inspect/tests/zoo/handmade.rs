//! Futures written by hand.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::mem::MaybeUninit;
use std::num::NonZeroU8;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::common::{is_described, show, zoo};

async fn leaf() -> u64 {
    pending::<u64>().await // @leaf
}

async fn other(number: u64) -> u64 {
    number + leaf().await // @other
}

struct Waits(u32);

impl Future for Waits {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        assert!(self.0 > 0);
        Poll::Pending
    }
}

zoo!(a_leaf, Waits(1), "Waits");
zoo!(
    a_leaf_that_is_awaited,
    async { Waits(1).await }, // @leaf_awaited
    "{async block}@leaf_awaited(Waits)"
);

pin_project! {
    struct Timed<F> {
        limit: u64,
        #[pin]
        future: F,
        #[pin]
        sleep: Waits,
    }
}

impl<F: Future> Future for Timed<F> {
    type Output = Result<F::Output, u64>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(context) {
            return Poll::Ready(Ok(output));
        }
        this.sleep.poll(context).map(|()| Err(*this.limit))
    }
}

fn timed<F>(future: F) -> Timed<F> {
    Timed {
        limit: 3,
        future,
        sleep: Waits(1),
    }
}

zoo!(
    a_projected_struct,
    timed(leaf()),
    "Timed(~leaf@leaf(Pending), ~Waits)"
);
zoo!(
    projected_structs_in_each_other,
    async { timed(timed(other(1))).await }, // @timed
    "{async block}@timed(Timed(~Timed(~other@other(leaf@leaf(Pending)), ~Waits), ~Waits))"
);

pin_project! {
    #[project = StepsProjected]
    enum Steps<A, B> {
        First { #[pin] future: A },
        Second { #[pin] future: B, number: u64 },
        Over,
    }
}

impl<A: Future, B: Future> Future for Steps<A, B> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.project() {
            StepsProjected::First { future } => future.poll(context).map(drop),
            StepsProjected::Second { future, number } => {
                *number += 1;
                future.poll(context).map(drop)
            }
            StepsProjected::Over => Poll::Pending,
        }
    }
}

type Both = Steps<Pin<Box<dyn Future<Output = u64>>>, Waits>;

zoo!(
    first_variant,
    Both::First {
        future: Box::pin(leaf())
    },
    "Steps::First(~leaf@leaf(Pending))"
);
zoo!(
    second_variant,
    Both::Second {
        future: Waits(1),
        number: 3
    },
    "Steps::Second(~Waits)"
);
zoo!(third_variant, Both::Over, "Steps::Over");

/// A future in a slot, which may be empty, so that the tag is a value that something in it never has.
struct Slot<F>(Option<(NonZeroU8, Pin<Box<F>>)>);

impl<F: Future> Future for Slot<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some((_, future)) => future.as_mut().poll(context).map(drop),
            None => Poll::Pending,
        }
    }
}

zoo!(
    a_full_slot,
    Slot(Some((NonZeroU8::MIN, Box::pin(leaf())))),
    "Slot(~leaf@leaf(Pending))"
);
zoo!(an_empty_slot, Slot::<Waits>(None), "Slot");

/// Two levels of niches: which variant it is shows in the tag of a coroutine or of a vector.
enum Niche<F> {
    Future(Pin<Box<F>>),
    Numbers(Vec<u64>),
    Nothing,
}

impl<F: Future> Future for Niche<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self {
            Self::Future(future) => future.as_mut().poll(context).map(drop),
            Self::Numbers(numbers) => {
                numbers.push(1);
                Poll::Pending
            }
            Self::Nothing => Poll::Pending,
        }
    }
}

type Niches = Niche<Option<Pin<Box<dyn Future<Output = u64>>>>>;
type Filled<F> = Niche<F>;

zoo!(
    a_niche_with_a_future,
    Filled::Future(Box::pin(other(1))),
    "Niche::Future(~other@other(leaf@leaf(Pending)))"
);
zoo!(
    a_niche_with_numbers,
    Niche::<Waits>::Numbers(vec![1]),
    "Niche::Numbers"
);
zoo!(
    a_niche_with_nothing,
    Niche::<Waits>::Nothing,
    "Niche::Nothing"
);

#[test]
fn an_option_in_an_option() {
    if !is_described() {
        return;
    }
    let mut slot: Option<Niches> = None;
    let future = poll_fn(move |_| {
        slot.get_or_insert(Niche::Nothing);
        Poll::<()>::Pending
    });
    assert!(size_of::<Option<Niches>>() > 0 || matches!(None::<Niches>, Some(Niche::Future(_))));
    assert!(show(1, future).starts_with("PollFn"));
}

/// Many futures in an array, a vector, a slice and a ring.
struct All<C>(C);

impl<C: Unpin> Future for All<C>
where
    for<'a> &'a mut C: IntoIterator<Item = &'a mut Pin<Box<dyn Future<Output = u64>>>>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for future in &mut self.0 {
            let _ = future.as_mut().poll(context);
        }
        Poll::Pending
    }
}

fn object(number: u64) -> Pin<Box<dyn Future<Output = u64>>> {
    match number {
        0 => Box::pin(leaf()),
        _ => Box::pin(other(number)),
    }
}

const TWO: &str = "All(~leaf@leaf(Pending), ~other@other(leaf@leaf(Pending)))";

zoo!(an_array, All([object(0), object(1)]), TWO);
zoo!(a_vector, All(vec![object(0), object(1)]), TWO);
zoo!(a_vector_without_elements, All(Vec::new()), "All");
zoo!(
    a_boxed_slice,
    All(vec![object(0), object(1)].into_boxed_slice()),
    TWO
);

#[test]
fn a_ring_that_is_wrapped() {
    if !is_described() {
        return;
    }
    let mut ring = VecDeque::with_capacity(4);
    for _ in 0..3 {
        ring.push_back(object(1));
    }
    while ring.len() > 1 {
        ring.pop_front();
    }
    while ring.len() < ring.capacity() {
        ring.push_back(object(0));
    }
    let text = show(1, All(ring));
    let rest = ["~leaf@leaf(Pending)"; 3].join(", ");
    assert_eq!(
        text,
        format!("All(~other@other(leaf@leaf(Pending)), {rest})")
    );
}

/// A future without a `poll` of its own that is polled through a closure.
async fn through_poll_fn() {
    let mut future = std::pin::pin!(other(1));
    let mut count = 0;
    poll_fn(|context| {
        count += 1;
        future.as_mut().poll(context)
    })
    .await; // @through_poll_fn
}

zoo!(
    a_closure_that_polls,
    through_poll_fn(),
    "through_poll_fn@through_poll_fn(PollFn(~other@other(leaf@leaf(Pending))))"
);

async fn owned_by_poll_fn() {
    let mut future = Box::pin(other(1));
    poll_fn(move |context| future.as_mut().poll(context)).await; // @owned_by_poll_fn
}

zoo!(
    a_closure_that_owns,
    owned_by_poll_fn(),
    "owned_by_poll_fn@owned_by_poll_fn(PollFn(~other@other(leaf@leaf(Pending))))"
);

/// A future in a cell, as executors keep them.
struct Celled<F>(UnsafeCell<Option<F>>);

impl<F: Future> Future for Celled<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // SAFETY: nothing is moved, and it is borrowed here alone.
        let slot = unsafe { self.map_unchecked_mut(|this| this.0.get_mut()) };
        slot.as_pin_mut()
            .map_or(Poll::Pending, |future| future.poll(context).map(drop))
    }
}

zoo!(
    a_future_in_a_cell,
    Celled(UnsafeCell::new(Some(leaf()))),
    "Celled(~leaf@leaf(Pending))"
);

#[derive(Clone, Copy)]
struct Converts;

impl IntoFuture for Converts {
    type Output = u64;
    type IntoFuture = Pin<Box<dyn Future<Output = u64>>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(leaf())
    }
}

zoo!(
    what_is_made_a_future,
    async { Converts.await }, // @converts
    "{async block}@converts(leaf@leaf(Pending))"
);

struct Unsure<F>(MaybeUninit<Pin<Box<F>>>);

impl<F: Future> Future for Unsure<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: whoever makes one has put a future into it.
        let future = unsafe { self.0.assume_init_mut() };
        future.as_mut().poll(context)
    }
}

zoo!(
    a_union,
    Unsure(MaybeUninit::new(Box::pin(leaf()))),
    "Unsure(~MaybeUninit?)"
);
zoo!(
    a_union_of_no_futures,
    async { (Waits(1).await, MaybeUninit::<u8>::uninit()) }, // @no_futures
    "{async block}@no_futures(Waits)"
);
