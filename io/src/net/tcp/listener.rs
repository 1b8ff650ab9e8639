//! A socket that listens, and the operation that accepts.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Waker};

use slab::Slab;
use socket2::{SockAddr, SockAddrStorage, SockRef};

use super::{IntoStdError, TcpStream, connect};
use crate::driver::{self, Completion, Request, Timespec};
use crate::net::ToSocketAddrs;
use crate::net::addr::{addresses, resolve};
use crate::op::{Op, Operation, Prepare, Step};

/// The longest queue of connections that wait to be accepted; the system may cut it (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// How long an accept waits before it tries again after there was no descriptor or memory for a connection.
static PAUSE: Timespec = Timespec {
    seconds: 0,
    nanoseconds: 20_000_000,
};

/// A TCP socket that listens for connections.
///
/// # Examples
///
/// ```no_run
/// # async fn serve() -> std::io::Result<()> {
/// use camshaft_io::net::TcpListener;
///
/// let listener = TcpListener::bind("127.0.0.1:8080").await?;
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     println!("{peer} is here");
///     drop(stream);
/// }
/// # }
/// ```
pub struct TcpListener {
    shared: Rc<Shared>,
}

struct Shared {
    fd: OwnedFd,
    /// Connections that were accepted for a future that had been dropped.
    stash: RefCell<VecDeque<Accepted>>,
    /// Accepts whose future is gone and whose completion is not there yet.
    unsettled: Cell<usize>,
    /// Who waits for a connection, and is to look when one is stashed.
    waiting: RefCell<Slab<Waker>>,
    /// A connection waits, and the kernel may have told only an accept that was dropped: one of the others starts over.
    missed: Cell<bool>,
    /// The last accept found no descriptor or no memory.
    starved: Cell<bool>,
}

type Accepted = io::Result<(OwnedFd, SocketAddr)>;

impl TcpListener {
    /// Binds to the first address that can be bound, and listens. Sets `SO_REUSEADDR`, as std does.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `PermissionDenied` (ports below 1024), `AddrNotAvailable`, and those of
    /// [`lookup_host`](crate::net::lookup_host).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime and the address is a name.
    ///
    /// # Cancellation
    ///
    /// Nothing is bound if the future is dropped.
    pub fn bind(address: impl ToSocketAddrs) -> impl Future<Output = io::Result<Self>> {
        let addresses = addresses(address);
        async move {
            let mut last = io::ErrorKind::InvalidInput.into();
            for address in resolve(addresses).await? {
                match Self::listen(address) {
                    Ok(listener) => return Ok(listener),
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
    }

    fn listen(address: SocketAddr) -> io::Result<Self> {
        let fd = connect::socket(address)?;
        let socket = SockRef::from(&fd);
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self::new(fd))
    }

    fn new(fd: OwnedFd) -> Self {
        Self {
            shared: Rc::new(Shared {
                fd,
                stash: RefCell::default(),
                unsettled: Cell::new(0),
                waiting: RefCell::default(),
                missed: Cell::new(false),
                starved: Cell::new(false),
            }),
        }
    }

    /// Accepts a connection.
    ///
    /// # Errors
    ///
    /// What the system reports. With no descriptor left (`EMFILE`, `ENFILE`) the connection stays in the queue and the
    /// listener lives on; the next accept then waits 20 ms first, so that a loop that ignores the error does not spin.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: a connection that was accepted all the same is what the next accept returns.
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + use<'_> {
        Op::new(Accept::new(self.shared.clone()))
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    ///
    /// What `getsockname` reports.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = SockRef::from(self).local_addr()?;
        address.as_socket().ok_or_else(not_an_address)
    }

    /// Sets the time to live of packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What `setsockopt` reports.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        SockRef::from(self).set_ttl_v4(ttl)
    }

    /// The time to live of packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What `getsockopt` reports.
    pub fn ttl(&self) -> io::Result<u32> {
        SockRef::from(self).ttl_v4()
    }

    /// Takes over a listener of std, and makes it blocking, which is what the ring needs.
    ///
    /// # Errors
    ///
    /// What `fcntl` reports.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(false)?;
        Ok(Self::new(listener.into()))
    }

    /// Turns it into a listener of std, which is blocking.
    ///
    /// # Errors
    ///
    /// If connections are stashed that a dropped accept brought: accept them first. The listener comes back with the
    /// error.
    pub fn into_std(self) -> Result<std::net::TcpListener, IntoStdError<Self>> {
        self.settle();
        if !self.shared.stash.borrow().is_empty() {
            return Err(IntoStdError {
                socket: self,
                error: io::Error::other("accepted connections are stashed; accept them first"),
            });
        }
        // The descriptor is shared with cancelled operations until they settle, so it is duplicated, not moved.
        match self.shared.fd.try_clone() {
            Ok(fd) => Ok(fd.into()),
            Err(error) => Err(IntoStdError {
                socket: self,
                error,
            }),
        }
    }

    fn settle(&self) {
        if self.shared.unsettled.get() > 0
            && let Some(driver) = driver::current()
        {
            driver.settle(|| self.shared.unsettled.get() == 0);
        }
    }
}

impl Drop for TcpListener {
    /// Closes the socket. Accepts that were cancelled but not yet given up by the kernel are settled first, so that the
    /// address is free.
    fn drop(&mut self) {
        self.settle();
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.fd.as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.fd.as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("fd", &self.as_raw_fd())
            .field("local_addr", &self.local_addr().ok())
            .finish()
    }
}

pub(super) fn not_an_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the socket's address is neither IPv4 nor IPv6",
    )
}

/// Where the kernel puts the address of the peer.
struct Peer {
    storage: SockAddrStorage,
    len: libc::socklen_t,
}

impl Peer {
    fn address(self) -> io::Result<SocketAddr> {
        // SAFETY: the kernel wrote an address of this length; the rest is zero.
        let address = unsafe { SockAddr::new(self.storage, self.len) };
        address.as_socket().ok_or_else(not_an_address)
    }
}

struct Accept {
    listener: Rc<Shared>,
    peer: Box<Peer>,
    /// The request in flight is the pause, not the accept.
    pausing: bool,
    /// Its place among those who wait.
    place: Option<usize>,
}

impl Shared {
    fn unstash(&self) -> Option<Accepted> {
        self.stash.borrow_mut().pop_front()
    }

    /// Whether a connection waits to be accepted. A system call that does not wait.
    fn is_readable(&self) -> bool {
        let mut poll = libc::pollfd {
            fd: self.fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: the kernel reads and writes one `pollfd`, which outlives the call.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 }
    }

    /// A dropped accept has settled: those who wait look into the stash, or submit.
    fn wake_waiting(&self) {
        if self.waiting.borrow().is_empty() {
            return;
        }
        // Of several accepts that wait, the kernel tells one of a connection, and if that one is being cancelled, nobody.
        if self.stash.borrow().is_empty() && self.is_readable() {
            self.missed.set(true);
        }
        let wakers: Vec<Waker> = self
            .waiting
            .borrow()
            .iter()
            .map(|(_, w)| w.clone())
            .collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Accept {
    fn new(listener: Rc<Shared>) -> Self {
        Self {
            listener,
            peer: Box::new(Peer {
                storage: SockAddrStorage::zeroed(),
                len: 0,
            }),
            pausing: false,
            place: None,
        }
    }

    /// Leaves the waker with the listener.
    fn wait(&mut self, cx: &Context<'_>) {
        let known = |place: usize| self.listener.waiting.borrow()[place].will_wake(cx.waker());
        if self.place.is_some_and(known) {
            return;
        }
        self.wait_no_more();
        let waker = cx.waker().clone();
        self.place = Some(self.listener.waiting.borrow_mut().insert(waker));
    }

    fn wait_no_more(&mut self) {
        if let Some(place) = self.place.take() {
            let waker = self.listener.waiting.borrow_mut().remove(place);
            drop(waker);
        }
    }

    fn accepted(self, completion: Completion) -> Accepted {
        let fd = completion.value()?;
        let fd = RawFd::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
        // SAFETY: a descriptor that the kernel just made for this accept.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok((fd, self.peer.address()?))
    }
}

fn into_stream(accepted: Accepted) -> io::Result<(TcpStream, SocketAddr)> {
    accepted.map(|(fd, peer)| (TcpStream::new(fd), peer))
}

// SAFETY: OWNED: the request points into `peer`, which lies in a box, or to a static.
unsafe impl Operation for Accept {
    type Output = io::Result<(TcpStream, SocketAddr)>;

    fn prepare(mut self, cx: &mut Context<'_>) -> Prepare<Self> {
        if let Some(accepted) = self.listener.unstash() {
            self.wait_no_more();
            return Prepare::Served(into_stream(accepted));
        }
        self.wait(cx);
        // What a dropped accept takes is for this one, which must not pass it by.
        if self.listener.unsettled.get() > 0 {
            return Prepare::Wait(self);
        }
        self.pausing = self.listener.starved.replace(false);
        Prepare::Submit(self)
    }

    fn request(&mut self) -> Request {
        if self.pausing {
            return Request::Pause { span: &PAUSE };
        }
        self.peer.len = self.peer.storage.size_of();
        let peer = &raw mut *self.peer;
        Request::Accept {
            fd: self.listener.fd.as_raw_fd(),
            // SAFETY: a field of a valid box.
            address: unsafe { &raw mut (*peer).storage }.cast(),
            // SAFETY: a field of a valid box.
            len: unsafe { &raw mut (*peer).len },
        }
    }

    fn overtake(&mut self, cx: &Context<'_>) -> Option<Step<Self>> {
        self.wait(cx);
        match self.listener.unstash() {
            Some(accepted) => Some(Step::Done(into_stream(accepted))),
            None if self.listener.missed.take() => {
                Some(Step::Again(Self::new(self.listener.clone())))
            }
            None => None,
        }
    }

    fn complete(mut self, completion: Completion) -> Step<Self> {
        self.wait_no_more();
        if mem::take(&mut self.pausing) {
            return Step::Again(self);
        }
        match completion.value().err().and_then(|e| e.raw_os_error()) {
            // The peer was gone before it was accepted, or a signal came: that concerns nobody.
            Some(libc::EINTR | libc::ECONNABORTED | libc::EPROTO) => Step::Again(self),
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                self.listener.starved.set(true);
                Step::Done(into_stream(self.accepted(completion)))
            }
            _ => Step::Done(into_stream(self.accepted(completion))),
        }
    }

    fn disown(&mut self) {
        self.wait_no_more();
        self.listener.unsettled.update(|n| n + 1);
    }

    fn inherit(self, completion: Completion) {
        let listener = self.listener.clone();
        listener.unsettled.update(|n| n - 1);
        if !self.pausing && completion.value().is_ok() {
            let accepted = self.accepted(completion);
            listener.stash.borrow_mut().push_back(accepted);
        }
        listener.wake_waiting();
    }

    fn abandon(mut self) {
        self.wait_no_more();
    }
}
