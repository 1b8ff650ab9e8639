//! What the clones of a driver share, and what they do to it.
//!
//! Invariants: NO-BORROW and LAST-WORD, see [`super`].

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::io;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Stats;
use super::backend::{Port, Pushed};
use super::foreign::{prefetch, quietly};
use super::ladder::Report;
use super::lend::{BufRing, Take};
use super::request::Request;
use super::ring::Ring;
use super::table::{Completion, Delivery, Disowned, Heir, Key, Polled, Sink, Table};
use super::unpark::Unparker;
use super::workers::{Outcome, Workers};
use crate::fork;

/// Completions of cancellations: nobody waits for them.
const IGNORED: u64 = u64::MAX;
/// Completions of the watch on the unparker's eventfd.
const UNPARKED: u64 = u64::MAX - 1;
/// How long the end of a driver waits for the kernel to let go of its memory.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// How often a full queue is handed to the kernel before the submitter has to wait for its turn.
const FLUSHES: usize = 2;

/// The provided buffers of a driver.
#[derive(Clone, Default)]
pub(super) enum Lent {
    #[default]
    Untried,
    Open(Rc<BufRing>),
    Refused,
}

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
    pub(super) waiters: RefCell<Vec<Waker>>,
    /// Cancellations that found the queue full. At most one for each operation in flight.
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
    /// The user data of the operations in flight that end by themselves, if anybody wants to know of them.
    pub(super) works: RefCell<Option<HashSet<u64>>>,
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
        self.waiters.borrow_mut().extend(waker);
        Poll::Pending
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
        self.waiters.borrow_mut().push(cx.waker().clone());
        None
    }

    /// Has a flow end soon. Its sink gets what comes until then, and the last completion in any case.
    pub(crate) fn stop(&self, key: Key) {
        if self.table.borrow().is_flowing(key) {
            self.cancels.borrow_mut().push_back(key);
        }
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
            Pushed::Taken => {}
            Pushed::Full => return false,
            // SAFETY: the caller's promise.
            Pushed::Unsupported => unsafe { self.workers.send(user_data, request) },
        }
        self.count(|stats| stats.submitted += 1);
        if request.ends_by_itself()
            && let Some(works) = &mut *self.works.borrow_mut()
        {
            works.insert(user_data);
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
                self.cancels.borrow_mut().push_back(key);
            }
            Disowned::Done(heir, completion) => heir(completion),
            Disowned::Unknown(heir) => drop(heir),
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

    /// The ring of provided buffers, made at the first call. `None` where the kernel has none or refuses it.
    #[inline]
    pub(crate) fn lent(&self) -> Option<Rc<BufRing>> {
        let known = self.lent.borrow().clone();
        match known {
            Lent::Open(ring) => Some(ring),
            Lent::Untried if !self.closed.get() => self.open_lent(),
            Lent::Untried | Lent::Refused => None,
        }
    }

    #[cold]
    fn open_lent(&self) -> Option<Rc<BufRing>> {
        let ring = match &self.port {
            Port::Ring(kernel) if kernel.rung().has_519() => Self::register_lent(kernel),
            Port::Ring(_) => None,
            Port::Poller(poller) => {
                let ring = BufRing::new(Take::Piecewise).ok();
                poller.lend(ring.clone());
                ring
            }
        };
        // A refusal is for good: trying again at each receive would cost more than the private buffers.
        let lent = ring.clone().map_or(Lent::Refused, Lent::Open);
        *self.lent.borrow_mut() = lent;
        ring
    }

    fn register_lent(kernel: &Ring) -> Option<Rc<BufRing>> {
        let register = |kernel: &Ring, take: Take| {
            let ring = BufRing::new(take).ok()?;
            // SAFETY: LENT-MEMORY: `lent` keeps the ring until it was unregistered in `drain`.
            let registered = unsafe {
                kernel.register_buffers(
                    ring.address(),
                    BufRing::entries(),
                    BufRing::GROUP,
                    take.register_flags(),
                )
            };
            registered.is_ok().then_some(ring)
        };
        let newer = kernel.rung().may_have_612();
        newer
            .then(|| register(kernel, Take::Piecewise))
            .flatten()
            .or_else(|| register(kernel, Take::Whole))
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
        let has_work = |works: &HashSet<u64>| !works.is_empty();
        self.works.borrow().as_ref().is_some_and(has_work) || self.jobs.load(Ordering::Acquire) > 0
    }

    /// One enter, and what goes with it.
    #[inline(always)]
    pub(super) fn submit_and_wait(&self, wait: bool, limit: Option<Duration>) -> io::Result<()> {
        let wait = self.flush_cancels() && wait && !self.workers.has_completions();
        self.port.enter(wait, limit, &self.workers)?;
        self.reap();
        Ok(())
    }

    /// A number that changes whenever the loop has looked for completions: between two changes nobody else got a turn.
    #[inline]
    pub(crate) fn turns(&self) -> u32 {
        self.turns.get()
    }

    /// Moves completions from the ring to the table and the outbox.
    #[inline(always)]
    pub(super) fn reap(&self) {
        self.turns.set(self.turns.get().wrapping_add(1));
        if self.workers.has_completions() {
            self.collect();
        }
        if !self.port.has_completions() {
            return;
        }
        let mut table = self.table.borrow_mut();
        let mut wakes = self.wakes.borrow_mut();
        let mut works = self.works.borrow_mut();
        let mut completed = 0;
        self.port.reap(|user_data, mut completion| match user_data {
            IGNORED => {}
            UNPARKED => self.unparked(completion),
            key => {
                if completion.names_buffer() {
                    self.book(&mut completion);
                }
                completed += u64::from(!completion.has_more());
                if let Some(works) = &mut *works {
                    works.remove(&key);
                }
                match table.complete(Key::from_user_data(key), completion) {
                    Some(Delivery::Wake(waker)) => {
                        prefetch(waker.data());
                        wakes.push_back(waker);
                    }
                    Some(Delivery::Inherit(heir, completion)) => {
                        self.deliver_later(Taker::Heir(heir), completion);
                    }
                    Some(Delivery::Flow(sink, completion)) => {
                        self.deliver_later(Taker::Sink(sink), completion);
                    }
                    None => {}
                }
            }
        });
        self.count(|stats| stats.completed += completed);
    }

    /// Notes which bytes of the lent buffers a completion brought, while the order of the completions tells.
    fn book(&self, completion: &mut Completion) {
        if let Lent::Open(ring) = &*self.lent.borrow() {
            ring.book(completion);
        }
    }

    fn deliver_later(&self, taker: Taker, completion: Completion) {
        self.takers.borrow_mut().push_back((taker, completion));
    }

    /// Moves what worker threads have done to the table and the outbox.
    #[cold]
    fn collect(&self) {
        for outcome in self.workers.collect() {
            let Outcome {
                request,
                user_data,
                completion,
            } = outcome;
            let key = Key::from_user_data(user_data);
            if completion.result == -libc::ESPIPE
                && let Some(request) = request.at_cursor()
            {
                // A pipe that was taken for a file. It is waited for like any other, and unlike a job of a thread it can be
                // cancelled.
                self.retry(key, &request);
                continue;
            }
            if let Some(works) = &mut *self.works.borrow_mut() {
                works.remove(&user_data);
            }
            let delivery = self.table.borrow_mut().complete(key, completion);
            match delivery {
                Some(Delivery::Wake(waker)) => self.wakes.borrow_mut().push_back(waker),
                Some(Delivery::Inherit(heir, completion)) => {
                    self.deliver_later(Taker::Heir(heir), completion);
                }
                Some(Delivery::Flow(sink, completion)) => {
                    self.deliver_later(Taker::Sink(sink), completion);
                }
                None => {}
            }
            self.count(|stats| stats.completed += 1);
        }
    }

    fn retry(&self, key: Key, request: &Request) {
        // SAFETY: REQUEST-MEMORY, which was promised when it was first submitted, holds until its completion.
        if unsafe { self.port.push(key.user_data(), request) } != Pushed::Taken {
            // SAFETY: as before. The thread comes back with the same answer, and there may be room then.
            unsafe { self.workers.send(key.user_data(), request) };
        } else if self.table.borrow().is_orphaned(key) {
            // Its cancellation found nothing to cancel.
            self.cancels.borrow_mut().push_back(key);
        }
    }

    /// Hands completions that nobody waits for to their heirs and sinks. A panic of a buffer's drop ends here: it concerns
    /// neither the loop nor the other operations, and least of all may it end a drain.
    #[inline(always)]
    pub(super) fn inherit(&self) {
        loop {
            let next = self.takers.borrow_mut().pop_front();
            match next {
                None => return,
                Some((Taker::Heir(heir), completion)) => quietly(|| heir(completion)),
                Some((Taker::Sink(sink), completion)) => quietly(|| sink.take(completion)),
            }
        }
    }

    /// Wakes the tasks whose completions were reaped, and submitters for whom there is room now. A waker that panics
    /// leaves the others in the queue for the next call.
    #[inline(always)]
    pub(super) fn wake(&self) {
        loop {
            let next = self.wakes.borrow_mut().pop_front();
            let Some(waker) = next else { break };
            waker.wake();
        }
        if !self.waiters.borrow().is_empty() && self.port.queued() < self.port.capacity() {
            let waiters = mem::take(&mut *self.waiters.borrow_mut());
            self.wakes.borrow_mut().extend(waiters);
            loop {
                let next = self.wakes.borrow_mut().pop_front();
                let Some(waker) = next else { break };
                waker.wake();
            }
        }
    }

    /// Hands a full queue to the kernel. An error shows again at the next enter of the loop, which reports it.
    #[cold]
    fn make_room(&self) {
        for _ in 0..FLUSHES {
            if self.port.enter(false, None, &self.workers).is_err()
                || self.port.queued() < self.port.capacity()
            {
                return;
            }
            self.reap();
        }
    }

    /// Queues the cancellations that wait. `false` if some found no room: then nothing may be waited for yet.
    #[inline(always)]
    pub(super) fn flush_cancels(&self) -> bool {
        self.cancels.borrow().is_empty() || self.flush_cancels_slowly()
    }

    #[cold]
    fn flush_cancels_slowly(&self) -> bool {
        let mut cancels = self.cancels.borrow_mut();
        while let Some(key) = cancels.front() {
            let request = Request::Cancel {
                target: key.user_data(),
            };
            // SAFETY: a cancellation describes no memory.
            if unsafe { self.port.push(IGNORED, &request) } == Pushed::Full {
                return false;
            }
            cancels.pop_front();
        }
        true
    }

    /// Has the ring watch the unparker's eventfd. The epoll always does.
    #[inline(always)]
    pub(super) fn watch(&self) {
        if !self.watching.get() {
            let request = Request::Watch {
                fd: self.unparker.as_raw_fd(),
                repeat: self.port.ring().is_some_and(|ring| ring.rung().has_519()),
            };
            // SAFETY: a watch describes no memory.
            let pushed = unsafe { self.port.push(UNPARKED, &request) };
            self.watching.set(pushed == Pushed::Taken);
        }
    }

    /// The unparker was used. A watch that ended (an old kernel, an overflown queue) is made anew at the next park.
    fn unparked(&self, completion: Completion) {
        if !io_uring::cqueue::more(completion.flags) {
            self.unparker.clear();
            self.watching.set(false);
        }
    }

    /// Prepares the end in the one order that is safe: cancel, wait, unregister; closing comes last, with the drop.
    /// `false`: the kernel may still write to the memory of some operations, so all of it has to stay (LAST-WORD).
    pub(super) fn drain(&self) -> bool {
        self.cancels
            .replace_with(|_| self.table.borrow().keys_in_flight().collect());
        let begin = Instant::now();
        while self.table.borrow().in_flight() > 0 {
            let waited = self.submit_and_wait(true, Some(Duration::from_millis(50)));
            self.inherit();
            if waited.is_err() || begin.elapsed() > DRAIN_LIMIT {
                self.report_leak();
                return false;
            }
        }
        if let Lent::Open(lent) = self.lent.replace(Lent::Refused) {
            let unregistered = self
                .port
                .ring()
                .map(|ring| ring.unregister_buffers(BufRing::GROUP));
            lent.close();
            if let Some(Err(_)) = unregistered {
                mem::forget(lent);
            }
        }
        self.wake();
        true
    }

    #[cold]
    fn report_leak(&self) {
        let stuck = self.table.borrow().in_flight();
        eprintln!(
            "camshaft: the kernel has not finished {stuck} operations at shutdown; their buffers and the ring are \
             leaked"
        );
    }

    #[inline]
    fn count(&self, change: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A driver that was dropped without `shutdown` (its owner panicked, say) must not free what the kernel uses.
        // Nor may one whose last wakes submitted something.
        let busy = self.table.get_mut().in_flight() > 0;
        if busy && !self.is_forked() && !self.drain() {
            mem::forget(self.table.take());
            mem::forget(self.lent.take());
        }
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
