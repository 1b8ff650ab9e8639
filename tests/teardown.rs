//! The end of a runtime: no buffer is freed before the kernel is done with it, nothing is leaked, and everything that
//! outlives the runtime, in whatever order it goes, is harmless.

mod common;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::task::{Poll, Waker};

use camshaft::buf::{IoBuf, IoBufMut};
use camshaft::fs::File;
use camshaft::net::TcpStream;
use camshaft::runtime::Runtime;
use camshaft::task::yield_now;
use common::{
    alone, fds, half_std, is_epoll, isolated, live_allocations, os_pipe, pair, poll_once,
    read_exactly, read_rest, runtime, small_runtime, turn,
};

#[global_allocator]
static COUNTING: common::Counting = common::Counting;

const POISON: u8 = 0xdd;
const ROOM: usize = 4096;

/// A buffer whose memory is poisoned when it is dropped, and kept, so that a write of the kernel after that shows.
struct Guarded {
    memory: Rc<Memory>,
    panics: bool,
}

struct Memory {
    bytes: RefCell<Box<[u8]>>,
    freed: Cell<usize>,
}

impl Guarded {
    fn new() -> (Self, Rc<Memory>) {
        let memory = Rc::new(Memory {
            bytes: RefCell::new(vec![0; ROOM].into_boxed_slice()),
            freed: Cell::new(0),
        });
        let buf = Self {
            memory: memory.clone(),
            panics: false,
        };
        (buf, memory)
    }
}

impl Memory {
    /// Freed once, and not touched since.
    #[track_caller]
    fn check(&self) {
        assert_eq!(self.freed.get(), 1, "freed once");
        let bytes = self.bytes.borrow();
        // SAFETY: a byte of a live slice. Volatile, for the kernel may have written behind the compiler's back.
        let intact = |byte: &u8| unsafe { std::ptr::from_ref(byte).read_volatile() == POISON };
        let intact = bytes.iter().all(intact);
        assert!(intact, "the kernel wrote after the buffer was freed");
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.memory.bytes.borrow_mut().fill(POISON);
        self.memory.freed.set(self.memory.freed.get() + 1);
        assert!(!self.panics, "a buffer panics when it is dropped");
    }
}

// SAFETY: the bytes lie on the heap, are initialised, and only this buffer uses them while it lives.
unsafe impl IoBuf for Guarded {
    fn as_slice(&self) -> &[u8] {
        let bytes = self.memory.bytes.as_ptr();
        // SAFETY: nobody borrows the cell while the buffer lives.
        unsafe { &*bytes }
    }
}

// SAFETY: as above; all bytes are initialised, so there is nothing to mark.
unsafe impl IoBufMut for Guarded {
    fn storage(&mut self) -> NonNull<[MaybeUninit<u8>]> {
        let mut bytes = self.memory.bytes.borrow_mut();
        let start = NonNull::new(bytes.as_mut_ptr()).expect("never null");
        NonNull::slice_from_raw_parts(start.cast(), bytes.len())
    }

    fn fill_start(&self) -> usize {
        0
    }

    unsafe fn mark_init(&mut self, _: usize) {}
}

/// Drops a runtime with reads of sockets and pipes in flight, while peers write.
fn ends_under_fire(runtime: Runtime) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut memories = Vec::new();
    let mut peers: Vec<Box<dyn Write + Send>> = Vec::new();
    for _ in 0..8 {
        let (client, server) = half_std();
        let (buf, memory) = Guarded::new();
        memories.push(memory);
        peers.push(Box::new(client));
        runtime.spawn(async move { drop(server.read_exact(buf).await) });

        let (read, write) = os_pipe();
        let file = File::from_std(read.into());
        let (buf, memory) = Guarded::new();
        memories.push(memory);
        peers.push(Box::new(std::fs::File::from(write)));
        runtime.spawn(async move { drop(file.read_at(buf, 0).await) });
    }
    runtime.block_on(async {
        yield_now().await;
        turn().await;
    });
    let firing = std::thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.load(Ordering::Acquire) {
                for peer in &mut peers {
                    let _ = peer.write(&[1; 7]); // it may be closed already
                }
            }
        }
    });
    drop(runtime);
    memories.iter().for_each(|memory| memory.check());
    std::thread::yield_now();
    stop.store(true, Ordering::Release);
    firing.join().expect("writing does not panic");
    memories.iter().for_each(|memory| memory.check());
}

#[test]
fn buffers_outlive_the_kernels_use_of_them() {
    let _alone = alone();
    ignore_sigpipe();
    for round in 0..30 {
        ends_under_fire(if round % 3 == 0 {
            small_runtime()
        } else {
            runtime()
        });
    }
}

/// The tests write to closed pipes themselves; what camshaft does about SIGPIPE is tested elsewhere.
fn ignore_sigpipe() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

#[test]
fn a_forgotten_future_keeps_its_buffer() {
    let _alone = alone();
    let (mut client, server) = half_std();
    let (buf, memory) = Guarded::new();
    let first = runtime();
    first.block_on(async {
        let mut reading = Box::new(server.read(buf));
        assert!(poll_once(Pin::new(&mut *reading)).await.is_pending());
        turn().await;
        // Where a leak checker finds it.
        static FORGOTTEN: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());
        FORGOTTEN.store(Box::into_raw(reading).cast(), Ordering::Relaxed);
    });
    client.write_all(b"late").expect("sent");
    drop(first);
    assert_eq!(memory.freed.get(), 0, "forgotten, so never freed");
}

#[test]
fn a_buffer_that_panics_at_the_end_does_not_free_the_others() {
    let _alone = alone();
    isolated(
        "a_buffer_that_panics_at_the_end_does_not_free_the_others",
        || {
            let runtime = runtime();
            let mut clients = Vec::new();
            let mut memories = Vec::new();
            for n in 0..9 {
                let (client, server) = half_std();
                let (mut buf, memory) = Guarded::new();
                buf.panics = n % 2 == 0;
                clients.push(client);
                memories.push(memory);
                runtime.spawn(async move { drop(server.read(buf).await) });
            }
            runtime.block_on(async {
                yield_now().await;
                turn().await;
            });
            drop(runtime);
            for mut client in clients {
                let _ = client.write(b"late");
            }
            memories.iter().for_each(|memory| memory.check());
        },
    );
}

#[test]
fn a_buffer_that_panics_when_its_read_is_cancelled_leaves_the_runtime_usable() {
    let _alone = alone();
    runtime().block_on(async {
        let (client, server) = pair().await;
        let (mut buf, memory) = Guarded::new();
        buf.panics = true;
        {
            let mut reading = Box::pin(server.read(buf));
            assert!(poll_once(reading.as_mut()).await.is_pending());
            turn().await;
        }
        client.write_all(b"x").await.0.expect("sent");
        assert_eq!(read_exactly(&server, 1).await, b"x");
        memory.check();
    });
}

#[test]
fn tasks_and_their_streams_go_with_the_runtime() {
    let _alone = alone();
    let before = fds();
    let runtime = runtime();
    let mut client = runtime.block_on(async {
        let (client, server) = half_std();
        camshaft::spawn(async move {
            let _ = server.read(Vec::with_capacity(1)).await;
            pending::<()>().await;
        });
        yield_now().await;
        turn().await;
        client
    });
    drop(runtime);
    assert_eq!(client.read(&mut [0; 1]).expect("the end"), 0);
    drop(client);
    assert_eq!(fds(), before);
}

#[test]
fn a_stream_takes_its_stash_to_the_next_runtime() {
    let _alone = alone();
    let (mut client, server) = half_std();
    let mut read = Vec::new();
    for round in 0..6_u8 {
        runtime().block_on(async {
            client.write_all(&[round; 4]).expect("sent");
            let mut reading = Box::pin(server.recv());
            match poll_once(reading.as_mut()).await {
                Poll::Ready(guard) => read.extend_from_slice(&guard.expect("the stash")),
                Poll::Pending => turn().await, // it completes, unseen
            }
        });
    }
    client.write_all(b"end").expect("sent");
    drop(client);
    read.extend(runtime().block_on(read_rest(&server)));
    let sent: Vec<u8> = (0..6).flat_map(|round| [round; 4]).collect();
    assert_eq!(read, [&sent[..], b"end"].concat());
}

#[test]
fn a_stream_in_use_moves_from_runtime_to_runtime() {
    let _alone = alone();
    let (client, server) = half_std();
    let mut sent = Vec::new();
    for round in 0..20_u8 {
        let runtime = if round % 2 == 0 {
            runtime()
        } else {
            small_runtime()
        };
        runtime.block_on(async {
            let mut reading = Box::pin(server.read_exact(vec![0; 1000].into_boxed_slice()));
            let _ = poll_once(reading.as_mut()).await;
            (&client).write_all(&[round; 3]).expect("sent");
            sent.extend_from_slice(&[round; 3]);
            if round % 3 == 0 {
                turn().await;
            }
        });
    }
    drop(client);
    assert_eq!(runtime().block_on(read_rest(&server)), sent);
}

#[test]
fn a_lent_buffer_outlives_its_stream_and_its_runtime() {
    let _alone = alone();
    let before = fds();
    let guards: Vec<_> = (0..3_u8)
        .map(|n| {
            let (mut client, server) = half_std();
            client.write_all(&[n; 100]).expect("sent");
            let runtime = runtime();
            let guard = runtime.block_on(server.recv()).expect("bytes");
            drop(server);
            drop(runtime);
            guard
        })
        .collect();
    for (n, guard) in (0_u8..).zip(&guards) {
        assert_eq!(**guard, [n; 100]);
    }
    // It is a buffer like any other, on another runtime too.
    let (mut client, server) = half_std();
    runtime().block_on(async {
        for guard in guards {
            server.write_all(guard).await.0.expect("sent");
        }
    });
    drop(server);
    let mut all = Vec::new();
    client.read_to_end(&mut all).expect("bytes");
    assert_eq!(all.len(), 300);
    drop(client);
    assert_eq!(fds(), before);
}

/// Everything that hangs together with a runtime, to be dropped in any order.
fn parts() -> Vec<Box<dyn std::any::Any>> {
    let runtime = runtime();
    let (listener, _) = runtime.block_on(common::listener());
    let listener = Rc::new(listener);
    let (_client, server) = half_std();
    let stream = Rc::new(server);
    let (waker, join) = runtime.block_on(async {
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let join = camshaft::spawn({
            let (stream, listener, waker) = (stream.clone(), listener.clone(), waker.clone());
            async move {
                let mut reading = Box::pin(stream.read(Vec::with_capacity(9)));
                let mut accepting = Box::pin(listener.accept());
                let mut sleeping = Box::pin(camshaft::time::sleep(std::time::Duration::MAX));
                poll_fn(|cx| {
                    *waker.borrow_mut() = Some(cx.waker().clone());
                    let _ = reading.as_mut().poll(cx);
                    let _ = accepting.as_mut().poll(cx);
                    let _ = sleeping.as_mut().poll(cx);
                    Poll::<()>::Pending
                })
                .await;
            }
        });
        yield_now().await;
        turn().await;
        let waker = waker.borrow_mut().take().expect("the task was polled");
        (waker, join)
    });
    let handle = runtime.handle();
    vec![
        Box::new(OnDrop::new(runtime, drop)),
        Box::new(OnDrop::new(handle, |handle| {
            drop(handle.spawn(async {}));
        })),
        Box::new(stream),
        Box::new(listener),
        Box::new(OnDrop::new(waker, Waker::wake)),
        Box::new(OnDrop::new(join, |join| join.abort())),
    ]
}

/// Does something with a value when it goes.
struct OnDrop<T> {
    value: Option<T>,
    last: fn(T),
}

impl<T> OnDrop<T> {
    fn new(value: T, last: fn(T)) -> Self {
        let value = Some(value);
        Self { value, last }
    }
}

impl<T> Drop for OnDrop<T> {
    fn drop(&mut self) {
        (self.last)(self.value.take().expect("dropped once"));
    }
}

#[test]
fn every_order_of_dropping_is_fine() {
    let _alone = alone();
    let before = fds();
    let mut orders = 0;
    for code in 0..720 {
        let mut parts = parts();
        let mut left = code;
        while !parts.is_empty() {
            let n = parts.len();
            drop(parts.swap_remove(left % n));
            left /= n;
        }
        orders += 1;
        assert_eq!(fds(), before, "order {code}");
    }
    assert_eq!(orders, 720);
}

/// A task that holds its own handle and waker, and streams that read from each other.
fn cycle() {
    let runtime = small_runtime();
    runtime.block_on(async {
        let knot: Rc<RefCell<Vec<Box<dyn std::any::Any>>>> = Rc::default();
        let (client, server) = half_std();
        let client = TcpStream::from_std(client).expect("a socket");
        let task = camshaft::spawn({
            let knot = knot.clone();
            async move {
                poll_fn(|cx| {
                    knot.borrow_mut().push(Box::new(cx.waker().clone()));
                    Poll::Ready(())
                })
                .await;
                let _ = server.recv().await;
                drop(knot);
            }
        });
        let other = camshaft::spawn({
            let knot = knot.clone();
            async move {
                let _ = client.read(Vec::with_capacity(8)).await;
                drop(knot);
            }
        });
        knot.borrow_mut().push(Box::new((task, other)));
        yield_now().await;
        turn().await;
    });
}

#[test]
fn cycles_of_tasks_and_operations_leak_nothing() {
    let _alone = alone();
    for _ in 0..20 {
        cycle();
    }
    // What goes to a worker thread and comes back is allocated by one and freed by the other, and the counts are each thread's.
    let live = || if is_epoll() { 0 } else { live_allocations() };
    let before = (fds(), live());
    for _ in 0..1000 {
        cycle();
    }
    assert_eq!((fds(), live()), before);
}
