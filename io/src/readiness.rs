//! Waiting until a descriptor is ready, which takes nothing from it.
//!
//! What is done once it is ready is an ordinary system call that does not wait, made in the poll of the future. So dropping
//! such a future at any time loses nothing: what was not done yet is not done.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::task::Poll;

use crate::driver::{Completion, Request};
use crate::op::{Op, Operation, Step};

/// How many calls that never wait a thread makes before the task that makes them gives way.
const CALLS_IN_A_ROW: usize = 32;
/// So many bytes that a call moves count as another call.
const BYTES_OF_A_CALL: usize = 16 * 1024;

/// A wait for events of `poll` on a descriptor, which `F` keeps open until the wait is over, also if it was cancelled.
pub(crate) struct Wait<F> {
    fd: F,
    events: i16,
}

// SAFETY: OWNED: the request points to no memory.
unsafe impl<F: AsRawFd + 'static> Operation for Wait<F> {
    type Output = (io::Result<i16>, F);

    fn request(&mut self) -> Request {
        Request::Poll {
            fd: self.fd.as_raw_fd(),
            events: self.events,
        }
    }

    fn complete(self, completion: Completion) -> Step<Self> {
        match completion.value() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Again(self),
            // The kernel's poll masks that user space sees fit in 16 bits.
            result => {
                let events = result.map(|events| (events & 0xffff) as u16 as i16);
                Step::Done((events, self.fd))
            }
        }
    }

    fn inherit(self, _: Completion) {}
}

/// Waits until one of `events`, an error or a hang-up is there, and returns what is, with the owner of the descriptor.
pub(crate) fn wait<F: AsRawFd + 'static>(fd: F, events: i16) -> Op<Wait<F>> {
    Op::new(Wait { fd, events })
}

/// Lets other tasks run once in a while. For loops of system calls that never wait, with each of them; says how many bytes
/// the last one moved.
pub(crate) async fn give_way(moved: usize) {
    thread_local! {
        static CALLS: Cell<usize> = const { Cell::new(0) };
    }
    let calls = CALLS.get() + 1 + moved / BYTES_OF_A_CALL;
    if calls < CALLS_IN_A_ROW {
        return CALLS.set(calls);
    }
    CALLS.set(0);
    let mut gave_way = false;
    poll_fn(|cx| {
        if gave_way {
            return Poll::Ready(());
        }
        gave_way = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
