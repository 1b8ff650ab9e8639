//! One direction of a socket: operations pass one after the other, first come, first served.
//!
//! ```text
//!              poll: free, or first in line        the operation is over, completed or inherited
//!   Out ─────────────────────────────────> Holding ─────────────────────────────────────────────> Out; the next is woken
//!    └──────> Waiting(ticket) ────────────────^
//!      poll: not free
//! ```
//!
//! An operation holds its lane from its submission to its completion, **whether its future still lives or not**. So what a
//! cancelled receive brings is in the stash before the next receive looks there, and nothing of a cancelled send goes out
//! after the next one has begun.
//!
//! Who holds a lane for longer than one operation is a [`Holder`]: it is told when somebody else begins to wait.
//!
//! Invariants:
//!
//! - **ONE**: at most one [`Turn`] of a lane is `Holding`.
//! - **WOKEN**: if the lane is free and someone waits, the first in line has been woken since it became free.
//! - **NO-BORROW**: wakers are cloned, dropped and called, and holders told, while the queue is in its cell, not taken out
//!   of it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::mem;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

const BUSY: u8 = 1;
const QUEUED: u8 = 2;

/// Who holds a lane until somebody else wants it.
pub(crate) trait Holder {
    /// Somebody else began to wait. Called with nothing borrowed.
    fn make_way(&self);
}

/// What a lane has only while there is something in it.
#[derive(Default)]
struct Queue {
    /// The waiting operations: tickets and wakers.
    waiting: VecDeque<(u32, Waker)>,
    holder: Option<Weak<dyn Holder>>,
}

/// One direction of a socket.
#[derive(Default)]
pub(crate) struct Lane {
    /// `BUSY` while a turn is held, `QUEUED` while somebody waits.
    state: Cell<u8>,
    tickets: Cell<u32>,
    queue: Cell<Option<Box<Queue>>>,
}

impl Queue {
    /// The place of a ticket. They are given out in order, so it is found by halving; they may wrap around.
    fn place(&self, ticket: u32) -> Option<usize> {
        let (first, _) = self.waiting.front()?;
        let distance = |it: u32| it.wrapping_sub(*first);
        let found = (self.waiting).binary_search_by_key(&distance(ticket), |(it, _)| distance(*it));
        found.ok()
    }
}

impl Lane {
    /// Whether nobody holds the lane.
    #[inline]
    pub(crate) fn is_free(&self) -> bool {
        self.state.get() & BUSY == 0
    }

    /// Whether somebody waits for it.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.state.get() & QUEUED != 0
    }

    fn with_queue<R>(&self, f: impl FnOnce(&mut Queue) -> R) -> R {
        let mut queue = self.queue.take().unwrap_or_default();
        let result = f(&mut queue);
        if queue.waiting.is_empty() {
            self.state.set(self.state.get() & !QUEUED);
        } else {
            self.state.set(self.state.get() | QUEUED);
        }
        if self.is_awaited() || queue.holder.is_some() {
            self.queue.set(Some(queue));
        }
        result
    }

    fn enqueue(&self, waker: Waker) -> u32 {
        let ticket = self.tickets.get();
        self.tickets.set(ticket.wrapping_add(1));
        let holder = self.with_queue(|queue| {
            queue.waiting.push_back((ticket, waker));
            queue.holder.clone()
        });
        if let Some(holder) = holder.and_then(|it| it.upgrade()) {
            holder.make_way();
        }
        ticket
    }

    /// Takes the lane for the holder of this ticket, if it is free and he is the first in line.
    fn advance(&self, ticket: u32) -> bool {
        if !self.is_free() {
            return false;
        }
        let first = self.with_queue(|queue| match queue.waiting.front() {
            Some((first, _)) if *first == ticket => queue.waiting.pop_front(),
            _ => None,
        });
        if first.is_some() {
            self.state.set(self.state.get() | BUSY);
        }
        first.is_some()
    }

    /// Exchanges the waker of a ticket, and returns the old one.
    fn update(&self, ticket: u32, waker: Waker) -> Option<Waker> {
        self.with_queue(|queue| {
            let place = queue.place(ticket)?;
            let (_, known) = queue.waiting.get_mut(place)?;
            Some(mem::replace(known, waker))
        })
    }

    /// Gives up a place in line.
    fn leave(&self, ticket: u32) {
        let left = self.with_queue(|queue| {
            let place = queue.place(ticket)?;
            queue.waiting.remove(place)
        });
        drop(left);
        self.wake_first();
    }

    fn release(&self) {
        self.state.set(self.state.get() & !BUSY);
        self.wake_first();
    }

    /// Wakes the first in line, if it is its turn.
    #[inline]
    fn wake_first(&self) {
        if self.state.get() == QUEUED {
            let first = self.with_queue(|queue| {
                let (_, waker) = queue.waiting.front_mut()?;
                Some(mem::replace(waker, Waker::noop().clone()))
            });
            first.into_iter().for_each(Waker::wake);
        }
    }
}

/// What has lanes.
pub(crate) trait Lanes {
    fn lane(&self, direction: Direction) -> &Lane;
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

enum Place {
    Out,
    Waiting(u32),
    Holding,
}

/// An operation's place on a lane of its socket. Dropping it lets the next one pass.
pub(crate) struct Turn<S: Lanes> {
    socket: Rc<S>,
    direction: Direction,
    place: Place,
}

impl<S: Lanes> Turn<S> {
    pub(crate) fn new(socket: &Rc<S>, direction: Direction) -> Self {
        Self {
            socket: socket.clone(),
            direction,
            place: Place::Out,
        }
    }

    /// The socket.
    #[inline]
    pub(crate) fn socket(&self) -> &Rc<S> {
        &self.socket
    }

    /// Has whoever holds this turn told when somebody else begins to wait for the lane; `None`: no more. To be taken back
    /// before the turn is over.
    pub(crate) fn set_holder(&self, holder: Option<Weak<dyn Holder>>) {
        let lane = self.socket.lane(self.direction);
        drop(lane.with_queue(|queue| mem::replace(&mut queue.holder, holder)));
    }

    /// Waits for the lane and takes it. Ready at once if it is taken already.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let lane = self.socket.lane(self.direction);
        if matches!(self.place, Place::Holding) {
            return Poll::Ready(());
        }
        if lane.state.get() == 0 {
            lane.state.set(BUSY);
            self.place = Place::Holding;
            return Poll::Ready(());
        }
        self.poll_in_line(cx)
    }

    #[cold]
    fn poll_in_line(&mut self, cx: &Context<'_>) -> Poll<()> {
        let lane = self.socket.lane(self.direction);
        let waker = cx.waker().clone();
        match self.place {
            Place::Waiting(ticket) if lane.advance(ticket) => {
                self.place = Place::Holding;
                return Poll::Ready(());
            }
            Place::Waiting(ticket) => drop(lane.update(ticket, waker)),
            Place::Out => self.place = Place::Waiting(lane.enqueue(waker)),
            Place::Holding => {}
        }
        Poll::Pending
    }
}

impl<S: Lanes> Drop for Turn<S> {
    #[inline]
    fn drop(&mut self) {
        let lane = self.socket.lane(self.direction);
        match self.place {
            Place::Out => {}
            Place::Waiting(ticket) => lane.leave(ticket),
            Place::Holding => lane.release(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Pair([Lane; 2]);

    impl Lanes for Pair {
        fn lane(&self, direction: Direction) -> &Lane {
            &self.0[direction as usize]
        }
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Party {
        turn: Turn<Pair>,
        count: Arc<Count>,
    }

    impl Party {
        fn new(socket: &Rc<Pair>) -> Self {
            Self {
                turn: Turn::new(socket, Direction::Read),
                count: Arc::default(),
            }
        }

        fn poll(&mut self) -> bool {
            let waker = Waker::from(self.count.clone());
            self.turn.poll(&Context::from_waker(&waker)).is_ready()
        }

        fn wakes(&self) -> usize {
            self.count.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn turns_are_taken_in_the_order_of_asking_and_nobody_pushes_in() {
        let socket = Rc::default();
        let [mut a, mut b, mut c] = [(); 3].map(|()| Party::new(&socket));
        assert!(a.poll() && !b.poll());
        drop(a);
        assert_eq!(b.wakes(), 1);
        assert!(!c.poll(), "b is first in line");
        assert!(b.poll() && !c.poll());
        assert_eq!(c.wakes(), 0);
        drop(b);
        assert_eq!(c.wakes(), 1);
        assert!(c.poll());
    }

    #[test]
    fn who_leaves_the_line_after_being_woken_passes_it_on() {
        let socket = Rc::default();
        let [mut a, mut b, mut c] = [(); 3].map(|()| Party::new(&socket));
        assert!(a.poll() && !b.poll() && !c.poll());
        drop(a);
        drop(b);
        assert_eq!(c.wakes(), 1);
        assert!(c.poll());
    }

    #[test]
    fn who_leaves_the_middle_of_the_line_wakes_nobody() {
        let socket = Rc::default();
        let [mut a, mut b, mut c] = [(); 3].map(|()| Party::new(&socket));
        assert!(a.poll() && !b.poll() && !c.poll());
        drop(b);
        assert_eq!(c.wakes(), 0);
        drop(a);
        assert!(c.poll());
    }

    #[test]
    fn everybody_is_found_when_tickets_wrap_around() {
        let socket: Rc<Pair> = Rc::default();
        socket.0[0].tickets.set(u32::MAX - 2);
        let [mut a, mut b, mut c, mut d, mut e, mut f] = [(); 6].map(|()| Party::new(&socket));
        assert!(a.poll());
        assert!(
            ![&mut b, &mut c, &mut d, &mut e, &mut f]
                .into_iter()
                .any(Party::poll)
        );
        drop(e);
        drop(c);
        drop(a);
        assert!(!d.poll() && !f.poll() && b.poll());
        drop(b);
        assert_eq!((d.wakes(), f.wakes()), (1, 0));
        assert!(!f.poll() && d.poll());
        drop(d);
        assert!(f.poll());
    }

    impl Holder for Cell<u32> {
        fn make_way(&self) {
            self.set(self.get() + 1);
        }
    }

    #[test]
    fn a_holder_is_told_of_each_who_begins_to_wait() {
        let socket = Rc::default();
        let [mut a, mut b, mut c] = [(); 3].map(|()| Party::new(&socket));
        let told = Rc::new(Cell::new(0));
        assert!(a.poll());
        let holder: Rc<dyn Holder> = told.clone();
        a.turn.set_holder(Some(Rc::downgrade(&holder)));
        assert!(!b.poll() && !b.poll());
        assert_eq!(told.get(), 1);
        drop(b);
        a.turn.set_holder(None);
        assert!(!c.poll());
        assert_eq!(told.get(), 1);
        drop(a);
        assert!(c.poll());
    }

    #[test]
    fn the_directions_do_not_wait_for_each_other() {
        let socket = Rc::default();
        let mut read = Party::new(&socket);
        let mut write = Turn::new(&socket, Direction::Write);
        assert!(read.poll());
        assert!(write.poll(&Context::from_waker(Waker::noop())).is_ready());
    }
}
