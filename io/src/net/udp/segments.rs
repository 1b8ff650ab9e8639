//! Several datagrams in one system call: split by the kernel when sent (GSO), joined by it when received (GRO).

use std::ffi::c_int;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::task::Context;

use socket2::SockAddr;

use super::UdpSocket;
use crate::buf::{BufResult, IoBuf, IoBufMut};
use crate::driver::{Completion, Request};
use crate::message::Message;
use crate::net::ToSocketAddrs;
use crate::net::addr::{addresses, resolve};
use crate::net::datagram::{Arrival, Datagrams, Receive, Shape};
use crate::op::{Op, Operation, Prepare, Step};
use crate::socket::Socket;

/// The most that one datagram carries over IPv4; a little less than over IPv6.
const DATAGRAM_MAX: usize = 65_507;
/// The most datagrams that every kernel with `UDP_SEGMENT` makes of one send.
const SEGMENTS_MAX: usize = 64;

/// What [`UdpSocket::recv_segmented`] received: datagrams of one sender, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segments {
    /// The bytes of all of them.
    pub len: usize,
    /// The length of each, except that the last may be shorter. At least 1, so that it can be used with `chunks`.
    pub segment_size: usize,
    /// Who sent them.
    pub sender: SocketAddr,
}

impl Shape for Segments {
    type Output = Self;

    fn of(len: usize, arrival: Arrival) -> io::Result<Self> {
        Ok(Self {
            len,
            segment_size: arrival.segment.unwrap_or(len).max(1),
            sender: arrival.sender()?,
        })
    }
}

impl UdpSocket {
    /// Sends a buffer as datagrams of a size to the peer that the socket is connected to; the last may be shorter. Returns how
    /// many bytes were sent: fewer than all if an error came after some of them.
    ///
    /// The kernel makes the datagrams of up to 64 KiB at a time (`UDP_SEGMENT`, Linux 4.18). Where it can't, they are sent
    /// one by one.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a size of zero, or above 65507. And as [`send`](Self::send).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak: some of the datagrams may have been sent.
    pub fn send_segmented<B: IoBuf>(
        &self,
        buf: B,
        segment_size: usize,
    ) -> impl Future<Output = BufResult<usize, B>> + use<'_, B> {
        Op::new(SendSegments::new(&self.socket, buf, segment_size, None))
    }

    /// Sends a buffer as datagrams of a size to an address, as [`send_segmented`](Self::send_segmented) does.
    ///
    /// # Errors
    ///
    /// As [`send_segmented`](Self::send_segmented) and [`send_to`](Self::send_to).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Weak: some of the datagrams may have been sent.
    pub fn send_segmented_to<B: IoBuf>(
        &self,
        buf: B,
        segment_size: usize,
        target: impl ToSocketAddrs,
    ) -> impl Future<Output = BufResult<usize, B>> {
        let addresses = addresses(target);
        async move {
            let target = match resolve(addresses).await {
                Ok(found) => found.map(SockAddr::from).next(),
                Err(error) => return (Err(error), buf),
            };
            Op::new(SendSegments::new(
                &self.socket,
                buf,
                segment_size,
                target.as_ref(),
            ))
            .await
        }
    }

    /// Has the kernel join datagrams of one sender and one length that arrive one after the other (`UDP_GRO`), for
    /// [`recv_segmented`](Self::recv_segmented). Other receives then get joined datagrams, too, and can't tell.
    ///
    /// # Errors
    ///
    /// `Unsupported` before Linux 5.0.
    pub fn set_gro(&self, on: bool) -> io::Result<()> {
        set_option(self, libc::UDP_GRO, on.into()).map_err(|error| {
            match error.raw_os_error() {
                Some(libc::ENOPROTOOPT) => io::Error::new(
                    io::ErrorKind::Unsupported,
                    "this kernel does not join UDP datagrams (UDP_GRO, Linux 5.0); receive them one by one",
                ),
                _ => error,
            }
        })?;
        self.socket.kind.joined.set(on);
        Ok(())
    }

    /// Whether datagrams may arrive joined.
    ///
    /// # Errors
    ///
    /// As [`set_gro`](Self::set_gro).
    pub fn gro(&self) -> io::Result<bool> {
        option(self, libc::UDP_GRO).map(|on| on != 0)
    }

    /// Receives datagrams of one sender, if [`set_gro`](Self::set_gro) was called, else one; and tells how long each is. The
    /// buffer should have room for 64 KiB: what does not fit is dropped.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict, as [`recv`](Self::recv).
    pub fn recv_segmented<B: IoBufMut>(
        &self,
        buf: B,
    ) -> impl Future<Output = BufResult<Segments, B>> + use<'_, B> {
        Op::new(Receive::<B, Segments>::new(&self.socket, buf, false))
    }
}

/// A send of several datagrams of one length.
struct SendSegments<B> {
    socket: Rc<Socket<Datagrams>>,
    buf: B,
    segment: usize,
    sent: usize,
    /// Whether the kernel is to make the datagrams.
    joined: bool,
    target: Option<SockAddr>,
    message: Box<Message>,
}

impl<B: IoBuf> SendSegments<B> {
    fn new(
        socket: &Rc<Socket<Datagrams>>,
        buf: B,
        segment: usize,
        target: Option<&SockAddr>,
    ) -> Self {
        Self {
            socket: socket.clone(),
            buf,
            segment,
            sent: 0,
            joined: true,
            target: target.cloned(),
            message: Message::new(),
        }
    }

    /// How many bytes the next system call sends.
    fn next_len(&self) -> usize {
        let rest = self.buf.as_slice().len() - self.sent;
        let most = if self.joined {
            (DATAGRAM_MAX / self.segment).clamp(1, SEGMENTS_MAX)
        } else {
            1
        };
        rest.min(most * self.segment)
    }

    /// Whether the kernel knows how to make the datagrams. Older ones would ignore that they are asked, and send one.
    fn is_supported(&self) -> bool {
        let known = self.socket.kind.splits.get();
        known.unwrap_or_else(|| {
            let supported = option(self.socket.fd(), libc::UDP_SEGMENT).is_ok();
            self.socket.kind.splits.set(Some(supported));
            supported
        })
    }
}

// SAFETY: OWNED: the message lies in a box, with its control data on the heap, and points into the storage of the buffer.
unsafe impl<B: IoBuf> Operation for SendSegments<B> {
    type Output = BufResult<usize, B>;

    fn prepare(mut self, _: &mut Context<'_>) -> Prepare<Self> {
        if !(1..=DATAGRAM_MAX).contains(&self.segment) {
            let error = io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the datagrams must have 1 to {DATAGRAM_MAX} bytes"),
            );
            return Prepare::Served((Err(error), self.buf));
        }
        if self.sent == self.buf.as_slice().len() {
            return Prepare::Served((Ok(self.sent), self.buf));
        }
        self.joined = self.joined && self.is_supported();
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        let len = self.next_len();
        let bytes = &self.buf.as_slice()[self.sent..self.sent + len];
        self.message.set_buffer(bytes.as_ptr().cast_mut(), len);
        self.message.set_name(self.target.as_ref());
        self.message.clear_control();
        if len > self.segment
            && let Ok(segment) = u16::try_from(self.segment)
        {
            self.message
                .put_control(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        Request::SendMsg {
            fd: self.socket.raw(),
            message: self.message.header(),
            flags: 0,
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        let was_joined = self.next_len() > self.segment;
        match completion.len() {
            Ok(n) => self.sent += n,
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // The route does not let the kernel make datagrams: its device computes no check sums.
                Some(libc::EIO | libc::EOPNOTSUPP) if was_joined => {
                    self.socket.kind.splits.set(Some(false));
                    self.joined = false;
                }
                // One of them would not fit into a packet; alone they may be sent in pieces.
                Some(libc::EINVAL | libc::EMSGSIZE) if was_joined => self.joined = false,
                _ if self.sent > 0 => return Step::Done((Ok(self.sent), self.buf)),
                _ => return Step::Done((Err(error), self.buf)),
            },
        }
        Step::Again(self)
    }

    fn inherit(self, _: Completion) {}
}

fn set_option(socket: &impl AsFd, name: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the kernel reads one integer.
    let set = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_UDP,
            name,
            (&raw const value).cast(),
            OPTION_LEN,
        )
    };
    if set < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn option(socket: &impl AsFd, name: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut len = OPTION_LEN;
    // SAFETY: the kernel writes one integer and its length.
    let asked = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_UDP,
            name,
            (&raw mut value).cast(),
            &raw mut len,
        )
    };
    if asked < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(value)
}

#[expect(clippy::cast_possible_truncation, reason = "four bytes")]
const OPTION_LEN: libc::socklen_t = size_of::<c_int>() as libc::socklen_t;
