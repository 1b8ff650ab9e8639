//! The end of a driver: nothing is freed that the kernel may still write to.
//!
//! Invariant: LAST-WORD, see [`crate::driver`].

use std::mem;
use std::time::{Duration, Instant};

use super::lent::Lent;
use super::{DRAIN_LIMIT, Inner, NOTICE_LIMIT};
use crate::driver::lend::BufRing;
use crate::note::note;

impl Inner {
    /// Prepares the end in the one order that is safe: cancel, wait, unregister; closing comes last, with the drop.
    /// `false`: the kernel may still write to the memory of some operations, so all of it has to stay (LAST-WORD).
    pub(in crate::driver) fn drain(&self) -> bool {
        // What was reaped and not delivered yet.
        self.inherit();
        let begin = Instant::now();
        while self.table.borrow().in_flight() > 0 {
            // Again and again: a cancellation finds nothing while the kernel is between two tries of an operation.
            let keys = self.table.borrow().keys_in_flight().collect();
            drop(self.cancels.replace(keys));
            let waited = self.submit_and_wait(true, Some(Duration::from_millis(50)));
            self.inherit();
            if begin.elapsed() > NOTICE_LIMIT {
                self.give_up_notices();
            }
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

    /// The memory of a send without a copy is in use until its peer has taken everything. Who does not read may hold up
    /// neither the end nor the close of the connection.
    #[cold]
    fn give_up_notices(&self) {
        let deliveries = self.table.borrow_mut().give_up_notices();
        if deliveries.is_empty() {
            return;
        }
        note(format_args!(
            "the peers of {} sends without a copy have not taken everything at shutdown; their buffers are leaked",
            deliveries.len()
        ));
        for delivery in deliveries {
            self.count(|stats| stats.completed += 1);
            self.put_out(Some(delivery), &mut self.wakes.borrow_mut());
        }
        self.inherit();
    }

    #[cold]
    fn report_leak(&self) {
        let stuck = self.table.borrow().in_flight();
        note(format_args!(
            "the kernel has not finished {stuck} operations at shutdown; their buffers and the ring are leaked"
        ));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A driver that was dropped without `shutdown` (its owner panicked, say) must not free what the kernel uses.
        // Nor may one whose last wakes submitted something.
        let busy = self.table.get_mut().in_flight() > 0 || !self.takers.get_mut().is_empty();
        if busy && !self.is_forked() && !self.drain() {
            mem::forget(self.table.take());
            mem::forget(self.lent.take());
        }
    }
}
