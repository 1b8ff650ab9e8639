//! The one operation that reads and writes files: at an offset, at the position, of streams; in part or whole.
//!
//! ```text
//!   prepare:  the lane of the position, if it is used ─> what dropped reads left ─> inline ─> done
//!                                                                                     └─> submit
//!   complete: done, or again for the rest
//! ```
//!
//! A write to a stream raises no `SIGPIPE`, as [`crate::sigpipe`] has it. One to a terminal is made by another thread, out of
//! a copy: a terminal that has room for a byte claims to be writable, and then makes its writer wait for the rest.
//!
//! A transfer that uses the position holds its lane from its first step to its completion, and moves the position when its
//! future returns, whatever became of it. A stream has no position: what a dropped read brought is stashed for the next.

use std::ffi::c_int;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::goal::Goal;
use super::handle::{self, Changing, Cursor, Handle, Nature, Outlet};
use super::inline::{MOST_BYTES, Way};
use super::payload::Payload;
use crate::buf::BufResult;
use crate::driver::{self, APPEND, CURSOR, Completion, Request};
use crate::lane::{Direction, Turn};
use crate::offload::offload;
use crate::op::{Operation, Prepare, Step};
use crate::sigpipe::{Guard, guard, without_sigpipe};
use crate::stream::no_room;

/// The most bytes of one write by another thread.
const PORTION: usize = 64 << 10;

/// A transfer.
pub(super) struct Transfer<P, G> {
    handle: Rc<Handle>,
    payload: P,
    /// Where; at the position if `None`.
    offset: Option<u64>,
    /// Flags of `preadv2`, `pwritev2`.
    flags: c_int,
    begun: bool,
    turn: Option<Turn<Cursor>>,
    moved: usize,
    /// A write is in flight.
    changing: Option<Changing>,
    /// What is in flight waits for a stream that does not wait by itself to be ready.
    polling: bool,
    /// How a write to a stream raises no signal.
    guard: Guard,
    /// The write that another thread makes is this one's.
    elsewhere: bool,
    goal: PhantomData<G>,
}

/// What became of an inline try.
enum Tried {
    /// It is done.
    Done(io::Result<()>),
    /// The others are to have a turn first.
    GiveWay,
    /// The rest goes to the kernel's queue.
    Queue,
}

impl<P: Payload, G: Goal> Transfer<P, G> {
    const READS: bool = matches!(P::DIRECTION, Direction::Read);

    pub(super) fn new(handle: &Rc<Handle>, payload: P, offset: Option<u64>) -> Self {
        Self {
            handle: handle.clone(),
            payload,
            offset,
            flags: 0,
            begun: false,
            turn: None,
            moved: 0,
            changing: None,
            polling: false,
            guard: Guard::Flags(0),
            elsewhere: false,
            goal: PhantomData,
        }
    }

    /// With flags of `preadv2` or `pwritev2`.
    pub(super) fn with_flags(mut self, flags: c_int) -> Self {
        self.flags = flags;
        self
    }

    /// Checks what can be checked without the kernel. `Some`: it is over.
    fn begin(&mut self, nature: &Nature) -> Option<io::Result<()>> {
        self.begun = true;
        if self.payload.left() == 0 {
            return Some(if Self::READS { Err(no_room()) } else { Ok(()) });
        }
        if let Some(offset) = self.offset
            && i64::try_from(offset).is_err()
        {
            return Some(Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an offset in a file is at most i64::MAX",
            )));
        }
        if !nature.has_offsets {
            self.offset = None;
        }
        if self.offset.is_none() {
            // Reads and writes of a stream do not wait for each other; those at one position do.
            let lane = if nature.positioned {
                Direction::Read
            } else {
                P::DIRECTION
            };
            self.turn = Some(Turn::new(&self.handle.cursor, lane));
        }
        None
    }

    /// Where the rest goes, as the kernel is told.
    #[inline]
    fn place(&self, nature: &Nature) -> u64 {
        let start = match self.offset {
            Some(offset) => offset,
            None if !nature.positioned => return CURSOR,
            None if nature.appends && !Self::READS => return APPEND,
            None => self.handle.position(),
        };
        start.saturating_add(self.moved as u64)
    }

    #[inline]
    fn next_request(&mut self, nature: &Nature, flags: c_int) -> Request {
        let place = self.place(nature);
        self.payload
            .request(self.handle.fd(), place, self.flags | flags)
    }

    /// Tries to do it here and now, as far as [`super::inline`] allows.
    #[inline]
    fn try_inline(&mut self, cx: &Context<'_>, nature: &Nature) -> Tried {
        if nature.is_never_inline(P::DIRECTION) || self.flags != 0 {
            return Tried::Queue;
        }
        let driver = driver::expect_current();
        let handle = self.handle.clone();
        let mut way = handle.way(nature, P::DIRECTION);
        loop {
            if way == Way::Never
                || self.payload.left() > MOST_BYTES
                || !handle.gate(P::DIRECTION, |gate| gate.admits(handle::now))
            {
                return Tried::Queue;
            }
            if !handle::allowance(|allowance| allowance.take(driver.turns())) {
                cx.waker().wake_by_ref();
                return Tried::GiveWay;
            }
            let asked = self.payload.left();
            let result = if way == Way::Plain {
                self.call_timed(nature)
            } else {
                self.call(nature, libc::RWF_NOWAIT)
            };
            match result {
                Ok(0) => return Tried::Done(self.short()),
                Ok(n) => {
                    handle::allowance(|allowance| allowance.spend(n));
                    handle.gate(P::DIRECTION, |gate| gate.hit());
                    // SAFETY: the kernel has moved `n` bytes.
                    unsafe { self.payload.advance(n) };
                    self.moved += n;
                    // A part that is short ends at the end of the file, or where the cache does.
                    if n == asked && (!G::ALL || self.payload.left() == 0) {
                        return Tried::Done(Ok(()));
                    }
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => {
                        handle.gate(P::DIRECTION, |gate| gate.missed());
                        return Tried::Queue;
                    }
                    Some(libc::EINTR) => return Tried::Queue,
                    // Some file systems say so with EINVAL; what is really invalid is found so again.
                    Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) if way == Way::Nowait => {
                        way = handle.decline(P::DIRECTION);
                    }
                    _ => return Tried::Done(self.failed(error)),
                },
            }
        }
    }

    #[inline]
    fn call(&mut self, nature: &Nature, flags: c_int) -> io::Result<usize> {
        let request = self.next_request(nature, flags);
        // SAFETY: REQUEST-MEMORY: the payload lives through the call.
        let result = unsafe { request.perform_here() };
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    }

    fn call_timed(&mut self, nature: &Nature) -> io::Result<usize> {
        let before = handle::now();
        let result = self.call(nature, 0);
        let after = handle::now();
        self.handle
            .gate(P::DIRECTION, |gate| gate.took(after - before, after));
        result
    }

    /// Writes to a stream what there is room for.
    fn write_now(&mut self) -> io::Result<usize> {
        let nature = self.handle.nature();
        let request = self.next_request(&nature, 0);
        let result = without_sigpipe(|| {
            // SAFETY: REQUEST-MEMORY: the payload lives through the call.
            unsafe { request.attempt() }
        });
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    }

    /// Has another thread write, once that of a dropped transfer is over.
    #[cold]
    fn write_elsewhere(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        loop {
            let cursor = self.handle.cursor.clone();
            let mut write = cursor.elsewhere.take().unwrap_or_else(|| {
                self.elsewhere = true;
                let bytes = self.payload.upcoming();
                let bytes = bytes[..bytes.len().min(PORTION)].to_vec();
                let file = self.handle.file.clone();
                Box::pin(offload(move || without_sigpipe(|| (&*file).write(&bytes))))
            });
            let Poll::Ready(result) = write.as_mut().poll(cx) else {
                cursor.elsewhere.set(Some(write));
                return Prepare::Wait(self);
            };
            if mem::take(&mut self.elsewhere) {
                match self.take_result(result) {
                    Some(result) => return Prepare::Served(self.finish(result)),
                    None if self.polling => return Prepare::Submit(self),
                    None => {}
                }
            }
        }
    }

    /// Takes note of what was moved. `None`: there is more to be done, or it is to be done again.
    #[inline]
    fn take_result(&mut self, result: io::Result<usize>) -> Option<io::Result<()>> {
        match result {
            Ok(0) => Some(self.short()),
            Ok(n) => {
                // SAFETY: the kernel has moved `n` bytes.
                unsafe { self.payload.advance(n) };
                self.moved += n;
                (!G::ALL || self.payload.left() == 0).then_some(Ok(()))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock && !self.handle.nature().regular =>
            {
                self.polling = true;
                None
            }
            Err(error) => Some(self.failed(error)),
        }
    }

    /// Nothing more comes, or is taken.
    fn short(&self) -> io::Result<()> {
        G::SHORT.map_or(Ok(()), |kind| Err(kind.into()))
    }

    /// A part that was moved before the error counts more: the error comes again.
    fn failed(&mut self, error: io::Error) -> io::Result<()> {
        if !G::ALL && self.moved > 0 {
            return Ok(());
        }
        if error.raw_os_error() == Some(libc::EINVAL) && self.handle.nature().direct {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the file is open with O_DIRECT: the address of the buffer, the length and the offset must be multiples \
                 of the block size of the device, 512 or 4096; AlignedBuf has the alignment",
            ));
        }
        Err(error)
    }

    fn finish(self, result: io::Result<()>) -> BufResult<G::Output, P::Buffer> {
        if self.turn.is_some() && self.moved > 0 {
            let nature = self.handle.nature();
            match self.place(&nature) {
                APPEND => self.handle.adopt_position(),
                CURSOR => {}
                place => self.handle.set_position(place),
            }
        }
        let moved = self.moved;
        (
            result.map(|()| G::output(moved)),
            self.payload.into_buffer(),
        )
    }

    /// Gives back what a read that nobody waits for took from a stream.
    fn give_back(&mut self) {
        if Self::READS && self.moved > 0 && !self.handle.nature().positioned {
            self.handle.stash(self.payload.received());
        }
    }

    /// Takes what dropped reads left. Whether that is all that was wanted.
    fn take_stashed(&mut self) -> bool {
        let (handle, payload) = (self.handle.clone(), &mut self.payload);
        let mut taken = 0;
        handle.unstash(|bytes| {
            taken = payload.fill_from(bytes);
            taken
        });
        self.moved += taken;
        !G::ALL || self.payload.left() == 0
    }
}

// SAFETY: OWNED: the request points to what the payload owns.
unsafe impl<P: Payload, G: Goal> Operation for Transfer<P, G> {
    type Output = BufResult<G::Output, P::Buffer>;

    #[inline]
    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        let nature = self.handle.nature();
        if !self.begun
            && let Some(over) = self.begin(&nature)
        {
            return Prepare::Served(self.finish(over));
        }
        if let Some(turn) = &mut self.turn
            && turn.poll(cx).is_pending()
        {
            return Prepare::Wait(self);
        }
        if Self::READS && self.handle.has_stash() && !nature.positioned && self.take_stashed() {
            return Prepare::Served(self.finish(Ok(())));
        }
        if self.polling {
            return Prepare::Submit(self);
        }
        if !Self::READS {
            match nature.outlet {
                Outlet::Plain => {}
                Outlet::Signals => {
                    self.guard = guard();
                    self.polling = self.guard == Guard::Mask;
                    return Prepare::Submit(self);
                }
                Outlet::Waits => return self.write_elsewhere(cx),
            }
        }
        match self.try_inline(cx, &nature) {
            Tried::Done(result) => Prepare::Served(self.finish(result)),
            Tried::GiveWay => Prepare::Wait(self),
            Tried::Queue => Prepare::Submit(self),
        }
    }

    #[inline]
    fn request(&mut self) -> Request {
        if self.polling {
            return Request::Poll {
                fd: self.handle.fd(),
                events: match P::DIRECTION {
                    Direction::Read => libc::POLLIN,
                    Direction::Write => libc::POLLOUT,
                },
            };
        }
        if !Self::READS {
            self.changing = Some(self.handle.change());
        }
        let nature = self.handle.nature();
        let flags = match self.guard {
            Guard::Flags(flags) => flags,
            Guard::Mask => 0,
        };
        self.next_request(&nature, flags)
    }

    #[inline]
    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.changing = None;
        let result = if mem::take(&mut self.polling) {
            match completion.value() {
                Ok(_) if self.guard == Guard::Mask => self.write_now(),
                Ok(_) => return Step::Again(self),
                Err(error) => {
                    let result = self.failed(error);
                    return Step::Done(self.finish(result));
                }
            }
        } else {
            completion.len()
        };
        match self.take_result(result) {
            Some(result) => Step::Done(self.finish(result)),
            None => Step::Again(self),
        }
    }

    fn inherit(mut self, completion: Completion) {
        if !self.polling
            && Self::READS
            && let Ok(n) = completion.len()
        {
            // SAFETY: the kernel has moved `n` bytes.
            unsafe { self.payload.advance(n) };
            self.moved += n;
        }
        self.give_back();
    }

    fn abandon(mut self) {
        self.give_back();
    }
}
