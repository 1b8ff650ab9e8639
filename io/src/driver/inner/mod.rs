//! What the clones of a driver share, and what they do to it.
//!
//! Invariants: NO-BORROW and LAST-WORD, see [`super`].

mod end;
mod lent;
mod turn;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use self::lent::Lent;
use super::Stats;
use super::backend::{Port, Pushed};
use super::completion::Completion;
use super::current;
use super::ladder::Report;
use super::request::Request;
use super::table::{Disowned, Heir, Key, Polled, Sink, Table};
use super::unpark::Unparker;
use super::waiters::Waiters;
use super::workers::Workers;
use super::works::Works;
use crate::fork;

/// Completions of the watch on the unparker's eventfd.
const UNPARKED: u64 = u64::MAX - 1;
/// How long the end of a driver waits for the kernel to let go of its memory.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// How long it waits for peers to take what was sent without a copy.
const NOTICE_LIMIT: Duration = Duration::from_secs(1);
/// How often a full queue is handed to the kernel before the submitter has to wait for its turn.
const FLUSHES: usize = 2;

/// Who gets a completion that nobody waits for.
pub(super) enum Taker {
    Heir(Heir),
    Sink(Rc<dyn Sink>),
}

pub(crate) struct Inner {
    pub(super) port: Port,
    pub(super) workers: Workers,
    pub(super) table: RefCell<Table>,
    pub(super) wakes: RefCell<VecDeque<Waker>>,
    pub(super) takers: RefCell<VecDeque<(Taker, Completion)>>,
    /// Submitters that found the queue full even after it was flushed.
    pub(super) waiters: RefCell<Waiters>,
    /// Cancellations that wait to be queued. At most one for each operation in flight.
    pub(super) cancels: RefCell<VecDeque<Key>>,
    pub(super) lent: RefCell<Lent>,
    pub(super) unparker: Arc<Unparker>,
    pub(super) watching: Cell<bool>,
    pub(super) closed: Cell<bool>,
    /// How often completions were looked for; see [`Inner::turns`].
    pub(super) turns: Cell<u32>,
    /// The fork generation that it was made in; see [`fork`].
    pub(super) generation: u32,
    pub(super) stats: Cell<Stats>,
    /// Jobs given to `offload` whose waiters have not been woken yet.
    pub(super) jobs: Arc<AtomicUsize>,
    /// More about the operations in flight, if anybody wants to know.
    pub(super) works: RefCell<Option<Works>>,
    /// Whether what is submitted now serves the runtime itself.
    pub(super) in_background: Cell<bool>,
    pub(super) report: Report,
}

impl Inner {
    #[inline]
    pub(super) fn is_forked(&self) -> bool {
        self.generation != fork::generation()
    }

    /// Hands a request over. `Pending`: the queue is full, and the waker will be called when there is room.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY.
    #[inline]
    pub(crate) unsafe fn submit(&self, request: &Request, cx: &Context<'_>) -> Poll<Key> {
        let waker = cx.waker().clone();
        let key = self.table.borrow_mut().insert(waker);
        // SAFETY: the caller's promise.
        if unsafe { self.hand_over(key, request) } {
            return Poll::Ready(key);
        }
        let waker = self.table.borrow_mut().retract(key);
        waker
            .into_iter()
            .for_each(|waker| self.wait_for_room(waker));
        Poll::Pending
    }

    /// Whether the ring knows a request of many completions. Where it doesn't, one of a single completion has to do.
    pub(crate) fn supports(&self, request: &Request) -> bool {
        match &self.port {
            Port::Ring(ring) => ring.supports(request),
            Port::Poller(_) => false,
            #[cfg(any(test, fuzzing))]
            Port::Fake(_) => true,
        }
    }

    /// Hands over a request that will have many completions, all for the sink. `None`: the queue is full, and the waker will
    /// be called when there is room.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY, until the last completion.
    pub(crate) unsafe fn flow(
        &self,
        request: &Request,
        sink: Rc<dyn Sink>,
        cx: &Context<'_>,
    ) -> Option<Key> {
        let key = self.table.borrow_mut().insert_flow(sink);
        // SAFETY: the caller's promise.
        if unsafe { self.hand_over(key, request) } {
            return Some(key);
        }
        self.table.borrow_mut().retract(key);
        self.wait_for_room(cx.waker().clone());
        None
    }

    /// Has a flow end soon. Its sink gets what comes until then, and the last completion in any case.
    pub(crate) fn stop(&self, key: Key) {
        if self.table.borrow().is_flowing(key) {
            self.cancel(key);
        }
    }

    /// Has a submitter called when there is room. Who is known already is not kept twice.
    #[cold]
    fn wait_for_room(&self, waker: Waker) {
        let known = self.waiters.borrow_mut().add(waker);
        // Outside of the borrow.
        drop(known);
    }

    /// # Safety
    ///
    /// REQUEST-MEMORY.
    #[inline]
    unsafe fn hand_over(&self, key: Key, request: &Request) -> bool {
        let user_data = key.user_data();
        // SAFETY: the caller's promise.
        let mut pushed = unsafe { self.port.push(user_data, request) };
        if pushed == Pushed::Full {
            self.make_room();
            // SAFETY: the caller's promise; the first push took nothing.
            pushed = unsafe { self.port.push(user_data, request) };
        }
        match pushed {
            Pushed::Taken => self.port.submit_batch(),
            Pushed::Full => return false,
            Pushed::Unsupported => {
                self.table.borrow_mut().set_with_worker(key, true);
                // SAFETY: the caller's promise.
                unsafe { self.workers.send(user_data, request) }
            }
        }
        self.count(|stats| stats.submitted += 1);
        if let Some(works) = &mut *self.works.borrow_mut() {
            works.begin(user_data, request, self.in_background.get());
        }
        true
    }

    /// Takes the completion of an operation, or remembers whom to wake.
    #[inline]
    pub(crate) fn poll(&self, key: Key, cx: &Context<'_>) -> Poll<Completion> {
        let polled = self.table.borrow_mut().poll(key, cx.waker());
        match polled {
            Polled::Done(completion) => return Poll::Ready(completion),
            Polled::Waiting => {}
            Polled::WaitingForAnother => {
                let waker = cx.waker().clone();
                let old = self.table.borrow_mut().set_waker(key, waker);
                drop(old);
            }
        }
        Poll::Pending
    }

    /// The future of an operation was dropped: cancels it, and lets the heir have its completion.
    pub(crate) fn disown(&self, key: Key, heir: Heir) {
        let disowned = self.table.borrow_mut().disown(key, heir);
        match disowned {
            Disowned::InFlight(waker) => {
                drop(waker);
                self.count(|stats| stats.cancelled += 1);
                self.cancel(key);
            }
            Disowned::Done(heir, completion) => heir(completion),
            Disowned::Unknown(heir) => drop(heir),
        }
    }

    /// Has the kernel told with the next enter; at once if no loop runs that enters soon, for the socket may be used, or closed,
    /// without this driver.
    fn cancel(&self, key: Key) {
        self.cancels.borrow_mut().push_back(key);
        if !current::is(self) {
            self.settle_cancelled();
        }
    }

    /// For a future that waits for what is in flight here: its loop has to run, or nobody would wake it.
    #[inline]
    #[track_caller]
    pub(crate) fn expect_to_run(&self) {
        assert!(
            current::is(self),
            "an I/O operation of camshaft is in flight on one runtime, and was polled outside of it; run the future with the \
             block_on of that runtime, or drop it and begin anew"
        );
    }

    /// Has cancelled operations end, as far as the kernel ends them at once, because the loop that would see to it stops.
    pub(in crate::driver) fn settle_cancelled(&self) {
        if !self.is_forked() {
            self.settle(|| self.cancels.borrow().is_empty() && !self.table.borrow().has_orphans());
        }
    }

    /// Enters the kernel a few times until `settled`, for a descriptor that is to be closed now although cancelled
    /// operations still hold it. Never waits. Runs heirs, which may wake whoever waits for a lane.
    pub(crate) fn settle(&self, settled: impl Fn() -> bool) {
        for _ in 0..FLUSHES {
            if settled() || self.submit_and_wait(false, None).is_err() {
                return;
            }
            self.inherit();
        }
    }

    /// Whether short sends go on by themselves.
    #[inline]
    pub(crate) fn sends_whole(&self) -> bool {
        let ring = self.port.ring();
        ring.is_none_or(|ring| ring.rung().has_519())
    }

    /// Registers memory with the ring. `false` if there is none, or it can't.
    ///
    /// # Safety
    ///
    /// The memory stays valid until it has been [unregistered](Self::unregister).
    pub(crate) unsafe fn register(&self, memory: Range<*const u8>) -> bool {
        let memory = memory.start.expose_provenance()..memory.end.addr();
        self.port.ring().is_some_and(|ring| {
            // SAFETY: the caller's promise.
            unsafe { ring.register(memory) }
        })
    }

    /// Forgets registered memory.
    pub(crate) fn unregister(&self, start: *const u8) {
        if let Some(ring) = self.port.ring()
            && !self.is_forked()
        {
            ring.unregister(start.addr());
        }
    }

    pub(crate) fn offload(&self, job: Box<dyn FnOnce() + Send>) {
        self.workers.offload(job);
    }

    /// Counts a job until the guard is dropped, on whatever thread.
    pub(crate) fn begin_job(&self) -> Job {
        self.jobs.fetch_add(1, Ordering::Relaxed);
        Job(self.jobs.clone())
    }

    pub(super) fn is_working(&self) -> bool {
        self.works
            .borrow()
            .as_ref()
            .is_some_and(Works::is_any_ending)
            || self.has_jobs()
    }

    pub(super) fn has_jobs(&self) -> bool {
        self.jobs.load(Ordering::Acquire) > 0
    }

    /// A number that changes whenever the loop has looked for completions: between two changes nobody else got a turn.
    #[inline]
    pub(crate) fn turns(&self) -> u32 {
        self.turns.get()
    }

    #[inline]
    fn count(&self, change: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

/// A job that was given to another thread. Dropped when its waiter has been woken.
pub(crate) struct Job(Arc<AtomicUsize>);

impl Drop for Job {
    fn drop(&mut self) {
        // Pairs with the load of `is_working`: who sees the job gone sees the wake, too.
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}
