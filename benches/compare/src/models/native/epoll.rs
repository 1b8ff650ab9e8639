//! Waiting for descriptors, by epoll.
//!
//! How a descriptor is registered is part of what is measured, so there are three ways ([`Policy`]). NtyCo adds and
//! removes a descriptor around each wait; arming it again each time saves one of the two calls; edge-triggered, it is
//! registered once, and whoever found it empty waits for the next edge.
//!
//! Whom an event is for is looked up in a table by descriptor, not in a tree: descriptors are small numbers.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft_probe::poller::{EDGES, Poller};

use super::scheduler::Driver;
use super::{Fiber, current, park, park_until};

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
    poller: RefCell<Poller>,
    slots: RefCell<Vec<Slot>>,
    waiting: Cell<usize>,
}

impl Epoll {
    /// Makes one.
    pub(crate) fn new() -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            poller: RefCell::new(Poller::new()?),
            slots: RefCell::default(),
            waiting: Cell::new(0),
        }))
    }

    fn slot<T>(&self, fd: RawFd, call: impl FnOnce(&mut Slot) -> T) -> T {
        let at = token(fd);
        let mut slots = self.slots.borrow_mut();
        if slots.len() <= at {
            slots.resize_with(at + 1, Slot::default);
        }
        call(&mut slots[at])
    }

    /// What a wait is for: this, and what somebody else waits for on the same descriptor.
    fn wanted(&self, fd: RawFd) -> i32 {
        self.slot(fd, |slot| {
            let [read, write] = &slot.waiters;
            let bit = |waiter: &Option<Fiber>, bit| waiter.as_ref().map_or(0, |_| bit);
            bit(read, libc::EPOLLIN | libc::EPOLLRDHUP) | bit(write, libc::EPOLLOUT)
        })
    }

    /// Registers what is waited for now.
    fn arm(&self, fd: RawFd, policy: Policy) -> io::Result<()> {
        let is_added = self.slot(fd, |slot| std::mem::replace(&mut slot.is_added, true));
        let poller = self.poller.borrow();
        match (policy, is_added) {
            (Policy::Edge, true) => Ok(()),
            (Policy::Edge, false) => poller.add(fd, EDGES, token(fd)),
            (_, true) => poller.change(fd, self.wanted(fd) | libc::EPOLLONESHOT, token(fd)),
            (_, false) => poller.add(fd, self.wanted(fd) | libc::EPOLLONESHOT, token(fd)),
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
            self.poller.borrow().remove(fd)?;
        }
        Ok(())
    }

    /// Has those know whom events of a descriptor are for.
    fn deliver(&self, fd: RawFd, events: i32) {
        let both = libc::EPOLLERR | libc::EPOLLHUP;
        let last = events & (both | libc::EPOLLRDHUP) != 0;
        let bits = [
            libc::EPOLLIN | libc::EPOLLRDHUP | both,
            libc::EPOLLOUT | both,
        ];
        for (side, bits) in bits.into_iter().enumerate() {
            if events & bits == 0 {
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
        let count = self.poller.borrow_mut().wait_for(at_most)?;
        let poller = self.poller.borrow();
        for index in 0..count {
            let fd = RawFd::try_from(poller.token(index)).map_err(io::Error::other)?;
            self.deliver(fd, poller.events(index));
        }
        Ok(())
    }

    fn expects(&self) -> bool {
        self.waiting.get() > 0
    }
}

/// What the kernel is to say of a descriptor, and its place in the table.
fn token(fd: RawFd) -> usize {
    usize::try_from(fd).expect("a descriptor that is open is not negative")
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
