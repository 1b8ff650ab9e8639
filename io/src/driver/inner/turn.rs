//! One turn: what is queued goes to the kernel, what it has done is reaped and delivered.
//!
//! Invariant: NO-BORROW, see [`crate::driver`].

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::task::Waker;
use std::time::Duration;

use super::lent::Lent;
use super::{FLUSHES, Inner, Taker, UNPARKED};
use crate::driver::backend::Pushed;
use crate::driver::foreign::{prefetch, quietly};

use crate::driver::completion::Completion;
use crate::driver::request::Request;
use crate::driver::table::{Delivery, Key};
use crate::driver::workers::Outcome;

impl Inner {
    /// One enter, and what goes with it.
    #[inline(always)]
    pub(in crate::driver) fn submit_and_wait(
        &self,
        wait: bool,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        let wait = self.flush_cancels() && wait && !self.workers.has_completions();
        self.port.enter(wait, limit, &self.workers)?;
        self.reap();
        Ok(())
    }

    /// Moves completions from the ring to the table and the outbox.
    #[inline(always)]
    pub(in crate::driver) fn reap(&self) {
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
        let mut unfound = Vec::new();
        self.port.reap(|user_data, mut completion| {
            if user_data == UNPARKED {
                return self.unparked(completion);
            }
            if let Some(key) = Key::of_cancellation(user_data) {
                if completion.is_error(libc::ENOENT) {
                    unfound.push(key);
                }
                return;
            }
            if completion.names_buffer() {
                self.book(&mut completion);
            }
            completed += u64::from(!completion.has_more());
            if let Some(works) = &mut *works
                && !completion.has_more()
            {
                works.end(user_data);
            }
            let delivery = table.complete(Key::from_user_data(user_data), completion);
            self.put_out(delivery, &mut wakes);
        });
        self.count(|stats| stats.completed += completed);
        // When all that have ended are known.
        unfound.retain(|key| table.was_not_found(*key));
        if !unfound.is_empty() {
            self.cancels.borrow_mut().extend(unfound);
        }
    }

    /// Notes which bytes of the lent buffers a completion brought, while the order of the completions tells.
    fn book(&self, completion: &mut Completion) {
        if let Lent::Open(ring) = &*self.lent.borrow() {
            ring.book(completion);
        }
    }

    /// Puts into the outbox whom a completion concerns.
    #[inline(always)]
    pub(super) fn put_out(&self, delivery: Option<Delivery>, wakes: &mut VecDeque<Waker>) {
        let (taker, completion) = match delivery {
            None => return,
            Some(Delivery::Wake(waker)) => {
                prefetch(waker.data());
                return wakes.push_back(waker);
            }
            Some(Delivery::Inherit(heir, completion)) => (Taker::Heir(heir), completion),
            Some(Delivery::Flow(sink, completion)) => (Taker::Sink(sink), completion),
        };
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
                works.end(user_data);
            }
            let delivery = self.table.borrow_mut().complete(key, completion);
            self.put_out(delivery, &mut self.wakes.borrow_mut());
            self.count(|stats| stats.completed += 1);
        }
    }

    fn retry(&self, key: Key, request: &Request) {
        // SAFETY: REQUEST-MEMORY, which was promised when it was first submitted, holds until its completion.
        if unsafe { self.port.push(key.user_data(), request) } != Pushed::Taken {
            // SAFETY: as before. The thread comes back with the same answer, and there may be room then.
            return unsafe { self.workers.send(key.user_data(), request) };
        }
        let mut table = self.table.borrow_mut();
        table.set_with_worker(key, false);
        if table.is_orphaned(key) {
            // Its cancellation found nothing to cancel.
            self.cancels.borrow_mut().push_back(key);
        }
    }

    /// Hands completions that nobody waits for to their heirs and sinks. A panic of a buffer's drop ends here: it concerns
    /// neither the loop nor the other operations, and least of all may it end a drain.
    #[inline(always)]
    pub(in crate::driver) fn inherit(&self) {
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
    pub(in crate::driver) fn wake(&self) {
        loop {
            let next = self.wakes.borrow_mut().pop_front();
            let Some(waker) = next else { break };
            waker.wake();
        }
        if !self.waiters.borrow().is_empty() && self.port.queued() < self.port.capacity() {
            let waiters = mem::take(&mut *self.waiters.borrow_mut());
            self.wakes.borrow_mut().extend(waiters.into_wakers());
            loop {
                let next = self.wakes.borrow_mut().pop_front();
                let Some(waker) = next else { break };
                waker.wake();
            }
        }
    }

    /// Hands a full queue to the kernel. An error shows again at the next enter of the loop, which reports it.
    #[cold]
    pub(super) fn make_room(&self) {
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
    pub(in crate::driver) fn flush_cancels(&self) -> bool {
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
            if unsafe { self.port.push(key.cancellation(), &request) } == Pushed::Full {
                return false;
            }
            cancels.pop_front();
        }
        true
    }

    /// Has the ring watch the unparker's eventfd. The epoll always does.
    #[inline(always)]
    pub(in crate::driver) fn watch(&self) {
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
}
