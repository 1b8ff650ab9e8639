//! Signals: none is lost between the creation of a listener and its wait, every listener of every runtime hears of each, and
//! nobody else notices that somebody listens.

mod common;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::Poll;
use std::thread;

use camshaft::signal::{Signal, SignalKind, ctrl_c, signal};
use common::{alone, fds, isolated, pair, poll_and_drop, poll_once, read_exactly, runtime, turn};
use futures_core::Stream;

fn usr1() -> Signal {
    signal(SignalKind::user_defined1()).expect("a listener")
}

/// Sends a signal to this process.
fn send(number: i32) {
    let process = std::process::id().cast_signed();
    // SAFETY: no memory is passed.
    let sent = unsafe { libc::kill(process, number) };
    assert_eq!(sent, 0);
}

/// Sends a signal to this thread, which has handled it when this returns.
fn raise(number: i32) {
    // SAFETY: no memory is passed.
    let raised = unsafe { libc::raise(number) };
    assert_eq!(raised, 0);
}

#[test]
fn a_signal_before_the_wait_is_not_lost() {
    let _alone = alone();
    let mut listener = usr1();
    raise(libc::SIGUSR1);
    runtime().block_on(async {
        assert_eq!(listener.recv().await, Some(()));
        assert!(poll_and_drop(listener.recv()).await.is_pending());
    });
}

#[test]
fn a_signal_during_the_wait_ends_it() {
    let _alone = alone();
    runtime().block_on(async {
        let mut listener = usr1();
        for entered in [false, true] {
            let mut waiting = pin!(listener.recv());
            assert!(poll_once(waiting.as_mut()).await.is_pending());
            if entered {
                turn().await;
            }
            raise(libc::SIGUSR1);
            assert_eq!(waiting.await, Some(()));
        }
    });
}

#[test]
fn signals_that_nobody_took_count_as_one() {
    let _alone = alone();
    runtime().block_on(async {
        let mut listener = usr1();
        for _ in 0..5 {
            raise(libc::SIGUSR1);
        }
        assert_eq!(listener.recv().await, Some(()));
        assert!(poll_and_drop(listener.recv()).await.is_pending());
    });
}

#[test]
fn a_dropped_wait_loses_no_signal() {
    let _alone = alone();
    let runtime = runtime();
    runtime.block_on(turn());
    let before = fds();
    let mut listener = usr1();
    drop(listener.recv());
    raise(libc::SIGUSR1);
    drop(listener.recv());
    runtime.block_on(async {
        assert_eq!(listener.recv().await, Some(()), "never polled");
        for entered in [false, true] {
            for late in [false, true] {
                let mut waiting = Box::pin(listener.recv());
                assert!(poll_once(waiting.as_mut()).await.is_pending());
                if entered {
                    turn().await;
                }
                if !late {
                    raise(libc::SIGUSR1);
                    turn().await;
                }
                drop(waiting);
                if late {
                    raise(libc::SIGUSR1);
                }
                let again = poll_and_drop(listener.recv()).await;
                assert_eq!(again, Poll::Ready(Some(())), "{entered} {late}");
            }
        }
    });
    drop(listener);
    runtime.block_on(turn());
    assert_eq!(fds(), before);
}

#[test]
fn a_listener_outlives_its_runtime() {
    let _alone = alone();
    for early in [true, false] {
        let mut listener = usr1();
        let first = runtime();
        first.block_on(async {
            let polled = poll_fn(|cx| Poll::Ready(listener.poll_recv(cx))).await;
            assert!(polled.is_pending());
            turn().await;
        });
        drop(first);
        if early {
            raise(libc::SIGUSR1);
        }
        runtime().block_on(async {
            let mut next = pin!(poll_fn(|cx| Pin::new(&mut listener).poll_next(cx)));
            if !early {
                assert!(poll_once(next.as_mut()).await.is_pending());
                turn().await;
                raise(libc::SIGUSR1);
            }
            assert_eq!(next.await, Some(()));
        });
    }
}

#[test]
fn a_listener_goes_from_one_runtime_to_another() {
    let _alone = alone();
    let mut listener = usr1();
    let resting = runtime();
    resting.block_on(async {
        assert!(poll_and_drop(listener.recv()).await.is_pending());
        turn().await;
    });
    runtime().block_on(async {
        let mut next = pin!(listener.recv());
        assert!(poll_once(next.as_mut()).await.is_pending());
        camshaft::spawn(async {
            turn().await;
            raise(libc::SIGUSR1);
        });
        assert_eq!(next.await, Some(()), "this runtime is told of it");
    });
}

#[test]
fn every_listener_of_every_runtime_hears_it() {
    let _alone = alone();
    let ready = Arc::new(Barrier::new(5));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let ready = ready.clone();
            thread::spawn(move || {
                runtime().block_on(async {
                    let (mut first, mut second) = (usr1(), usr1());
                    let waiting = camshaft::spawn(async move { first.recv().await });
                    turn().await;
                    ready.wait();
                    assert_eq!(second.recv().await, Some(()));
                    assert_eq!(waiting.await.expect("the task"), Some(()));
                });
            })
        })
        .collect();
    ready.wait();
    send(libc::SIGUSR1);
    for thread in threads {
        thread.join().expect("both listeners heard it");
    }
}

#[test]
fn kinds_that_cannot_be_caught_are_refused() {
    let _alone = alone();
    let before = fds();
    for number in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, 0, -7, 1000] {
        let error = signal(SignalKind::from_raw(number)).expect_err("refused");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    assert_eq!(fds(), before);
}

#[test]
fn a_storm_of_signals_disturbs_nothing() {
    let _alone = alone();
    let stop = Arc::new(AtomicBool::new(false));
    let mut listener = usr1();
    let sender = thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.load(Ordering::Relaxed) {
                send(libc::SIGUSR1);
            }
        }
    });
    runtime().block_on(async {
        let heard = camshaft::spawn(async move {
            for _ in 0..500 {
                listener.recv().await.expect("a signal");
            }
        });
        let (client, server) = pair().await;
        for round in 0..500_u32 {
            let word = round.to_be_bytes().to_vec();
            client.write_all(word.clone()).await.0.expect("sent");
            assert_eq!(read_exactly(&server, 4).await, word);
            turn().await;
        }
        heard.await.expect("500 signals");
    });
    stop.store(true, Ordering::Relaxed);
    sender.join().expect("the sender");
}

static BEFORE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn earlier(_: libc::c_int) {
    BEFORE.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn a_handler_that_was_there_is_still_called() {
    let handler: extern "C" fn(libc::c_int) = earlier;
    let _alone = alone();
    isolated("a_handler_that_was_there_is_still_called", || {
        // SAFETY: the handler only adds to an atomic.
        unsafe { libc::signal(libc::SIGCHLD, handler as libc::sighandler_t) };
        let mut listener = signal(SignalKind::child()).expect("a listener");
        let mut child = Command::new("true").spawn().expect("a child");
        assert!(child.wait().expect("it ends").success());
        runtime().block_on(async { assert_eq!(listener.recv().await, Some(())) });
        assert_eq!(BEFORE.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn ctrl_c_ends_a_wait_and_not_the_process() {
    let _alone = alone();
    isolated("ctrl_c_ends_a_wait_and_not_the_process", || {
        runtime().block_on(async {
            drop(ctrl_c());
            let mut waiting = pin!(ctrl_c());
            assert!(poll_once(waiting.as_mut()).await.is_pending());
            raise(libc::SIGINT);
            waiting.await.expect("heard");
        });
        // Nobody listens any more, but the program has said that it decides.
        raise(libc::SIGINT);
    });
}

#[test]
fn children_get_the_default_back() {
    let _alone = alone();
    let _listener = signal(SignalKind::terminate()).expect("a listener");
    let script = "grep SigBlk: /proc/self/status; kill -TERM $$; echo survived";
    let output = Command::new("sh").args(["-c", script]).output();
    let output = output.expect("a shell");
    let blocked = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(blocked.trim_end(), "SigBlk:\t0000000000000000");
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&output.status),
        Some(libc::SIGTERM)
    );
}

#[test]
fn a_signal_to_a_forked_child_is_not_heard_by_its_parent() {
    isolated(
        "a_signal_to_a_forked_child_is_not_heard_by_its_parent",
        || {
            let mut listener = usr1();
            // SAFETY: the child only raises a signal and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                raise(libc::SIGUSR1);
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(0) };
            }
            let mut status = 0;
            // SAFETY: the kernel writes one integer.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
            runtime().block_on(async {
                assert!(poll_and_drop(listener.recv()).await.is_pending());
                raise(libc::SIGUSR1);
                assert_eq!(listener.recv().await, Some(()));
            });
        },
    );
}
