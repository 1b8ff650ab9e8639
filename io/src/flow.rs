//! Receives and accepts that the kernel repeats by itself: one request, many completions.
//!
//! What comes goes to the socket's stash, whether anybody asks for it or not, and whoever holds the flow takes it from there.
//!
//! ```text
//!              first in the lane, and nothing stashed             the last completion: an error, the end,
//!   idle ─────────────────────────────────────────────> running ──── or it was stopped ──────────> idle
//!                                                          │
//!                          stopped when it is dropped, when the stash is full, and when somebody else waits for the lane
//! ```
//!
//! Whoever waits for the next thing has it before somebody else gets the lane. A flow that nobody polls makes way at once:
//! what it has brought may be what the other one is waiting for.
//!
//! Invariants:
//!
//! - **ORDER** (see [`crate::socket`]): a flow holds the reading lane as long as it runs, so nobody else adds to the stash or
//!   takes from it. When it is dropped, what it has brought is there for whoever gets the lane.
//! - **BOUNDED**: it is stopped when [`Source::MOST`] things are stashed; what the kernel has brought by then comes on top.
//!   It begins again when they have been taken.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};

use crate::driver::{self, Completion, Inner, Key, Request, Sink};
use crate::lane::{Direction, Holder, Turn};
use crate::socket::{Kind, Socket};

/// What is repeated.
///
/// # Safety
///
/// The request that [`request`](Source::request) returns points to no memory of the source.
pub(crate) unsafe trait Source: Default + 'static {
    type Kind: Kind;

    /// How much is stashed before the flow is stopped.
    const MOST: usize;

    /// The request of many completions. `None`: this time, or on this driver, a plain operation has to do.
    fn request(&self, driver: &Inner, socket: &Socket<Self::Kind>) -> Option<Request>;

    /// Stashes what a completion brought. Returns whether it was the end, after which nothing comes.
    fn keep(&self, socket: &Socket<Self::Kind>, completion: Completion) -> bool;
}

/// What a flow gives.
pub(crate) enum Flowed<T> {
    Item(T),
    /// Nothing comes any more.
    Over,
    /// The next one has to be fetched by a plain operation.
    Alone,
}

/// Whether an operation only ended because its driver did. Who goes on with another one does it again there.
pub(crate) fn ended_with_driver<T>(result: &io::Result<T>) -> bool {
    let error = result.as_ref().err();
    error.is_some_and(|error| error.raw_os_error() == Some(libc::ECANCELED))
}

/// A request of many completions, and its place in the reading lane.
pub(crate) struct Flow<S: Source> {
    shared: Rc<Shared<S>>,
    /// The turn that is waited for while the flow is idle.
    turn: Option<Turn<Socket<S::Kind>>>,
}

struct Shared<S: Source> {
    source: S,
    socket: Rc<Socket<S::Kind>>,
    /// The turn of the flow, while it runs.
    turn: Cell<Option<Turn<Socket<S::Kind>>>>,
    flight: RefCell<Option<(Rc<Inner>, Key)>>,
    stopping: Cell<bool>,
    over: Cell<bool>,
    /// Whoever waits for the next thing. There is nothing in the stash then.
    waker: Cell<Option<Waker>>,
}

impl<S: Source> Flow<S> {
    pub(crate) fn new(socket: &Rc<Socket<S::Kind>>) -> Self {
        Self {
            shared: Rc::new(Shared {
                source: S::default(),
                socket: socket.clone(),
                turn: Cell::new(None),
                flight: RefCell::new(None),
                stopping: Cell::new(false),
                over: Cell::new(false),
                waker: Cell::new(None),
            }),
            turn: None,
        }
    }

    /// Takes the next thing, and has the flow run if there is none.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Flowed<<S::Kind as Kind>::Stashed>> {
        let shared = &self.shared;
        let socket = &shared.socket;
        if !shared.is_running() {
            let turn = self
                .turn
                .get_or_insert_with(|| Turn::new(socket, Direction::Read));
            ready!(turn.poll(cx));
        }
        if let Some(item) = socket.unstash() {
            self.turn = None;
            return Poll::Ready(Flowed::Item(item));
        }
        if shared.over.get() {
            self.turn = None;
            return Poll::Ready(Flowed::Over);
        }
        if !shared.is_running() {
            let driver = driver::expect_current();
            let Some(request) = shared.source.request(&driver, socket) else {
                self.turn = None;
                return Poll::Ready(Flowed::Alone);
            };
            // SAFETY: REQUEST-MEMORY: the request points to none, by the promise of the source.
            let Some(key) = (unsafe { driver.flow(&request, shared.clone(), cx) }) else {
                return Poll::Pending;
            };
            shared.stopping.set(false);
            shared.flight.replace(Some((driver, key)));
            shared.hold(self.turn.take());
        }
        if let Some((driver, _)) = &*shared.flight.borrow() {
            driver.expect_to_run();
        }
        drop(shared.waker.replace(Some(cx.waker().clone())));
        Poll::Pending
    }
}

impl<S: Source> Shared<S> {
    fn is_running(&self) -> bool {
        self.flight.borrow().is_some()
    }

    fn is_polled(&self) -> bool {
        let waker = self.waker.take();
        let is_polled = waker.is_some();
        self.waker.set(waker);
        is_polled
    }

    /// Keeps the turn until the last completion.
    fn hold(self: &Rc<Self>, turn: Option<Turn<Socket<S::Kind>>>) {
        let holder: Weak<dyn Holder> = Rc::downgrade(self) as _;
        turn.iter()
            .for_each(|it| it.set_holder(Some(holder.clone())));
        self.turn.set(turn);
    }

    fn stop(&self) {
        // Cloned: the driver may deliver the last completion at once.
        let flight = self.flight.borrow().clone();
        if let Some((driver, key)) = flight
            && !self.stopping.replace(true)
        {
            driver.stop(key);
        }
    }
}

impl<S: Source> Sink for Shared<S> {
    fn take(&self, completion: Completion) {
        let over = self.source.keep(&self.socket, completion);
        if completion.has_more() {
            if self.socket.stashed() >= S::MOST || self.socket.is_awaited(Direction::Read) {
                self.stop();
            }
        } else {
            self.over.set(over);
            self.flight.take();
            let turn = self.turn.take();
            turn.iter().for_each(|it| it.set_holder(None));
            // After the stash, where whoever comes next looks.
            drop(turn);
        }
        self.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl<S: Source> Holder for Shared<S> {
    fn make_way(&self) {
        // Who is waiting gets what comes first, and that stops it.
        if !self.is_polled() {
            self.stop();
        }
    }
}

impl<S: Source> Drop for Flow<S> {
    fn drop(&mut self) {
        drop(self.shared.waker.take());
        self.shared.stop();
    }
}

impl<S: Source> fmt::Debug for Flow<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("socket", &self.shared.socket)
            .field("running", &self.shared.is_running())
            .finish()
    }
}
