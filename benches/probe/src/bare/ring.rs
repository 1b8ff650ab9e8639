//! The completion floor: a bare io_uring loop, a hand-written state machine without tasks or futures.
//!
//! The best known way for one thread without provided buffers:
//!
//! - `SINGLE_ISSUER`, `DEFER_TASKRUN`, `SUBMIT_ALL` and `NO_SQARRAY`, and a registered ring descriptor;
//! - one `enter` per turn, which submits what the last turn queued and waits for one completion;
//! - one multishot accept; per connection one receive or one send in flight, into a buffer of its own;
//! - a receive is told `POLL_FIRST` when the last completion said that the socket was drained, which saves the kernel
//!   an attempt that would fail; a send is told `WAITALL`, so that a partial one is continued in the kernel;
//! - a close is queued like everything else.
//!
//! ```text
//! accept ─▶ receiving ─▶ sending ─▶ receiving …   end of file, error, or one reply when asked: closing ─▶ free
//! ```
//!
//! Invariant **in flight**: a connection has exactly one operation in flight from its accept to the completion of its
//! close. Its buffer lies in a box of its own that is neither moved nor freed while the process lives.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::squeue::Entry;
use io_uring::types::Fd;
use io_uring::{IoUring, SubmissionQueue, Submitter, cqueue, opcode};

use super::{Service, Work};

const ENTRIES: u32 = 4096;
/// `IORING_RECVSEND_POLL_FIRST` of linux/io_uring.h: wait for readiness before the first attempt.
const POLL_FIRST: u16 = 1;

/// What was in flight; the low bits of the user data, below the index of the connection.
const ACCEPT: u64 = 0;
const RECEIVE: u64 = 1;
const SEND: u64 = 2;
const CLOSE: u64 = 3;

/// Accepts and echoes for ever.
pub fn serve(listener: &TcpListener, service: Service, work: impl Work) -> io::Result<()> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_no_sqarray();
    let mut ring: IoUring = builder.build(ENTRIES)?;
    let (mut submitter, queue, mut completions) = ring.split();
    submitter.register_ring_fd()?;
    let mut server = Server {
        listener: listener.as_raw_fd(),
        service,
        work,
        ring: Submissions { submitter, queue },
        connections: Vec::new(),
        free: Vec::new(),
    };
    server.accept()?;
    loop {
        server.ring.submit(1)?;
        completions.sync();
        for completion in &mut completions {
            server.complete(&completion)?;
        }
    }
}

/// The submission side of the ring.
struct Submissions<'ring> {
    submitter: Submitter<'ring>,
    queue: SubmissionQueue<'ring>,
}

impl Submissions<'_> {
    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        if self.queue.is_full() {
            self.submit(0)?;
        }
        // SAFETY: *in flight*: the buffer that the entry names outlives the operation.
        unsafe { self.queue.push(entry) }.map_err(io::Error::other)
    }

    fn submit(&mut self, want: usize) -> io::Result<()> {
        self.queue.sync();
        match self.submitter.submit_and_wait(want) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        self.queue.sync();
        Ok(())
    }
}

struct Connection {
    fd: RawFd,
    buffer: Box<[u8]>,
    /// The last receive said that more is there.
    more: bool,
}

struct Server<'ring, W> {
    listener: RawFd,
    service: Service,
    work: W,
    ring: Submissions<'ring>,
    connections: Vec<Connection>,
    free: Vec<usize>,
}

impl<W: Work> Server<'_, W> {
    fn complete(&mut self, completion: &cqueue::Entry) -> io::Result<()> {
        let key = completion.user_data();
        let (index, result) = (
            usize::try_from(key >> 2).map_err(io::Error::other)?,
            completion.result(),
        );
        match key & 3 {
            ACCEPT => self.accepted(result, cqueue::more(completion.flags())),
            RECEIVE if result <= 0 => self.close(index),
            RECEIVE => {
                let connection = &mut self.connections[index];
                connection.more = cqueue::sock_nonempty(completion.flags());
                let count = result.unsigned_abs();
                (self.work)(&connection.buffer[..count as usize]);
                self.send(index, count)
            }
            SEND if result <= 0 || self.service.once => self.close(index),
            SEND => self.receive(index),
            CLOSE => {
                self.free.push(index);
                Ok(())
            }
            _ => unreachable!("two bits hold four values"),
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let accept = opcode::AcceptMulti::new(Fd(self.listener)).flags(libc::SOCK_CLOEXEC);
        self.ring.push(&accept.build().user_data(ACCEPT))
    }

    fn accepted(&mut self, result: i32, more: bool) -> io::Result<()> {
        if !more {
            self.accept()?;
        }
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        let index = self.free.pop().unwrap_or_else(|| {
            let buffer = vec![0; self.service.buffer].into();
            self.connections.push(Connection {
                fd: -1,
                buffer,
                more: false,
            });
            self.connections.len() - 1
        });
        self.connections[index].fd = result;
        self.connections[index].more = true;
        self.receive(index)
    }

    fn receive(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let (buffer, room) = (
            connection.buffer.as_mut_ptr(),
            length(connection.buffer.len()),
        );
        let ioprio = if connection.more { 0 } else { POLL_FIRST };
        let receive = opcode::Recv::new(Fd(connection.fd), buffer, room).ioprio(ioprio);
        self.ring
            .push(&receive.build().user_data(key(index, RECEIVE)))
    }

    fn send(&mut self, index: usize, count: u32) -> io::Result<()> {
        let connection = &self.connections[index];
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let send =
            opcode::Send::new(Fd(connection.fd), connection.buffer.as_ptr(), count).flags(flags);
        self.ring.push(&send.build().user_data(key(index, SEND)))
    }

    fn close(&mut self, index: usize) -> io::Result<()> {
        let close = opcode::Close::new(Fd(self.connections[index].fd));
        self.ring.push(&close.build().user_data(key(index, CLOSE)))
    }
}

fn key(index: usize, operation: u64) -> u64 {
    (index as u64) << 2 | operation
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
