//! The traits of std, for fibers.

use std::future::poll_fn;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::task::ready;

use camshaft_io::poll::{PollRead, PollWrite};
use camshaft_stackful::wait;

use super::adapter::{Adapter, adapter};

/// A stream of camshaft as one of `std::io`: reads and writes that look as if they blocked, for use in fibers.
///
/// While one waits, its fiber is suspended and others run. So what was written for `std::net::TcpStream` runs unchanged,
/// many times on one thread: line readers, parsers, serializers.
///
/// # Why borrowed buffers are sound here
///
/// A `read` takes a `&mut [u8]`, which may lie on the fiber's own stack, and a fiber may be aborted, panic or be forgotten
/// while it reads. So the kernel is never given that slice: it receives into a buffer that the runtime owns and picks
/// when there is something to receive (as with `recv()`), and the bytes are copied when they are there. A write is copied
/// first. Whatever becomes of the fiber's stack, the kernel uses memory of the runtime's, until its last word on the
/// operation. An abort need not wait for that word, and the fiber is unwound at once.
///
/// The copy costs what `memcpy` does: 11 µs for each MiB, measured where receiving a MiB over the loopback took 110 at
/// best. Where that is too much, [`wait`](crate::fiber::wait) for the methods of the stream itself, which take owned
/// buffers and copy nothing.
///
/// # Errors
///
/// Those of the stream. A write is over when the system has taken its bytes, so its errors are its own.
///
/// # Panics
///
/// As [`wait`](crate::fiber::wait): outside of a fiber, and while it unwinds.
///
/// # Cancellation
///
/// If the fiber is aborted while it reads, nothing is lost that a stream keeps which somebody else holds, too: what comes is
/// what the next read gets. A write that was begun is written to its end.
///
/// # Examples
///
/// ```no_run
/// use std::io::{BufRead, Write};
///
/// use camshaft::fiber::{self, StdIo};
/// use camshaft::net::TcpStream;
///
/// # #[camshaft::main]
/// # async fn main() -> std::io::Result<()> {
/// let fiber = fiber::spawn(|| -> std::io::Result<String> {
///     let mut stream = StdIo::new(fiber::wait(TcpStream::connect("127.0.0.1:6379"))?);
///     write!(stream, "PING\r\n")?;
///     let mut answer = String::new();
///     stream.read_line(&mut answer)?;
///     Ok(answer)
/// });
/// println!("{}", fiber.await??);
/// # Ok(())
/// # }
/// ```
pub struct StdIo<T>(Adapter<T>);

adapter!(StdIo);

impl<T: PollWrite> StdIo<T> {
    /// Shuts writing down: the peer reads the end of the stream. Reading goes on.
    ///
    /// # Errors
    ///
    /// What the system reports.
    ///
    /// # Panics
    ///
    /// As [`wait`](crate::fiber::wait).
    pub fn shutdown(&mut self) -> io::Result<()> {
        wait(poll_fn(|cx| self.0.poll_shutdown(cx)))
    }
}

impl<T: PollRead> Read for StdIo<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = buf.len();
        wait(poll_fn(|cx| {
            let put = |bytes: &[u8]| buf[..bytes.len()].copy_from_slice(bytes);
            self.0.poll_read(cx, room, put)
        }))
    }
}

impl<T: PollRead> BufRead for StdIo<T> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.rest().is_empty() {
            wait(poll_fn(|cx| self.0.poll_fill(cx).map_ok(drop)))?;
        }
        Ok(self.0.rest())
    }

    fn consume(&mut self, n: usize) {
        self.0.consume(n);
    }
}

impl<T: PollWrite> Write for StdIo<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut begun = None;
        wait(poll_fn(|cx| {
            let n = match begun {
                Some(n) => n,
                None => ready!(self.0.poll_write(cx, bufs.iter().map(|buf| &**buf)))?,
            };
            begun = Some(n);
            self.0.poll_flush(cx).map_ok(|()| n)
        }))
    }

    fn flush(&mut self) -> io::Result<()> {
        wait(poll_fn(|cx| self.0.poll_flush(cx)))
    }
}
