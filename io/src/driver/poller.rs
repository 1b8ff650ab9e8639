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

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backend::Pushed;
use super::lend::BufRing;
use super::request::{Needs, Request};
use super::syscall::Timespec;
use super::table::Completion;
use super::unpark::Unparker;
use super::workers::Workers;

/// The token of the unparker's eventfd; those of descriptors are below.
const UNPARKED: u64 = u64::MAX;
/// The most events that one system call reports. What is left is reported by the next.
const EVENTS: usize = 256;
/// After this many enters that had no need to ask the kernel for events, because something was done anyway, it is asked.
const UNASKED: u32 = 8;
/// How long a connection to a Unix socket whose queue is full waits before it tries again: nothing reports that there is room.
const RETRY: Duration = Duration::from_millis(2);

/// The flag of a completion that says that the socket has more (`IORING_CQE_F_SOCK_NONEMPTY`).
const MORE_THERE: u32 = 1 << 2;

/// What a request that waits does next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Tries when its descriptor is ready.
    Attempt,
    /// Asks how the connection attempt went when the socket is writable.
    Connected,
    /// Ends, or tries again, at a time.
    At(Instant),
}

#[derive(Clone, Copy)]
struct Waiting {
    user_data: u64,
    request: Request,
    fd: RawFd,
    events: i16,
    next: Next,
    /// How much of a send that has to be whole was sent.
    moved: i32,
    /// The next one that waits for the same descriptor.
    link: Option<usize>,
}

impl Waiting {
    fn new(user_data: u64, request: Request) -> Self {
        let (fd, events) = match request.needs() {
            Needs::Ready { fd, events, .. } => (fd, events),
            _ => (-1, 0),
        };
        Self {
            user_data,
            request,
            fd,
            events,
            next: Next::Attempt,
            moved: 0,
            link: None,
        }
    }

    /// Tries it. `None`: it has to wait, or to wait on.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY.
    unsafe fn attempt(&mut self, lent: Option<&BufRing>) -> Option<Completion> {
        loop {
            let result = match self.next {
                Next::Connected => Request::connected(self.fd),
                Next::Attempt | Next::At(_) => {
                    if let Request::RecvLent { .. } = self.request {
                        // SAFETY: the caller's promise.
                        return unsafe { self.attempt_lent(lent?) };
                    }
                    // SAFETY: the caller's promise.
                    unsafe { self.request.attempt() }
                }
            };
            if result == -libc::EAGAIN && !self.request.is_hasty() {
                return None;
            }
            let rest = u32::try_from(result).ok().filter(|n| *n > 0);
            match rest.and_then(|n| self.request.rest_after(n)) {
                Some(rest) => {
                    self.request = rest;
                    self.moved += result;
                }
                None => return Some(Completion::new(self.outcome(result), self.flags(result))),
            }
        }
    }

    /// Receives into a lent buffer.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY.
    unsafe fn attempt_lent(&self, lent: &BufRing) -> Option<Completion> {
        let mut room = 0;
        let mut completion = lent.fill(|memory, len| {
            room = len;
            let flags = 0;
            let receive = Request::Recv {
                fd: self.fd,
                memory,
                len,
                flags,
                wait_first: false,
            };
            // SAFETY: the memory is the ring's to fill, and `len` bytes of it are there.
            unsafe { receive.attempt() }
        });
        if completion.is_error(libc::EAGAIN) {
            return None;
        }
        if u32::try_from(completion.result) == Ok(room) {
            completion.flags |= MORE_THERE;
        }
        Some(completion)
    }

    /// What the ring would say about the socket: a receive that filled its buffer may have left more.
    fn flags(&self, result: i32) -> u32 {
        match self.request {
            Request::Recv { len, .. } if u32::try_from(result) == Ok(len) => MORE_THERE,
            Request::RecvMsg { .. } if result > 0 => MORE_THERE,
            _ => 0,
        }
    }

    /// What a result means after some was sent before.
    fn outcome(&self, result: i32) -> i32 {
        match (self.moved, result) {
            (0, _) => result,
            (moved, ..0) => moved,
            (moved, _) => moved + result,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Watched {
    first: Option<usize>,
    /// The events that the kernel will report; zero if unknown.
    armed: i16,
    /// Whether the epoll had the descriptor when it was last armed: a guess that decides which call is tried first.
    added: bool,
}

#[derive(Default)]
struct Waits {
    /// By the low half of the user data, which is a slot of the driver's table.
    slots: Vec<Option<Waiting>>,
    /// By descriptor.
    watched: Vec<Watched>,
    times: BTreeSet<(Instant, u64)>,
    count: usize,
}

/// An epoll, and what waits in it.
pub(crate) struct Poller {
    epoll: OwnedFd,
    unparker: Arc<Unparker>,
    queue: RefCell<VecDeque<(u64, Request)>>,
    capacity: usize,
    waits: RefCell<Waits>,
    lent: RefCell<Option<Rc<BufRing>>>,
    done: RefCell<VecDeque<(u64, Completion)>>,
    unasked: Cell<u32>,
    /// Whether the kernel takes limits in nanoseconds (`epoll_pwait2`).
    precise: Cell<bool>,
    enters: Cell<u64>,
}

impl Poller {
    pub(crate) fn new(unparker: &Arc<Unparker>, entries: u32) -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        let poller = Self {
            epoll,
            unparker: unparker.clone(),
            queue: RefCell::default(),
            capacity: usize::try_from(entries.clamp(1, 32768)).unwrap_or(1),
            waits: RefCell::default(),
            lent: RefCell::default(),
            done: RefCell::default(),
            unasked: Cell::new(0),
            precise: Cell::new(true),
            enters: Cell::new(0),
        };
        let watch = poller.control(
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
        let connects = matches!(waiting.request, Request::Connect { .. });
        let lent = self.lent.borrow();
        if try_first {
            // SAFETY: REQUEST-MEMORY, which `push` was promised.
            match unsafe { waiting.attempt(lent.as_deref()) } {
                Some(done) if connects && done.is_error(libc::EINPROGRESS) => {
                    waiting.next = Next::Connected;
                }
                Some(done) => return self.finish(waiting.user_data, done),
                None if connects => {
                    return waits.insert_timed(waiting, Instant::now() + RETRY);
                }
                None => {}
            }
        }
        waits.insert(waiting);
        let errno = self.arm(waits, waiting.fd);
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
        let first_time = self.waits.borrow().times.first().map(|(at, _)| *at);
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
        let count = self.ask(&mut events, limit)?;
        for event in &events[..count] {
            let token = event.u64;
            if token == UNPARKED {
                self.unparker.clear();
            } else if let Ok(fd) = RawFd::try_from(token) {
                self.ready(fd, event.events);
            }
        }
        if first_time.is_some() {
            self.fire();
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

    fn finish(&self, user_data: u64, completion: Completion) {
        self.done.borrow_mut().push_back((user_data, completion));
    }

    fn finish_with(&self, user_data: u64, result: i32) {
        self.finish(user_data, Completion::new(result, 0));
    }

    fn ask(
        &self,
        events: &mut [libc::epoll_event; EVENTS],
        limit: Option<Duration>,
    ) -> io::Result<usize> {
        let most = EVENTS.try_into().unwrap_or(i32::MAX);
        let mut count = -1;
        if self.precise.get() {
            let spec = limit.map(Timespec::from);
            let spec = spec.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: the kernel writes as many events as there is room for, and reads the limit, which outlives the call.
            let result = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    self.epoll.as_raw_fd(),
                    events.as_mut_ptr(),
                    most,
                    spec,
                    std::ptr::null::<libc::sigset_t>(),
                    0_usize,
                )
            };
            count = i32::try_from(result).unwrap_or(-1);
            if count < 0 {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    Some(libc::EINTR) => return Ok(0),
                    // Before 5.11, or behind a filter that does not know it.
                    Some(libc::ENOSYS | libc::EPERM) => self.precise.set(false),
                    _ => return Err(error),
                }
            }
        }
        if !self.precise.get() {
            // Rounded up: never earlier than asked.
            let millis = limit.map_or(-1, |limit| {
                i32::try_from(limit.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
            });
            // SAFETY: the kernel writes as many events as there is room for.
            count = unsafe {
                libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), most, millis)
            };
        }
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::EINTR) => Ok(0),
                error => Err(error),
            },
        }
    }

    /// A descriptor is ready: tries what waits for it.
    fn ready(&self, fd: RawFd, events: u32) {
        let mut waits = self.waits.borrow_mut();
        let Some(watched) = waits.watched(fd) else {
            return;
        };
        watched.armed = 0;
        let lent = self.lent.borrow();
        let always = libc::POLLERR | libc::POLLHUP;
        let mut next = watched.first;
        while let Some(slot) = next {
            let Some(mut waiting) = waits.slots[slot] else {
                break;
            };
            next = waiting.link;
            if events & poll_bits(waiting.events | always) == 0 {
                continue;
            }
            // SAFETY: REQUEST-MEMORY, which `push` was promised.
            match unsafe { waiting.attempt(lent.as_deref()) } {
                Some(done) => {
                    waits.remove(waiting.user_data);
                    self.finish(waiting.user_data, done);
                }
                None => waits.slots[slot] = Some(waiting),
            }
        }
        if waits.watched(fd).is_some_and(|it| it.first.is_some()) {
            let errno = self.arm(&mut waits, fd);
            if errno != 0 {
                self.fail(&mut waits, fd, errno);
            }
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
    fn fire(&self) {
        let mut waits = self.waits.borrow_mut();
        let now = Instant::now();
        while let Some((at, user_data)) = waits.times.first().copied() {
            if at > now {
                return;
            }
            let Some(mut waiting) = waits.remove(user_data) else {
                waits.times.pop_first();
                continue;
            };
            if matches!(waiting.request, Request::Pause { .. }) {
                self.finish_with(user_data, -libc::ETIME);
                continue;
            }
            // SAFETY: REQUEST-MEMORY, which `push` was promised.
            match unsafe { waiting.attempt(None) } {
                Some(done) => self.finish(user_data, done),
                None => waits.insert_timed(waiting, now + RETRY),
            }
        }
    }

    /// Has the kernel report what the requests on a descriptor wait for. Returns the error number, or zero.
    fn arm(&self, waits: &mut Waits, fd: RawFd) -> i32 {
        let wanted = waits.wanted(fd);
        let Some(watched) = waits.watched(fd) else {
            return libc::EBADF;
        };
        if watched.armed & wanted == wanted {
            return 0;
        }
        let token = u64::try_from(fd).unwrap_or(UNPARKED);
        let control = |operation| self.control(operation, fd, wanted, libc::EPOLLONESHOT, token);
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

    fn control(&self, operation: i32, fd: RawFd, events: i16, flags: i32, token: u64) -> i32 {
        let mut event = libc::epoll_event {
            events: poll_bits(events) | flags.cast_unsigned(),
            u64: token,
        };
        // SAFETY: the kernel reads one event.
        let result =
            unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &raw mut event) };
        if result == 0 {
            return 0;
        }
        io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO)
    }
}

impl Waits {
    fn watched(&mut self, fd: RawFd) -> Option<&mut Watched> {
        self.watched.get_mut(usize::try_from(fd).ok()?)
    }

    fn get(&self, user_data: u64) -> Option<Waiting> {
        let waiting = (*self.slots.get(slot_of(user_data))?)?;
        (waiting.user_data == user_data).then_some(waiting)
    }

    fn insert(&mut self, mut waiting: Waiting) {
        if let Ok(fd) = usize::try_from(waiting.fd) {
            if self.watched.len() <= fd {
                self.watched.resize(fd + 1, Watched::default());
            }
            // At the end: first come, first tried.
            waiting.link = None;
            let slot = slot_of(waiting.user_data);
            match self.last_of(waiting.fd) {
                Some(last) => {
                    if let Some(last) = &mut self.slots[last] {
                        last.link = Some(slot);
                    }
                }
                None => self.watched[fd].first = Some(slot),
            }
        }
        self.put(waiting);
    }

    fn insert_timed(&mut self, mut waiting: Waiting, at: Instant) {
        waiting.next = Next::At(at);
        self.times.insert((at, waiting.user_data));
        self.put(waiting);
    }

    fn put(&mut self, waiting: Waiting) {
        let slot = slot_of(waiting.user_data);
        if self.slots.len() <= slot {
            self.slots.resize(slot + 1, None);
        }
        self.slots[slot] = Some(waiting);
        self.count += 1;
    }

    fn last_of(&self, fd: RawFd) -> Option<usize> {
        let mut last = self.watched.get(usize::try_from(fd).ok()?)?.first?;
        while let Some(next) = self.slots[last].and_then(|waiting| waiting.link) {
            last = next;
        }
        Some(last)
    }

    /// Takes a request out. `None` if it is not here.
    fn remove(&mut self, user_data: u64) -> Option<Waiting> {
        let waiting = self.get(user_data)?;
        let slot = slot_of(user_data);
        self.count -= 1;
        self.slots[slot] = None;
        if let Next::At(at) = waiting.next {
            self.times.remove(&(at, user_data));
        } else {
            self.unlink(slot, &waiting);
        }
        Some(waiting)
    }

    /// Takes a request off the list of its descriptor.
    fn unlink(&mut self, slot: usize, waiting: &Waiting) {
        let Some(watched) = self.watched(waiting.fd) else {
            return;
        };
        // The kernel may report what nobody waits for any more, once. ARMED.
        watched.armed = 0;
        if watched.first == Some(slot) {
            watched.first = waiting.link;
            return;
        }
        let mut next = watched.first;
        while let Some(before) = next.and_then(|slot| self.slots[slot].as_mut()) {
            if before.link == Some(slot) {
                before.link = waiting.link;
                return;
            }
            next = before.link;
        }
    }

    /// The events that any request waits for on a descriptor.
    fn wanted(&mut self, fd: RawFd) -> i16 {
        let mut next = self.watched(fd).and_then(|watched| watched.first);
        let mut wanted = 0;
        while let Some(waiting) = next.and_then(|slot| self.slots[slot]) {
            wanted |= waiting.events;
            next = waiting.link;
        }
        wanted
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is the slot")]
fn slot_of(user_data: u64) -> usize {
    user_data as u32 as usize
}

/// The bits of `poll` and of `epoll` are the same.
fn poll_bits(events: i16) -> u32 {
    u32::from(events.cast_unsigned())
}
