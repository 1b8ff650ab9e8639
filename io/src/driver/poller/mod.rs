//! The readiness backend: requests are tried as plain system calls, and wait in an epoll where that has to be.
//!
//! ```text
//!   push ──> queue ──(enter)──> attempt ──> done at once, as most sends and many receives are
//!                                  │ would have to wait
//!                                  v
//!                          armed in the epoll, once ──> ready ──> attempt ──> completion
//!                          or in the queue of times ───────────────^
//! ```
//!
//! A request is tried when the loop enters the kernel, as with a ring, and not when its future is polled. So a future is
//! dropped before its submission, in flight, or after its completion in the same sense on both, and a task to which
//! everything is ready waits for its turn like any other.
//!
//! Invariants:
//!
//! - **NO-STATE**: what the epoll knows of a descriptor is never relied on. Each wait arms it anew, for one event
//!   (`EPOLLONESHOT`), so a number that was closed and given out again misses nothing, and a stale event is but a try in vain.
//! - **ARMED**: `armed` says what the kernel will report only while a request waits for the descriptor, which keeps it open.
//!
//! It does no work that may wait for a disk: that goes to [`super::workers`].

mod epoll;
mod waits;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::epoll::{EVENTS, Epoll, poll_bits};
use self::waits::{Next, Waiting, Waits};
use super::backend::Pushed;
use super::completion::Completion;
use super::lend::BufRing;
use super::request::{Needs, Request, set_blocking};
use super::unpark::Unparker;
use super::workers::Workers;

/// The token of the unparker's eventfd; those of descriptors are below.
const UNPARKED: u64 = u64::MAX;
/// After this many enters that had no need to ask the kernel for events, because something was done anyway, it is asked.
const UNASKED: u32 = 8;
/// How many events of a descriptor in a row may bring nothing before it is left alone for a while.
const VAIN: u32 = 8;
/// How long a connection to a Unix socket whose queue is full waits before it tries again: nothing reports that there is room.
const RETRY: Duration = Duration::from_millis(2);

/// An epoll, and what waits in it.
pub(crate) struct Poller {
    epoll: Epoll,
    unparker: Arc<Unparker>,
    queue: RefCell<VecDeque<(u64, Request)>>,
    capacity: usize,
    waits: RefCell<Waits>,
    lent: RefCell<Option<Rc<BufRing>>>,
    done: RefCell<VecDeque<(u64, Completion)>>,
    unasked: Cell<u32>,
    enters: Cell<u64>,
}

impl Poller {
    pub(crate) fn new(unparker: &Arc<Unparker>, entries: u32) -> io::Result<Self> {
        let poller = Self {
            epoll: Epoll::new()?,
            unparker: unparker.clone(),
            queue: RefCell::default(),
            capacity: usize::try_from(entries.clamp(1, 32768)).unwrap_or(1),
            waits: RefCell::default(),
            lent: RefCell::default(),
            done: RefCell::default(),
            unasked: Cell::new(0),
            enters: Cell::new(0),
        };
        let watch = poller.epoll.control(
            libc::EPOLL_CTL_ADD,
            unparker.as_raw_fd(),
            libc::POLLIN,
            0,
            UNPARKED,
        );
        match watch {
            0 => Ok(poller),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// How often the kernel was asked for events.
    pub(crate) fn enters(&self) -> u64 {
        self.enters.get()
    }

    /// Whether something waits, of which only the kernel knows whether it is ready.
    #[inline]
    pub(crate) fn has_waits(&self) -> bool {
        self.waits.borrow().count > 0
    }

    /// Whether completions can be reaped without a system call.
    #[inline]
    pub(crate) fn has_completions(&self) -> bool {
        !self.done.borrow().is_empty()
    }

    /// Has receives that ask for a lent buffer take one of these.
    pub(crate) fn lend(&self, ring: Option<Rc<BufRing>>) {
        self.lent.replace(ring);
    }

    /// The number of requests that have not been tried yet.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.queue.borrow().len()
    }

    /// How many of those there may be.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes a request. No system call.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY.
    pub(super) unsafe fn push(&self, user_data: u64, request: &Request) -> Pushed {
        if matches!(request.needs(), Needs::Worker) {
            return Pushed::Unsupported;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= self.capacity {
            return Pushed::Full;
        }
        queue.push_back((user_data, *request));
        Pushed::Taken
    }

    /// Tries what is queued, in order.
    fn submit(&self, workers: &Workers) {
        let mut queue = self.queue.borrow_mut();
        if queue.is_empty() {
            return;
        }
        let mut waits = self.waits.borrow_mut();
        for (user_data, request) in queue.drain(..) {
            let waiting = Waiting::new(user_data, request);
            match request.needs() {
                Needs::Nothing => {
                    if let Request::Cancel { target } = request
                        && let Some(waiting) = waits.remove(target)
                    {
                        self.finish_with(target, waiting.outcome(-libc::ECANCELED));
                    }
                }
                // `push` takes none of these.
                Needs::Worker => {}
                Needs::Time(span) => {
                    waits.insert_timed(waiting, Instant::now() + Duration::from(*span));
                }
                Needs::Ready { try_first, .. } => {
                    self.begin(&mut waits, waiting, try_first, workers);
                }
            }
        }
    }

    /// Tries a request for the first time, and has it wait if need be.
    fn begin(&self, waits: &mut Waits, mut waiting: Waiting, try_first: bool, workers: &Workers) {
        let connects = waiting.connects();
        waiting.next = Next::Attempt;
        let lent = self.lent.borrow();
        if try_first {
            // SAFETY: REQUEST-MEMORY, which `push` was promised.
            match unsafe { waiting.attempt(lent.as_deref()) } {
                Some(done) if connects && done.is_error(libc::EINPROGRESS) => {
                    waiting.next = Next::Connected;
                }
                Some(done) => return self.finish_waiting(&waiting, done),
                None if connects => {
                    return waits.insert_timed(waiting, Instant::now() + RETRY);
                }
                None => {}
            }
        }
        waits.insert(waiting);
        let errno = self.arm(waits, waiting.fd, waiting.events);
        if errno == 0 {
            return;
        }
        waits.remove(waiting.user_data);
        if errno == libc::EPERM {
            // Files on disks, and some devices, can't be waited for.
            // SAFETY: REQUEST-MEMORY, which `push` was promised.
            unsafe { workers.send(waiting.user_data, &waiting.request) };
        } else {
            self.finish_with(waiting.user_data, -errno);
        }
    }

    /// Tries what is queued, asks the kernel what is ready, and tries that. Waits if `wait`, at most for `limit`, and not if
    /// something is done.
    pub(crate) fn enter(
        &self,
        wait: bool,
        limit: Option<Duration>,
        workers: &Workers,
    ) -> io::Result<()> {
        self.submit(workers);
        let first_time = self.waits.borrow().next_time();
        let limit = if self.has_completions() || !wait {
            self.unasked.set(self.unasked.get() + 1);
            if self.has_completions() && self.unasked.get() < UNASKED {
                return Ok(());
            }
            Some(Duration::ZERO)
        } else {
            let until = first_time.map(|at| at.saturating_duration_since(Instant::now()));
            match (limit, until) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            }
        };
        self.unasked.set(0);
        self.enters.set(self.enters.get() + 1);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        let count = self.epoll.ask(&mut events, limit)?;
        for event in &events[..count] {
            let token = event.u64;
            if token == UNPARKED {
                self.unparker.clear();
            } else if let Ok(fd) = RawFd::try_from(token) {
                self.ready(fd, event.events);
            }
        }
        if first_time.is_some() {
            self.fire(workers);
        }
        Ok(())
    }

    /// Hands every completion that is there to `each`.
    pub(crate) fn reap(&self, mut each: impl FnMut(u64, Completion)) {
        loop {
            let next = self.done.borrow_mut().pop_front();
            let Some((user_data, completion)) = next else {
                return;
            };
            each(user_data, completion);
        }
    }

    /// Ends what was tried. A socket that connects was switched for the try, and waits again from now on.
    fn finish_waiting(&self, waiting: &Waiting, completion: Completion) {
        if waiting.connects() {
            set_blocking(waiting.fd);
        }
        self.finish(waiting.user_data, completion);
    }

    fn finish(&self, user_data: u64, completion: Completion) {
        self.done.borrow_mut().push_back((user_data, completion));
    }

    fn finish_with(&self, user_data: u64, result: i32) {
        self.finish(user_data, Completion::new(result, 0));
    }

    /// A descriptor is ready: tries what waits for it, in the order in which it came.
    fn ready(&self, fd: RawFd, events: u32) {
        let mut waits = self.waits.borrow_mut();
        let Some(watched) = waits.watched(fd) else {
            return;
        };
        watched.armed = 0;
        let lent = self.lent.borrow();
        let mut next = watched.first;
        let mut any = false;
        // What one could not do, those of its kind behind it can't either.
        let mut exhausted = None;
        while let Some(slot) = next {
            let Some(mut waiting) = waits.slots[slot] else {
                break;
            };
            next = waiting.link;
            let concerned = events & poll_bits(waiting.events | libc::POLLERR | libc::POLLHUP) != 0;
            if !concerned || exhausted == Some(waiting.kind()) {
                continue;
            }
            let moved = waiting.moved;
            // SAFETY: REQUEST-MEMORY, which `push` was promised.
            match unsafe { waiting.attempt(lent.as_deref()) } {
                Some(done) => {
                    any = true;
                    waits.remove(waiting.user_data);
                    self.finish_waiting(&waiting, done);
                }
                None => {
                    any |= waiting.moved != moved;
                    exhausted = Some(waiting.kind());
                    waits.slots[slot] = Some(waiting);
                }
            }
        }
        self.wait_on(&mut waits, fd, any);
    }

    /// Waits on for a descriptor; after many events in vain, with a pause. An error that nobody takes from a socket (its queue
    /// of errors is not empty, say) is reported again and again.
    fn wait_on(&self, waits: &mut Waits, fd: RawFd, any: bool) {
        let Some(watched) = waits.watched(fd) else {
            return;
        };
        watched.vain = if any { 0 } else { watched.vain + 1 };
        let vain = watched.vain;
        if watched.first.is_none() {
            return;
        }
        if vain > VAIN {
            let pause = RETRY * (1 << (vain - VAIN).min(5));
            waits.rests.insert((Instant::now() + pause, fd));
            return;
        }
        let wanted = waits.wanted(fd);
        let errno = self.arm(waits, fd, wanted);
        if errno != 0 {
            self.fail(waits, fd, errno);
        }
    }

    /// Nothing can be waited for on this descriptor any more.
    #[cold]
    fn fail(&self, waits: &mut Waits, fd: RawFd, errno: i32) {
        while let Some(slot) = waits.watched(fd).and_then(|watched| watched.first) {
            let Some(waiting) = waits.slots[slot] else {
                return;
            };
            waits.remove(waiting.user_data);
            self.finish_with(waiting.user_data, -errno);
        }
    }

    /// Ends the pauses that are over, and repeats the attempts that are due.
    #[cold]
    fn fire(&self, workers: &Workers) {
        let mut waits = self.waits.borrow_mut();
        let now = Instant::now();
        while let Some((at, fd)) = waits.rests.first().copied()
            && at <= now
        {
            waits.rests.pop_first();
            let wanted = waits.wanted(fd);
            if wanted != 0 {
                let errno = self.arm(&mut waits, fd, wanted);
                if errno != 0 {
                    self.fail(&mut waits, fd, errno);
                }
            }
        }
        while let Some((at, user_data)) = waits.times.first().copied() {
            if at > now {
                return;
            }
            let Some(waiting) = waits.remove(user_data) else {
                waits.times.pop_first();
                continue;
            };
            if matches!(waiting.request, Request::Pause { .. }) {
                self.finish_with(user_data, -libc::ETIME);
            } else {
                self.begin(&mut waits, waiting, true, workers);
            }
        }
    }

    /// Has the kernel report these events of a descriptor, and whatever else is waited for on it. Returns the error number, or
    /// zero.
    fn arm(&self, waits: &mut Waits, fd: RawFd, events: i16) -> i32 {
        match waits.watched(fd) {
            None => return libc::EBADF,
            Some(watched) if watched.armed & events == events => return 0,
            Some(_) => {}
        }
        let wanted = waits.wanted(fd);
        let Some(watched) = waits.watched(fd) else {
            return libc::EBADF;
        };
        let token = u64::try_from(fd).unwrap_or(UNPARKED);
        let control = |operation| {
            self.epoll
                .control(operation, fd, wanted, libc::EPOLLONESHOT, token)
        };
        let (first, second, other) = if watched.added {
            (libc::EPOLL_CTL_MOD, libc::EPOLL_CTL_ADD, libc::ENOENT)
        } else {
            (libc::EPOLL_CTL_ADD, libc::EPOLL_CTL_MOD, libc::EEXIST)
        };
        let mut errno = control(first);
        if errno == other {
            errno = control(second);
        }
        watched.added = errno == 0;
        watched.armed = if errno == 0 { wanted } else { 0 };
        errno
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::*;

    #[test]
    fn a_long_send_whose_peer_keeps_reading_is_never_left_alone() {
        const LEN: usize = 32 << 20;
        let unparker = Arc::new(Unparker::new().expect("an eventfd"));
        let workers = Workers::new(Arc::new(|_| ()), &unparker);
        let poller = Poller::new(&unparker, 8).expect("an epoll");
        let (ours, mut peer) = UnixStream::pair().expect("a pair");
        let reader = thread::spawn(move || {
            let mut bytes = vec![0; LEN];
            peer.read_exact(&mut bytes).expect("all of it");
        });
        let bytes = vec![7_u8; LEN];
        let send = Request::Send {
            fd: ours.as_raw_fd(),
            memory: bytes.as_ptr(),
            len: u32::try_from(LEN).expect("32 MiB"),
            flags: libc::MSG_WAITALL,
        };
        // SAFETY: REQUEST-MEMORY: the bytes outlive the loop, which ends with the completion.
        assert!(unsafe { poller.push(1, &send) } == Pushed::Taken);
        let mut sent = None;
        while sent.is_none() {
            poller.enter(true, None, &workers).expect("waits");
            let is_left_alone = !poller.waits.borrow().rests.is_empty();
            assert!(!is_left_alone, "each event brought something");
            poller.reap(|_, completion| sent = completion.len().ok());
        }
        assert_eq!(sent, Some(LEN));
        reader.join().expect("the reader");
    }
}
