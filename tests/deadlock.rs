//! When nothing can run any more: that is told once, with what all tasks wait for, and never while something may still come.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::cell::RefCell;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use camshaft::runtime::{Backend, Builder, Spin};
use camshaft::task::{JoinHandle, spawn_blocking, yield_now};
use camshaft::time::sleep;

/// Longer than a standstill has to last to be told.
const LONG: Duration = Duration::from_millis(1500);

/// Has standard error go to a pipe, whose other end this is. For a process of its own.
fn captured() -> OwnedFd {
    let (said, stderr) = os_pipe();
    // SAFETY: a system call on descriptors that are open; this process runs nothing but this test.
    unsafe { libc::dup2(stderr.as_raw_fd(), libc::STDERR_FILENO) };
    said
}

/// Closes standard error, so that what was said has an end.
fn close_stderr() {
    let nowhere = File::options()
        .write(true)
        .open("/dev/null")
        .expect("it is everywhere");
    // SAFETY: as in `captured`.
    unsafe { libc::dup2(nowhere.as_raw_fd(), libc::STDERR_FILENO) };
}

/// What another thread can end.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    fn pass(&self) -> impl Future<Output = ()> + use<> {
        let gate = self.clone();
        poll_fn(move |cx| {
            let mut state = gate.0.lock().expect("nobody panics");
            state.1 = Some(cx.waker().clone());
            if state.0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }

    fn wake(&self, open: bool) {
        let mut state = self.0.lock().expect("nobody panics");
        state.0 = open;
        let waker = state.1.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

async fn waits_for(handle: Rc<RefCell<Option<JoinHandle<()>>>>) {
    let handle = handle.borrow_mut().take().expect("it was put there");
    let _ = handle.await;
}

/// Two tasks that wait for each other.
fn circle() {
    let slots: [Rc<RefCell<Option<JoinHandle<()>>>>; 2] = Default::default();
    let [one, two] = [0, 1].map(|at| camshaft::spawn(waits_for(Rc::clone(&slots[at]))));
    slots[0].replace(Some(two));
    slots[1].replace(Some(one));
}

/// Asks for the page of a runtime: a task of its own answers.
fn look_at(page: SocketAddr, path: &str) {
    let mut stream = std::net::TcpStream::connect(page).expect("it listens");
    let ask = format!("GET {path} HTTP/1.1\r\nHost: {page}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).expect("it is there");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    assert!(!answer.is_empty());
}

/// Has a runtime stand still, and returns what was said until it was woken, and how often that it stands still.
fn stand_still(builder: Builder) -> (String, usize) {
    let said = captured();
    let gate = Gate::default();
    let runtime = builder
        .dump_on_deadlock(true)
        .build()
        .expect("a runtime can be built");
    let (keys, page) = (gate.clone(), runtime.page());
    let reader = thread::spawn(move || {
        let mut said = BufReader::new(File::from(said));
        let mut text = String::new();
        while !text.contains(" stands still: ") {
            assert!(said.read_line(&mut text).expect("the pipe is open") > 0);
        }
        // It is not told again, and what the runtime does for itself is no progress.
        page.into_iter().for_each(|page| look_at(page, "/"));
        thread::sleep(LONG);
        keys.wake(true);
        said.read_to_string(&mut text).expect("the pipe is open");
        text
    });
    runtime.block_on(async {
        circle();
        passes(gate).await;
    });
    drop(runtime);
    close_stderr();
    let text = reader.join().expect("it is told");
    let count = text.matches(" stands still: ").count();
    (text, count)
}

async fn passes(gate: Gate) {
    gate.pass().await;
}

#[test]
fn tasks_that_wait_for_each_other_are_named_once() {
    isolated("tasks_that_wait_for_each_other_are_named_once", || {
        for backend in [Backend::Auto, Backend::Epoll] {
            let builder = Builder::new()
                .backend(backend)
                .name("stuck")
                .dump_on_signal(true);
            let (text, count) = stand_still(builder.page(([127, 0, 0, 1], 0).into()));
            assert_eq!(count, 1, "{text}");
            let head = "camshaft: the runtime \"stuck\" stands still: no task is ready, no timer is armed, no operation is in \
                        flight and no blocking closure runs; only another thread could wake it, and none has for 1s\n";
            assert!(text.contains(head), "{text}");
            if camshaft::inspect::layout_of_val(&passes(Gate::default())).is_ok() {
                let circle = text
                    .lines()
                    .find(|line| line.ends_with(" wait for each other"));
                let circle = circle.unwrap_or_else(|| panic!("{text}"));
                let numbers: Vec<_> = circle.split(" -> ").map(str::to_owned).collect();
                assert_eq!(numbers.len(), 3, "{text}");
            }
            assert!(text.contains("the root future"), "{text}");
        }
    });
}

#[test]
fn those_who_look_without_end_do_not_keep_it_from_being_told() {
    const NAME: &str = "those_who_look_without_end_do_not_keep_it_from_being_told";
    isolated(NAME, || {
        for backend in [Backend::Auto, Backend::Epoll] {
            let said = captured();
            let gate = Gate::default();
            let builder = Builder::new().backend(backend).dump_on_deadlock(true);
            let runtime = builder.page(([127, 0, 0, 1], 0).into()).build();
            let runtime = runtime.expect("a runtime can be built");
            let (keys, page) = (gate.clone(), runtime.page().expect("it was asked for"));
            let is_told = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&is_told);
            let reader = thread::spawn(move || {
                let lines = BufReader::new(File::from(said)).lines();
                let mut lines = lines.map(|line| line.expect("the pipe is open"));
                told.store(
                    lines.any(|line| line.contains(" stands still: ")),
                    Ordering::Release,
                );
                lines.for_each(drop);
            });
            let seen = Arc::clone(&is_told);
            let look = move || {
                let begun = Instant::now();
                while !seen.load(Ordering::Acquire) && begun.elapsed() < 20 * LONG {
                    look_at(page, "/folded.json");
                }
            };
            let lookers = [thread::spawn(look.clone()), thread::spawn(look)];
            let joiner = thread::spawn(move || {
                for looker in lookers {
                    looker.join().expect("it does not panic");
                }
                keys.wake(true);
            });
            runtime.block_on(passes(gate));
            drop(runtime);
            close_stderr();
            joiner.join().expect("it does not panic");
            reader.join().expect("it does not panic");
            assert!(is_told.load(Ordering::Acquire), "{backend:?}");
        }
    });
}

#[test]
fn a_paused_clock_and_one_that_spins_tell_as_well() {
    isolated("a_paused_clock_and_one_that_spins_tell_as_well", || {
        for builder in [
            Builder::new().paused_clock(true),
            Builder::new().spin(Spin::Always),
        ] {
            let (text, count) = stand_still(builder);
            assert_eq!(count, 1, "{text}");
        }
    });
}

#[test]
fn progress_makes_it_another_standstill() {
    isolated("progress_makes_it_another_standstill", || {
        let said = captured();
        let gate = Gate::default();
        let keys = gate.clone();
        let reader = thread::spawn(move || {
            let lines = BufReader::new(File::from(said)).lines();
            let told = lines.map(|line| line.expect("the pipe is open"));
            let mut told = told.filter(|line| line.contains(" stands still: "));
            for open in [false, true] {
                told.next().expect("it is told");
                keys.wake(open);
            }
            told.count()
        });
        let runtime = Builder::new().dump_on_deadlock(true).build();
        runtime
            .expect("a runtime can be built")
            .block_on(passes(gate));
        close_stderr();
        assert_eq!(reader.join().expect("it does not panic"), 0);
    });
}

/// What was said while a runtime ran a future that something wakes.
fn said_while<F: Future>(builder: Builder, future: F) -> String {
    let said = captured();
    let runtime = builder.build().expect("a runtime can be built");
    runtime.block_on(future);
    drop(runtime);
    close_stderr();
    let mut text = String::new();
    File::from(said).read_to_string(&mut text).expect("text");
    text
}

async fn reads_what_comes_late() {
    let (mut theirs, ours) = half_std();
    let writer = thread::spawn(move || {
        thread::sleep(LONG);
        theirs.write_all(b"eight !!").expect("the reader is there");
    });
    assert_eq!(read_exactly(&ours, 8).await, b"eight !!");
    writer.join().expect("it does not panic");
}

async fn blocks_for_long() {
    let blocks = spawn_blocking(|| thread::sleep(LONG));
    blocks.await.expect("it does not panic");
}

#[test]
fn nothing_is_told_while_something_may_come() {
    isolated("nothing_is_told_while_something_may_come", || {
        let said = captured();
        let watched = |backend, name: &str| {
            let builder = Builder::new().backend(backend).dump_on_deadlock(true);
            let runtime = builder.name(format!("{backend:?}, {name}")).build();
            runtime.expect("a runtime can be built")
        };
        // All at once, since each of them waits.
        thread::scope(|scope| {
            for backend in [Backend::Auto, Backend::Epoll] {
                scope.spawn(move || watched(backend, "a timer").block_on(sleep(LONG)));
                scope.spawn(move || watched(backend, "data").block_on(reads_what_comes_late()));
                scope.spawn(move || watched(backend, "a closure").block_on(blocks_for_long()));
            }
        });
        close_stderr();
        let mut text = String::new();
        File::from(said).read_to_string(&mut text).expect("text");
        assert!(!text.contains("stands still"), "{text}");
    });
}

#[test]
fn nothing_is_told_while_another_thread_wakes_often() {
    isolated("nothing_is_told_while_another_thread_wakes_often", || {
        let gate = Gate::default();
        let keys = gate.clone();
        let waker = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            let mut last = Instant::now();
            for turn in 0..30 {
                thread::sleep(LONG / 30);
                keys.wake(turn == 29);
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
            longest
        });
        let text = said_while(Builder::new().dump_on_deadlock(true), passes(gate));
        // Whoever is kept from waking for that long, wakes too late.
        if waker.join().expect("it does not panic") < Duration::from_millis(500) {
            assert!(!text.contains("stands still"), "{text}");
        }
    });
}

#[test]
fn nobody_is_told_who_did_not_ask() {
    isolated("nobody_is_told_who_did_not_ask", || {
        let gate = Gate::default();
        let keys = gate.clone();
        let opener = thread::spawn(move || {
            thread::sleep(LONG);
            keys.wake(true);
        });
        let text = said_while(Builder::new(), async {
            yield_now().await;
            passes(gate).await;
        });
        assert!(!text.contains("stands still"), "{text}");
        opener.join().expect("it does not panic");
    });
}
