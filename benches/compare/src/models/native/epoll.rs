//! Waiting for descriptors, by epoll.
//!
//! How a descriptor is registered is part of what is measured, so there are three ways ([`Policy`]). NtyCo adds and
//! removes a descriptor around each wait; arming it again each time saves one of the two calls; edge-triggered, it is
//! registered once, and whoever found it empty waits for the next edge.
//!
//! Whom an event is for is looked up in a table by descriptor, not in a tree: descriptors are small numbers.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft_probe::sys::check;

use super::scheduler::Driver;
use super::{Fiber, current, park, park_until};

/// Events taken from the kernel at once.
const EVENTS: u8 = u8::MAX;

/// What is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Interest {
    /// There is something to read, or an end.
    Read,
    /// There is room to write.
    Write,
}

/// How a descriptor is registered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Policy {
    /// Added before each wait and removed after it.
    AddRemove,
    /// Added once, and armed for each wait.
    OneShot,
    /// Added once, and never touched again.
    Edge,
}

/// What is known of a descriptor.
#[derive(Debug, Default)]
struct Slot {
    /// Those who wait to read and to write.
    waiters: [Option<Fiber>; 2],
    /// Edges that nobody has waited for yet.
    edges: [bool; 2],
    is_added: bool,
}

/// An epoll, as the driver of a scheduler.
#[derive(Debug)]
pub(crate) struct Epoll {
    epoll: OwnedFd,
    slots: RefCell<Vec<Slot>>,
    waiting: Cell<usize>,
    events: RefCell<Vec<libc::epoll_event>>,
}

impl Epoll {
    /// Makes one.
    pub(crate) fn new() -> io::Result<Rc<Self>> {
        // SAFETY: no memory is passed.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Rc::new(Self {
            // SAFETY: the descriptor is new and owned by nobody else.
            epoll: unsafe { OwnedFd::from_raw_fd(fd) },
            slots: RefCell::default(),
            waiting: Cell::new(0),
            events: RefCell::new(vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS.into()]),
        }))
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, events: u32) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events,
            u64: u64::from(fd.cast_unsigned()),
        };
        // SAFETY: the event lives during the call.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &raw mut event) })?;
        Ok(())
    }

    fn slot<T>(&self, fd: RawFd, call: impl FnOnce(&mut Slot) -> T) -> T {
        let at = usize::try_from(fd).expect("a descriptor that is open is not negative");
        let mut slots = self.slots.borrow_mut();
        if slots.len() <= at {
            slots.resize_with(at + 1, Slot::default);
        }
        call(&mut slots[at])
    }

    /// What a wait is for: this, and what somebody else waits for on the same descriptor.
    fn wanted(&self, fd: RawFd) -> u32 {
        self.slot(fd, |slot| {
            let [read, write] = &slot.waiters;
            let bit = |waiter: &Option<Fiber>, bit: libc::c_int| {
                waiter.as_ref().map_or(0, |_| bit.cast_unsigned())
            };
            bit(read, libc::EPOLLIN | libc::EPOLLRDHUP) | bit(write, libc::EPOLLOUT)
        })
    }

    /// Registers what is waited for now.
    fn arm(&self, fd: RawFd, policy: Policy) -> io::Result<()> {
        let shot = libc::EPOLLONESHOT.cast_unsigned();
        let is_added = self.slot(fd, |slot| std::mem::replace(&mut slot.is_added, true));
        match (policy, is_added) {
            (Policy::Edge, true) => Ok(()),
            (Policy::Edge, false) => {
                let all = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
                self.control(libc::EPOLL_CTL_ADD, fd, all.cast_unsigned())
            }
            (_, true) => self.control(libc::EPOLL_CTL_MOD, fd, self.wanted(fd) | shot),
            (_, false) => self.control(libc::EPOLL_CTL_ADD, fd, self.wanted(fd) | shot),
        }
    }

    /// Waits for a descriptor; false if the time is over first.
    fn wait_for(
        &self,
        fd: RawFd,
        interest: Interest,
        policy: Policy,
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        let side = interest as usize;
        if self.slot(fd, |slot| std::mem::take(&mut slot.edges[side])) {
            return Ok(true);
        }
        let waiter = Waiter {
            epoll: self,
            fd,
            side,
        };
        let replaced = self.slot(fd, |slot| slot.waiters[side].replace(current()));
        assert!(replaced.is_none(), "one fiber a direction of a descriptor");
        self.waiting.set(self.waiting.get() + 1);
        self.arm(fd, policy)?;
        let in_time = loop {
            let in_time = match deadline {
                Some(deadline) => park_until(deadline),
                None => {
                    park();
                    true
                }
            };
            if !waiter.is_waiting() || !in_time {
                break !waiter.is_waiting();
            }
        };
        drop(waiter);
        if policy == Policy::AddRemove && self.wanted(fd) == 0 {
            self.remove(fd)?;
        }
        Ok(in_time)
    }

    fn remove(&self, fd: RawFd) -> io::Result<()> {
        if self.slot(fd, std::mem::take).is_added {
            self.control(libc::EPOLL_CTL_DEL, fd, 0)?;
        }
        Ok(())
    }

    /// Has those know whom an event is for.
    fn deliver(&self, event: libc::epoll_event) {
        let (events, fd) = (event.events, event.u64);
        let fd = RawFd::try_from(fd).expect("it was put there as a descriptor");
        let both = libc::EPOLLERR | libc::EPOLLHUP;
        let last = events & (both | libc::EPOLLRDHUP).cast_unsigned() != 0;
        let bits = [
            libc::EPOLLIN | libc::EPOLLRDHUP | both,
            libc::EPOLLOUT | both,
        ];
        for (side, bits) in bits.into_iter().enumerate() {
            if events & bits.cast_unsigned() == 0 {
                continue;
            }
            let waiter = self.slot(fd, |slot| {
                let waiter = slot.waiters[side].take();
                // Nothing will be told after the end, so whoever takes a short read for all there is need not wait for it.
                slot.edges[side] = waiter.is_none() || last;
                waiter
            });
            if let Some(waiter) = waiter {
                self.waiting.set(self.waiting.get() - 1);
                waiter.unpark();
            }
        }
    }
}

impl Driver for Epoll {
    fn wait(&self, at_most: Option<Duration>) -> io::Result<()> {
        // Rounded up: to wake too early would only mean to wait again.
        let milliseconds = at_most.map_or(-1, |time| {
            i32::try_from(time.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
        });
        let mut events = self.events.borrow_mut();
        // SAFETY: the vector has room for so many events.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                events.as_mut_ptr(),
                EVENTS.into(),
                milliseconds,
            )
        };
        let count = match check(count) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            count => count?,
        };
        for event in events.iter().take(count.unsigned_abs() as usize) {
            self.deliver(*event);
        }
        Ok(())
    }

    fn expects(&self) -> bool {
        self.waiting.get() > 0
    }
}

/// A fiber's place in the table, until it is dropped, by an unwind as well.
struct Waiter<'a> {
    epoll: &'a Epoll,
    fd: RawFd,
    side: usize,
}

impl Waiter<'_> {
    fn is_waiting(&self) -> bool {
        self.epoll
            .slot(self.fd, |slot| slot.waiters[self.side].is_some())
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let left = self
            .epoll
            .slot(self.fd, |slot| slot.waiters[self.side].take());
        if left.is_some() {
            self.epoll.waiting.set(self.epoll.waiting.get() - 1);
        }
    }
}

/// Something with a descriptor that does not block, and that fibers wait for.
#[derive(Debug)]
pub(crate) struct Watched<S: AsRawFd> {
    epoll: Rc<Epoll>,
    policy: Policy,
    source: S,
}

impl<S: AsRawFd> Watched<S> {
    /// The source must not block: it says `WouldBlock` when it would.
    pub(crate) fn new(epoll: &Rc<Epoll>, policy: Policy, source: S) -> Self {
        Self {
            epoll: epoll.clone(),
            policy,
            source,
        }
    }

    /// The source.
    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// Waits until it is ready, or the deadline has passed: then it returns false.
    pub(crate) fn wait(&self, interest: Interest, deadline: Option<Instant>) -> io::Result<bool> {
        self.epoll
            .wait_for(self.source.as_raw_fd(), interest, self.policy, deadline)
    }

    /// Calls until the call does not say `WouldBlock`, and waits in between.
    pub(crate) fn retry<T>(
        &self,
        interest: Interest,
        mut call: impl FnMut(&S) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match call(&self.source) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait(interest, None)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl<S: AsRawFd> Drop for Watched<S> {
    fn drop(&mut self) {
        // Closing the descriptor, which comes next, would remove it as well; the slot is for the next one with its number.
        let _ = self.epoll.remove(self.source.as_raw_fd());
    }
}
