//! A bounded channel for one thread: no lock, no atomic, and nothing of any runtime.
//!
//! The core knows only that whoever waits can be woken: a `Waker` for tasks and fibers, which share the futures here, or
//! the fiber itself where there are no futures. So the models differ in how they wait, never in what they wait for.
//!
//! One receiver, any number of senders. A channel ends for the receiver when all senders are gone and it is empty, and for
//! the senders when the receiver is gone.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Whoever can be woken.
pub(crate) trait Wake {
    /// Lets it go on.
    fn wake(self);
}

impl Wake for Waker {
    fn wake(self) {
        Self::wake(self);
    }
}

/// Makes a channel with room for some items, at least one.
pub(crate) fn channel<T, W: Wake>(room: usize) -> (Sender<T, W>, Receiver<T, W>) {
    let shared = Rc::new(RefCell::new(State {
        items: VecDeque::with_capacity(room),
        room: room.max(1),
        receiver: None,
        waiting: VecDeque::new(),
        tickets: 0,
        senders: 1,
        received: true,
    }));
    (Sender(Rc::clone(&shared)), Receiver(shared))
}

#[derive(Debug)]
struct State<T, W> {
    items: VecDeque<T>,
    room: usize,
    /// Waits for an item.
    receiver: Option<W>,
    /// Wait for room, each with its ticket.
    waiting: VecDeque<(u64, W)>,
    tickets: u64,
    senders: usize,
    /// There is a receiver.
    received: bool,
}

/// The end that sends.
#[derive(Debug)]
pub(crate) struct Sender<T, W: Wake = Waker>(Rc<RefCell<State<T, W>>>);

/// The end that receives.
#[derive(Debug)]
pub(crate) struct Receiver<T, W: Wake = Waker>(Rc<RefCell<State<T, W>>>);

impl<T, W: Wake> Sender<T, W> {
    /// Sends if there is room; else leaves who is to be woken then, and gives the item back.
    ///
    /// `Ok(false)`: nobody will receive it.
    pub(crate) fn try_send(&self, item: T, waiter: impl FnOnce() -> W) -> Result<bool, (T, u64)> {
        let mut state = self.0.borrow_mut();
        if !state.received {
            return Ok(false);
        }
        if state.items.len() < state.room {
            state.items.push_back(item);
            let receiver = state.receiver.take();
            drop(state);
            wake(receiver);
            return Ok(true);
        }
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiting.push_back((ticket, waiter()));
        Err((item, ticket))
    }

    /// Gives up waiting. Who was woken already and does not send passes that on.
    fn give_up(&self, ticket: u64) {
        let mut state = self.0.borrow_mut();
        let place = state.waiting.iter().position(|(other, _)| *other == ticket);
        let left = match place {
            Some(place) => state.waiting.remove(place),
            None => state.waiting.pop_front(),
        };
        drop(state);
        if let (None, Some((_, next))) = (place, left) {
            next.wake();
        }
    }
}

impl<T, W: Wake> Receiver<T, W> {
    /// Receives if there is an item; else leaves who is to be woken by the next one.
    ///
    /// `Some(None)`: none will come any more.
    pub(crate) fn try_receive(&self, waiter: impl FnOnce() -> W) -> Option<Option<T>> {
        let mut state = self.0.borrow_mut();
        if let Some(item) = state.items.pop_front() {
            let sender = state.waiting.pop_front();
            drop(state);
            wake(sender.map(|(_, sender)| sender));
            return Some(Some(item));
        }
        if state.senders == 0 {
            return Some(None);
        }
        let before = state.receiver.replace(waiter());
        drop(state);
        drop(before);
        None
    }
}

/// Called without a borrow: a waker may run anything.
fn wake<W: Wake>(waiter: Option<W>) {
    if let Some(waiter) = waiter {
        waiter.wake();
    }
}

impl<T: Unpin> Sender<T> {
    /// Waits for room and sends; `false` if nobody will receive it.
    pub(crate) fn send(&self, item: T) -> Send<'_, T> {
        Send {
            sender: self,
            item: Some(item),
            ticket: None,
        }
    }
}

impl<T> Receiver<T> {
    /// Waits for an item; `None` if none will come any more.
    pub(crate) fn receive(&self) -> impl Future<Output = Option<T>> {
        poll_fn(|cx| match self.try_receive(|| cx.waker().clone()) {
            Some(item) => Poll::Ready(item),
            None => Poll::Pending,
        })
    }
}

/// Waits for an item of any of these, beginning at another one each time so that none starves; `None` if all have ended.
pub(crate) fn select<T>(
    receivers: &[Receiver<T>],
    turn: &mut usize,
) -> impl Future<Output = Option<T>> {
    poll_fn(
        |cx| match try_select(receivers, turn, || cx.waker().clone()) {
            Some(item) => Poll::Ready(item),
            None => Poll::Pending,
        },
    )
}

/// Receives from one of these if one has an item; else leaves who is to be woken at all of them.
pub(crate) fn try_select<T, W: Wake>(
    receivers: &[Receiver<T, W>],
    turn: &mut usize,
    waiter: impl Fn() -> W,
) -> Option<Option<T>> {
    let mut ended = 0;
    for _ in 0..receivers.len() {
        *turn = (*turn + 1) % receivers.len();
        match receivers[*turn].try_receive(&waiter) {
            Some(Some(item)) => return Some(Some(item)),
            Some(None) => ended += 1,
            None => {}
        }
    }
    (ended == receivers.len()).then_some(None)
}

/// The future of [`Sender::send`].
#[derive(Debug)]
pub(crate) struct Send<'a, T: Unpin> {
    sender: &'a Sender<T>,
    item: Option<T>,
    ticket: Option<u64>,
}

impl<T: Unpin> Future for Send<'_, T> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if let Some(ticket) = self.ticket.take() {
            let mut state = self.sender.0.borrow_mut();
            // A poll that nobody asked for must not leave it waiting twice.
            state.waiting.retain(|(other, _)| *other != ticket);
        }
        let item = self
            .item
            .take()
            .expect("a future is not polled after it was ready");
        match self.sender.try_send(item, || cx.waker().clone()) {
            Ok(sent) => Poll::Ready(sent),
            Err((item, ticket)) => {
                self.item = Some(item);
                self.ticket = Some(ticket);
                Poll::Pending
            }
        }
    }
}

impl<T: Unpin> Drop for Send<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.sender.give_up(ticket);
        }
    }
}

impl<T, W: Wake> Clone for Sender<T, W> {
    fn clone(&self) -> Self {
        self.0.borrow_mut().senders += 1;
        Self(Rc::clone(&self.0))
    }
}

impl<T, W: Wake> Drop for Sender<T, W> {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.senders -= 1;
        let receiver = match state.senders {
            0 => state.receiver.take(),
            _ => None,
        };
        drop(state);
        wake(receiver);
    }
}

impl<T, W: Wake> Drop for Receiver<T, W> {
    fn drop(&mut self) {
        let mut state = self.0.borrow_mut();
        state.received = false;
        let (items, waiting, own) = (
            std::mem::take(&mut state.items),
            std::mem::take(&mut state.waiting),
            state.receiver.take(),
        );
        drop(state);
        drop((items, own));
        for (_, sender) in waiting {
            sender.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use camshaft::block_on;

    use super::*;

    #[test]
    fn items_arrive_in_order_through_little_room() {
        let received = block_on(async {
            let (sender, receiver) = channel::<u32, Waker>(2);
            drop(camshaft::spawn(async move {
                for item in 0..100 {
                    sender.send(item).await;
                }
            }));
            let mut received = Vec::new();
            while let Some(item) = receiver.receive().await {
                received.push(item);
            }
            received
        });
        assert_eq!(received, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_select_hears_all_and_ends_with_the_last() {
        let mut received = block_on(async {
            let receivers: Vec<_> = (0..3)
                .map(|which| {
                    let (sender, receiver) = channel::<u32, Waker>(1);
                    drop(camshaft::spawn(async move {
                        for item in 0..10 {
                            sender.send(which * 10 + item).await;
                        }
                    }));
                    receiver
                })
                .collect();
            let (mut received, mut turn) = (Vec::new(), 0);
            while let Some(item) = select(&receivers, &mut turn).await {
                received.push(item);
            }
            received
        });
        received.sort_unstable();
        assert_eq!(received, (0..30).collect::<Vec<_>>());
    }

    #[test]
    fn a_sender_that_gives_up_leaves_its_turn_to_the_next() {
        block_on(async {
            let (sender, receiver) = channel::<u32, Waker>(1);
            assert!(sender.send(0).await);
            let other = sender.clone();
            let next = camshaft::spawn(async move { other.send(2).await });
            {
                let mut dropped = pin!(sender.send(1));
                poll_fn(|cx| {
                    assert!(dropped.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
                camshaft::task::yield_now().await;
                assert_eq!(receiver.receive().await, Some(0));
            }
            assert_eq!(receiver.receive().await, Some(2));
            assert!(next.await.unwrap());
        });
    }

    #[test]
    fn senders_learn_that_nobody_receives() {
        block_on(async {
            let (sender, receiver) = channel::<u32, Waker>(1);
            assert!(sender.send(0).await);
            let waiting = camshaft::spawn(async move { sender.send(1).await });
            camshaft::task::yield_now().await;
            drop(receiver);
            assert!(!waiting.await.unwrap());
        });
    }
}
