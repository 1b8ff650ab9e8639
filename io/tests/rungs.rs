//! Every rung of the ladder does the same: an echo, a cancellation that loses nothing, a wake from another thread.

use std::cell::RefCell;
use std::future::Future;
use std::io::Write;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use camshaft_io::driver::{Config, Driver, Rung};
use camshaft_io::fs::File;
use camshaft_io::net::{TcpListener, TcpStream};

const RUNGS: [Rung; 4] = [
    Rung::NoIndexArray,
    Rung::DeferredTaskWork,
    Rung::CooperativeTaskWork,
    Rung::Plain,
];

/// Every rung that this kernel has, with a small and a large ring.
fn drivers() -> Vec<(String, Driver)> {
    let mut drivers = Vec::new();
    for best in RUNGS {
        for entries in [2, 1024] {
            let config = Config {
                entries,
                best,
                ..Config::default()
            };
            let driver = Driver::new(&config).expect("a ring on this or a lower rung");
            let chosen = driver.report().chosen().expect("one holds");
            assert!(chosen >= best, "{chosen} is better than {best}");
            drivers.push((format!("{chosen}, {entries} entries"), driver));
        }
    }
    drivers
}

struct Unpark {
    driver: Arc<camshaft_io::driver::Unparker>,
    woken: AtomicBool,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.driver.unpark();
    }
}

/// The smallest loop: polls whenever anything happened.
fn run<T>(driver: &Driver, future: impl Future<Output = T>) -> T {
    let _entered = driver.enter();
    let unpark = Arc::new(Unpark {
        driver: driver.unparker(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(unpark.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        while !unpark.woken.swap(false, Ordering::AcqRel) {
            driver.park(None).expect("the ring works");
            driver.deliver();
        }
    }
}

/// Polls both until both are ready.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|cx| {
        if first.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(cx)
        {
            second = Some(output);
        }
        if first.is_some() && second.is_some() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    (first.expect("ready"), second.expect("ready"))
}

async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (client, server) = both(TcpStream::connect(address), listener.accept()).await;
    (client.expect("connected"), server.expect("accepted").0)
}

async fn turn() {
    for _ in 0..2 {
        File::open("/dev/null").await.expect("it opens");
    }
}

#[test]
fn the_forced_rung_is_used_and_reported() {
    for best in RUNGS {
        let config = Config {
            best,
            ..Config::default()
        };
        let driver = Driver::new(&config).expect("a ring");
        let text = driver.report().to_string();
        assert!(text.contains(&format!("{}: in use", driver.report().chosen().unwrap())));
        // What was refused is above what holds, and each refusal has a reason.
        for (rung, why) in driver.report().refused() {
            assert!(rung < driver.report().chosen().unwrap() && !why.is_empty());
        }
    }
}

#[test]
fn an_echo() {
    for (rung, driver) in drivers() {
        run(&driver, async {
            let (client, server) = pair().await;
            let bytes: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
            let echo = async {
                loop {
                    let (result, buf) = server.read(Vec::with_capacity(50_000)).await;
                    if result.expect("bytes") == 0 {
                        return server.shutdown().await.expect("connected");
                    }
                    server.write_all(buf).await.0.expect("sent");
                }
            };
            let write = async {
                client.write_all(bytes.clone()).await.0.expect("sent");
                client.shutdown().await.expect("connected");
            };
            let read = async { client.read_to_end(Vec::new()).await.1 };
            let (back, _) = both(read, both(echo, write)).await;
            assert!(back == bytes, "{rung}");
        });
        let stats = driver.stats();
        assert_eq!(stats.submitted, stats.completed, "{rung}");
        assert_eq!(driver.in_flight(), 0);
        driver.shutdown();
    }
}

#[test]
fn a_lent_buffer_or_a_private_one() {
    for (rung, driver) in drivers() {
        run(&driver, async {
            let (client, server) = pair().await;
            for _ in 0..600 {
                let _ = poll_once(pin!(server.recv())).await;
                client.write_all(b"lent").await.0.expect("sent");
                assert_eq!(&*server.recv().await.expect("bytes"), b"lent", "{rung}");
            }
        });
        driver.shutdown();
    }
}

#[test]
fn a_dropped_read_loses_nothing() {
    for (rung, driver) in drivers() {
        run(&driver, async {
            let (mut client, server) = {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let server = listener.accept().unwrap().0;
                (client, TcpStream::from_std(server).unwrap())
            };
            let mut sent = Vec::new();
            for n in 0..200_u8 {
                let mut reading = Box::pin(server.read_exact(Vec::with_capacity(9999)));
                assert!(poll_once(reading.as_mut()).await.is_pending());
                if n % 3 == 0 {
                    turn().await;
                }
                client.write_all(&[n, n]).expect("sent");
                sent.extend([n, n]);
                if n % 2 == 0 {
                    turn().await;
                }
                drop(reading);
            }
            drop(client);
            assert!(server.read_to_end(Vec::new()).await.1 == sent, "{rung}");
        });
        driver.shutdown();
    }
}

/// On the lower rungs completions appear on any return from the kernel, so a connection may arrive behind the back of an
/// accept that is dropped just then, and of the one that follows.
#[test]
fn a_dropped_accept_loses_nothing() {
    for (rung, driver) in drivers() {
        run(&driver, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("bound");
            for entered in [false, true] {
                for _ in 0..20 {
                    let mut accepting = Box::pin(listener.accept());
                    assert!(poll_once(accepting.as_mut()).await.is_pending());
                    if entered {
                        turn().await;
                    }
                    let client = std::net::TcpStream::connect(address).expect("listens");
                    drop(accepting);
                    let (_, peer) = listener.accept().await.expect("accepted");
                    assert_eq!(peer, client.local_addr().unwrap(), "{rung}");
                }
            }
        });
        driver.shutdown();
    }
}

#[test]
fn a_wake_from_another_thread() {
    for (_, driver) in drivers() {
        run(&driver, async {
            for _ in 0..100 {
                let flag = Arc::new(AtomicBool::new(false));
                let mut thread = None;
                std::future::poll_fn(|cx| {
                    if flag.load(Ordering::Acquire) {
                        return Poll::Ready(());
                    }
                    let (flag, waker) = (flag.clone(), cx.waker().clone());
                    thread.get_or_insert_with(|| {
                        std::thread::spawn(move || {
                            flag.store(true, Ordering::Release);
                            waker.wake();
                        })
                    });
                    Poll::Pending
                })
                .await;
                thread.expect("it was started").join().expect("no panic");
            }
        });
        driver.shutdown();
    }
}

#[test]
fn the_end_with_operations_in_flight() {
    for (rung, driver) in drivers() {
        let streams = Rc::new(RefCell::new(Vec::new()));
        let mut readings: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        run(&driver, async {
            for n in 0..20 {
                let (client, server) = pair().await;
                let server = Rc::new(server);
                streams.borrow_mut().push((client, server.clone()));
                let mut reading: Pin<Box<dyn Future<Output = ()>>> = if n % 2 == 0 {
                    Box::pin(async move { drop(server.recv().await) })
                } else {
                    Box::pin(async move { drop(server.read(vec![0; 9].into_boxed_slice()).await) })
                };
                assert!(poll_once(reading.as_mut()).await.is_pending());
                readings.push(reading);
            }
            turn().await;
        });
        assert_eq!(driver.in_flight(), 20, "{rung}");
        driver.shutdown();
        assert_eq!(driver.in_flight(), 0, "{rung}");
        drop(readings);
        // The streams are as good as new on another driver.
        let next = Driver::new(&Config::default()).expect("a ring");
        run(&next, async {
            for (client, server) in streams.take() {
                client.write_all(b"word").await.0.expect("sent");
                drop(client);
                assert_eq!(server.read_to_end(Vec::new()).await.1, b"word", "{rung}");
            }
        });
        next.shutdown();
    }
}

/// A forked child shares the descriptor of the ring, but not its memory: what it drops must not touch either.
#[test]
fn a_forked_child_drops_a_driver_quietly() {
    let driver = Driver::new(&Config::default()).expect("a ring");
    let (client, server) = run(&driver, pair());
    let mut reading = Box::pin(server.read(Vec::with_capacity(9)));
    run(&driver, async {
        assert!(poll_once(reading.as_mut()).await.is_pending());
        turn().await;
    });
    // SAFETY: the child only drops what it inherited, and exits.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: no memory is passed. A hang ends with SIGALRM.
        unsafe { libc::alarm(5) };
        drop(reading);
        driver.shutdown();
        drop(driver);
        // SAFETY: the child ends here.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the kernel writes one integer.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0));
    run(&driver, async {
        client.write_all(b"alive").await.0.expect("sent");
        assert_eq!(reading.await.1, b"alive");
    });
    driver.shutdown();
}
