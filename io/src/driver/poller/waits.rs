//! What waits for readiness or for a time, found by its operation or by its descriptor.
//!
//! ```text
//!   slots[slot of the operation] ──> Waiting ──link──> Waiting ──link──> …
//!                                       ^
//!   watched[descriptor].first ──────────┘   in the order in which they came
//! ```

use std::collections::BTreeSet;
use std::mem::{Discriminant, discriminant};
use std::os::fd::RawFd;
use std::time::Instant;

use crate::driver::completion::Completion;
use crate::driver::lend::BufRing;
use crate::driver::request::{Needs, Request};

/// The flag of a completion that says that the socket has more (`IORING_CQE_F_SOCK_NONEMPTY`).
const MORE_THERE: u32 = 1 << 2;

/// After so many bytes of one send in a row the others have their turn. A peer may take them as fast as they come.
const MOST: i32 = 1 << 20;

/// What a request that waits does next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Tries when its descriptor is ready.
    Attempt,
    /// Asks how the connection attempt went when the socket is writable.
    Connected,
    /// Ends, or tries again, at a time.
    At(Instant),
}

#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub(super) user_data: u64,
    pub(super) request: Request,
    pub(super) fd: RawFd,
    pub(super) events: i16,
    pub(super) next: Next,
    /// How much of a send that has to be whole was sent.
    pub(super) moved: i32,
    /// The next one that waits for the same descriptor.
    pub(super) link: Option<usize>,
}

impl Waiting {
    pub(super) fn new(user_data: u64, request: Request) -> Self {
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

    /// Whether it waits for a connection to be made.
    pub(super) fn connects(&self) -> bool {
        matches!(self.request, Request::Connect { .. })
    }

    /// What it tries.
    pub(super) fn kind(&self) -> Discriminant<Request> {
        discriminant(&self.request)
    }

    /// Tries it. `None`: it has to wait, or to wait on.
    ///
    /// # Safety
    ///
    /// REQUEST-MEMORY.
    pub(super) unsafe fn attempt(&mut self, lent: Option<&BufRing>) -> Option<Completion> {
        let begin = self.moved;
        loop {
            if self.moved - begin >= MOST {
                return None;
            }
            let result = match self.next {
                Next::Connected => self.connected(),
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

    /// How a connection attempt went, if it is over: the event may be a stale one, of another socket that had this number.
    fn connected(&self) -> i32 {
        let (fd, events) = (self.fd, libc::POLLOUT);
        // SAFETY: no memory is passed on.
        match unsafe { Request::Poll { fd, events }.attempt() } {
            0.. => Request::connected(fd),
            error => error,
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
    pub(super) fn outcome(&self, result: i32) -> i32 {
        match (self.moved, result) {
            (0, _) => result,
            (moved, ..0) => moved,
            (moved, _) => moved + result,
        }
    }
}

#[derive(Clone, Copy, Default)]
pub(super) struct Watched {
    pub(super) first: Option<usize>,
    last: Option<usize>,
    /// The events that the kernel will report; zero if unknown.
    pub(super) armed: i16,
    /// Whether the epoll had the descriptor when it was last armed: a guess that decides which call is tried first.
    pub(super) added: bool,
    /// How many events in a row have brought nothing.
    pub(super) vain: u32,
}

#[derive(Default)]
pub(super) struct Waits {
    /// By the low half of the user data, which is a slot of the driver's table.
    pub(super) slots: Vec<Option<Waiting>>,
    /// By descriptor.
    watched: Vec<Watched>,
    pub(super) times: BTreeSet<(Instant, u64)>,
    /// Descriptors that are left alone for a while, because their events bring nothing.
    pub(super) rests: BTreeSet<(Instant, RawFd)>,
    pub(super) count: usize,
}

impl Waits {
    pub(super) fn watched(&mut self, fd: RawFd) -> Option<&mut Watched> {
        self.watched.get_mut(usize::try_from(fd).ok()?)
    }

    fn get(&self, user_data: u64) -> Option<Waiting> {
        let waiting = (*self.slots.get(slot_of(user_data))?)?;
        (waiting.user_data == user_data).then_some(waiting)
    }

    pub(super) fn insert(&mut self, mut waiting: Waiting) {
        if let Ok(fd) = usize::try_from(waiting.fd) {
            if self.watched.len() <= fd {
                self.watched.resize(fd + 1, Watched::default());
            }
            // At the end: first come, first tried.
            waiting.link = None;
            let slot = Some(slot_of(waiting.user_data));
            let last = self.watched[fd].last.replace(slot_of(waiting.user_data));
            match last.and_then(|last| self.slots[last].as_mut()) {
                Some(last) => last.link = slot,
                None => self.watched[fd].first = slot,
            }
        }
        self.put(waiting);
    }

    /// When something is to be done without an event.
    pub(super) fn next_time(&self) -> Option<Instant> {
        let time = self.times.first().map(|(at, _)| *at);
        let rest = self.rests.first().map(|(at, _)| *at);
        time.into_iter().chain(rest).min()
    }

    pub(super) fn insert_timed(&mut self, mut waiting: Waiting, at: Instant) {
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

    /// Takes a request out. `None` if it is not here.
    pub(super) fn remove(&mut self, user_data: u64) -> Option<Waiting> {
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
        let mut before = None;
        let mut next = watched.first;
        while next != Some(slot) {
            let Some(other) = next.and_then(|slot| self.slots[slot]) else {
                return;
            };
            before = next;
            next = other.link;
        }
        match before.and_then(|before| self.slots[before].as_mut()) {
            Some(before) => before.link = waiting.link,
            None => {
                if let Some(watched) = self.watched(waiting.fd) {
                    watched.first = waiting.link;
                }
            }
        }
        if waiting.link.is_none()
            && let Some(watched) = self.watched(waiting.fd)
        {
            watched.last = before;
        }
    }

    /// The events that any request waits for on a descriptor.
    pub(super) fn wanted(&mut self, fd: RawFd) -> i16 {
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
