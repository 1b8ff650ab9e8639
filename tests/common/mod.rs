//! What the scenarios share: pairs of sockets, single polls, counts of descriptors and allocations, child processes.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each scenario uses its part"
)]

pub mod filter;
pub mod interrupts;
pub mod sockets;
pub mod standard;
pub mod tracked;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::future::{Future, poll_fn};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::pin::{Pin, pin};
use std::process::{Command, Output, exit};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use camshaft::net::{TcpListener, TcpStream};
use camshaft::runtime::{Backend, Builder, Runtime};

/// How long a test may take. Only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs one test at a time, so that it can count what belongs to the process, and ends the process if it hangs.
pub struct Alone {
    _turn: MutexGuard<'static, ()>,
    _done: Sender<()>,
}

#[must_use = "the test is alone as long as this lives"]
pub fn alone() -> Alone {
    alone_at("")
}

/// As [`alone`], for a part of a test, which is named if it hangs.
#[must_use = "the test is alone as long as this lives"]
pub fn alone_at(part: &str) -> Alone {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let message = format!("{name} hangs {part}\n");
    let (done, hung) = channel();
    thread::spawn(move || {
        if hung.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // Not by `eprintln`, which the harness captures, and which panics if the parent is gone: then the hang would stay.
            drop(io::stderr().write_all(message.as_bytes()));
            exit(3);
        }
    });
    Alone {
        _turn: turn,
        _done: done,
    }
}

pub fn runtime() -> Runtime {
    Builder::new().build().expect("a runtime can be built")
}

/// Whether runtimes here use epoll, by the environment or for want of io_uring.
pub fn is_epoll() -> bool {
    runtime().backend() == Backend::Epoll
}

/// Whether a variable keeps runtimes here from the ring, or from the best that it can be.
pub fn is_held_back() -> bool {
    is_epoll() || std::env::var_os("CAMSHAFT_BEST_RUNG").is_some()
}

pub fn small_runtime() -> Runtime {
    Builder::new()
        .ring_entries(8)
        .build()
        .expect("a runtime can be built")
}

/// With a clock that stands still while something can go on.
pub fn paused() -> Runtime {
    let builder = Builder::new().paused_clock(true);
    builder.build().expect("a runtime can be built")
}

pub async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    (listener, address)
}

/// The two ends of a connection.
pub async fn pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener().await;
    let client = TcpStream::connect(address).await.expect("a listener");
    let (server, _) = listener.accept().await.expect("a connection");
    (client, server)
}

/// The two ends of a connection, of which a plain thread or the test itself holds the first.
pub fn half_std() -> (std::net::TcpStream, TcpStream) {
    let (client, server) = std_pair();
    (client, TcpStream::from_std(server).expect("a socket"))
}

pub fn std_pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    let client = std::net::TcpStream::connect(address).expect("a listener");
    let (server, _) = listener.accept().expect("a connection");
    client.set_nodelay(true).expect("a socket");
    (client, server)
}

/// Has a socket take only a few pages at a time.
pub fn shrink(socket: &impl AsRawFd) {
    let size: libc::c_int = 8192;
    for option in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
        // SAFETY: the kernel reads one integer.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const size).cast(),
                size_of_val(&size).try_into().expect("fits"),
            )
        };
        assert_eq!(set, 0);
    }
}

/// Polls once, with the waker of the task.
pub async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Polls once and drops the future, ready or not.
pub async fn poll_and_drop<F: Future>(future: F) -> Poll<F::Output> {
    poll_once(pin!(future)).await
}

/// Has the loop enter the kernel and reap, at least twice: what was queued before is submitted, and what the kernel could
/// complete at once is completed, also by what this thread has sent before.
pub async fn turn() {
    arrive();
    for _ in 0..2 {
        drop(camshaft::fs::File::open("/dev/null").await.expect("opens"));
    }
}

/// Waits until what this thread has sent over loopback has arrived. A busy machine leaves the delivery to another thread, which
/// goes on in the order of the sends: what is sent last arrives last.
pub fn arrive() {
    let myself = || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(socket.local_addr()?)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.send(b"last")?;
        socket.recv(&mut [0; 4])
    };
    // Where there is no descriptor for a socket, what is tested is something else.
    let _: io::Result<usize> = myself();
}

/// Turns the loop until something has come true. Hangs, and so fails, if it never does.
pub async fn until(mut is_true: impl FnMut() -> bool) {
    while !is_true() {
        turn().await;
    }
}

/// Polls with a waker that does nothing, outside of any runtime.
pub fn poll_outside<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut std::task::Context::from_waker(Waker::noop()))
}

pub async fn read_exactly(stream: &TcpStream, n: usize) -> Vec<u8> {
    let (result, buf) = stream.read_exact(vec![0; n].into_boxed_slice()).await;
    assert_eq!(result.expect("enough bytes"), n);
    buf.into_vec()
}

pub async fn read_rest(stream: &TcpStream) -> Vec<u8> {
    let (result, buf) = stream.read_to_end(Vec::new()).await;
    assert_eq!(result.expect("bytes and an end"), buf.len());
    buf
}

/// The number of open descriptors of this process.
pub fn fds() -> usize {
    fs::read_dir("/proc/self/fd")
        .expect("procfs")
        .count()
        .strict_sub(1)
}

/// Sets the soft limit of descriptors, and returns the former one.
pub fn limit_fds(limit: u64) -> u64 {
    let mut limits = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes one `rlimit`.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limits) };
    assert_eq!(read, 0);
    let former = limits.rlim_cur;
    limits.rlim_cur = limit.min(limits.rlim_max);
    // SAFETY: the kernel reads one `rlimit`.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limits) };
    assert_eq!(set, 0);
    former
}

/// Raises the soft limit of descriptors to the hard one.
pub fn raise_fd_limit() {
    limit_fds(u64::MAX);
}

/// A pipe: the reading and the writing end.
pub fn os_pipe() -> (OwnedFd, OwnedFd) {
    let mut ends: [RawFd; 2] = [0; 2];
    // SAFETY: the kernel writes two descriptors.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(made, 0, "{}", io::Error::last_os_error());
    // SAFETY: a new descriptor that nobody else owns.
    let read = unsafe { OwnedFd::from_raw_fd(ends[0]) };
    // SAFETY: a new descriptor that nobody else owns.
    let write = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    (read, write)
}

const CHILD: &str = "CAMSHAFT_TEST_CHILD";

/// Whether this process was started by [`in_child`].
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs one test of this program alone in a process of its own, with more variables in its environment. It does not outlive
/// this one.
pub fn in_child(test: &str, variables: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().expect("the path of the test");
    let mut command = Command::new(program);
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .envs(variables.iter().copied());
    // SAFETY: a system call, which may be made between `fork` and `exec`.
    unsafe { command.pre_exec(killed_with_parent) };
    command.output().expect("the test can be started")
}

/// Has this process killed when the thread that started it ends.
fn killed_with_parent() -> io::Result<()> {
    // SAFETY: no memory is passed.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs the body in a process of its own, and passes its failure on.
pub fn isolated(test: &str, body: impl FnOnce()) {
    if is_child() {
        return body();
    }
    let output = in_child(test, &[]);
    assert!(
        output.status.success(),
        "{test} failed in its process ({}):\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Forks, runs the body in the child, and returns the status that the child exits with. The body must not return to the
/// test harness: the child exits with what it returns, and with 99 if it panics.
pub fn fork(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: this process has no other thread that could hold a lock, but for the harness's, which sleep.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // A hang ends with SIGALRM.
        // SAFETY: no memory is passed.
        unsafe { libc::alarm(20) };
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(99);
        // SAFETY: the child ends here.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: the kernel writes one integer.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert!(
        libc::WIFEXITED(status),
        "the child ended by a signal: {status}"
    );
    libc::WEXITSTATUS(status)
}

/// The message of a panic.
pub fn panic_of<R>(body: impl FnOnce() -> R) -> String {
    let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) else {
        panic!("it should have panicked");
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a message")).to_owned(),
    }
}

/// A global allocator that counts, for each thread.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static MADE: Cell<usize> = const { Cell::new(0) };
    static FREED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the calls are those of `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MADE.set(MADE.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        FREED.set(FREED.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        MADE.set(MADE.get() + 1);
        FREED.set(FREED.get() + 1);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Allocations of this thread so far.
pub fn allocations() -> usize {
    MADE.get()
}

/// Allocations of this thread that were not freed by it.
pub fn live_allocations() -> isize {
    MADE.get().cast_signed() - FREED.get().cast_signed()
}

/// A small generator of pseudo-random numbers: xorshift64*, seeded and replayable.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n).expect("fits");
        usize::try_from(self.next() % n).expect("below a usize")
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

#[cfg(feature = "inspect")]
#[path = "../../inspect/tests/common/mod.rs"]
mod described;

/// Whether this program can be looked into. If not, that is said; if the build asked for it, the test fails.
#[cfg(feature = "inspect")]
pub fn is_described() -> bool {
    let missing = camshaft::inspect::layout_of_val(&async {}).err();
    described::is_described(missing.map(|missing| missing.to_string()))
}
