//! The watchdog: a poll that does not end is told of, with the calls that it is in; everything else is left alone.
//!
//! Nothing here is timed: a poll goes on until what it is to be told of has been told. What names calls shares a process, which reads its
//! debug information once.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::fs::File;
use std::hint::black_box;
use std::io::{self, BufRead as _, BufReader, Lines};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use camshaft::runtime::{Builder, Runtime};
use camshaft::task::{self, yield_now};

const LIMIT: Duration = Duration::from_millis(20);

fn watched() -> Builder {
    Builder::new().watchdog(LIMIT)
}

fn built(builder: Builder) -> Runtime {
    builder.build().expect("a runtime can be built")
}

/// What is printed to standard error until this is dropped, line by line. For processes of their own.
struct Said {
    lines: Lines<BufReader<File>>,
    stderr: OwnedFd,
}

impl Said {
    fn new() -> Self {
        let stderr = io::stderr().as_fd().try_clone_to_owned();
        let (said, end) = os_pipe();
        direct_stderr(&end);
        Self {
            lines: BufReader::new(File::from(said)).lines(),
            stderr: stderr.expect("a free descriptor"),
        }
    }

    /// Reads on until a line has a word, and returns all lines up to that.
    fn until(&mut self, word: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in &mut self.lines {
            lines.push(line.expect("the pipe is open"));
            if lines.last().is_some_and(|line| line.contains(word)) {
                return lines;
            }
        }
        panic!("{word} was not said: {lines:?}");
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        direct_stderr(&self.stderr);
    }
}

fn direct_stderr(to: &OwnedFd) {
    // SAFETY: a system call on descriptors that are open; this process runs nothing but this test.
    unsafe { libc::dup2(to.as_raw_fd(), libc::STDERR_FILENO) };
}

/// Runs until it is told to stop.
#[inline(never)]
fn spins(released: &AtomicBool) -> u32 {
    let mut turns = 0u32;
    while !released.load(Ordering::Relaxed) {
        turns = black_box(turns.wrapping_add(1)); // @spins
    }
    turns
}

#[inline(never)]
fn works(released: &AtomicBool) -> u32 {
    black_box(spins(released)) + 1
}

/// Has something run that goes on until a report has ended with a word; the report.
fn reported(
    word: &str,
    builder: Builder,
    run: impl FnOnce(&Runtime, Arc<AtomicBool>),
) -> Vec<String> {
    let mut said = Said::new();
    let released = Arc::new(AtomicBool::new(false));
    let release = Arc::clone(&released);
    let word = word.to_owned();
    let reader = thread::spawn(move || {
        let lines = said.until(&word);
        release.store(true, Ordering::Relaxed);
        lines
    });
    run(&built(builder), released);
    reader.join().expect("it has been said")
}

/// What shares a process. The first one takes the signal before any watchdog does, the last one keeps it from its thread for good.
const TOLD: &[(&str, fn())] = &[
    (
        "signals of others",
        signals_of_others_go_to_whoever_had_them_before,
    ),
    ("a task", a_task_that_spins_is_told_of_by_name),
    (
        "the root future",
        the_root_future_is_told_of_and_where_it_was_resumed,
    ),
    #[cfg(feature = "stackful")]
    ("a fiber", a_fiber_is_told_of_to_the_end_of_its_stack),
    ("the kernel", a_thread_that_waits_in_the_kernel_is_told_of),
    ("again", one_poll_is_told_of_and_the_next_again),
    ("for long", a_poll_that_goes_on_is_told_of_again),
    ("two runtimes", each_of_two_runtimes_has_its_own),
    ("a blocked signal", whoever_blocks_the_signal_is_told_so),
];

#[test]
fn a_poll_that_does_not_end_is_told_of() {
    isolated("a_poll_that_does_not_end_is_told_of", || {
        for (name, scenario) in TOLD {
            let _alone = alone_at(name);
            eprintln!("{name}");
            scenario();
        }
    });
}

fn a_task_that_spins_is_told_of_by_name() {
    let lines = reported("works", watched().name("busy"), |runtime, released| {
        runtime.block_on(async move {
            let task = task::Builder::new().name("spinner");
            let task = task.spawn(async move { works(&released) });
            task.await.expect("it does not panic");
        });
    });
    let text = lines.join("\n");
    assert!(text.contains("camshaft: a poll of task "), "{text}");
    assert!(
        text.contains("\"spinner\" of the runtime busy has taken at least "),
        "{text}"
    );
    let spins = text.find("watchdog::spins").expect("it is the last call");
    let works = text
        .find("watchdog::works")
        .expect("it has called the last one");
    assert!(spins < works, "{text}");
}

fn the_root_future_is_told_of_and_where_it_was_resumed() {
    let lines = reported("works", watched().record(100), |runtime, released| {
        runtime.block_on(async move {
            yield_now().await; // @resumed
            works(&released)
        });
    });
    let text = lines.join("\n");
    assert!(
        text.contains("a poll of the root future has taken at least "),
        "{text}"
    );
    if text.contains("resumed from") {
        let line = include_str!("watchdog.rs").lines();
        let line = line
            .take_while(|line| !line.ends_with("// @resumed"))
            .count()
            + 1;
        assert!(
            text.contains(&format!("tests/watchdog.rs:{line}")),
            "{text}"
        );
    }
}

#[cfg(feature = "stackful")]
fn a_fiber_is_told_of_to_the_end_of_its_stack() {
    use camshaft::fiber;

    let lines = reported("watchdog::consumes", watched(), |runtime, released| {
        runtime.block_on(async move {
            let fiber = fiber::spawn(move || consumes(released));
            fiber.await.expect("it does not panic");
        });
    });
    let text = lines.join("\n");
    assert!(text.contains("watchdog::spins"), "{text}");
    assert!(text.contains("watchdog::works"), "{text}");
    assert!(!text.contains("corosensei"), "{text}");
}

/// A fiber that uses a generator, which spins.
#[cfg(feature = "stackful")]
#[inline(never)]
fn consumes(released: Arc<AtomicBool>) -> u32 {
    let items = camshaft::fiber::Generator::new(move |out| out.give(works(&released)));
    black_box(items.sum())
}

fn a_thread_that_waits_in_the_kernel_is_told_of() {
    let lines = reported("sleeps", watched(), |runtime, released| {
        runtime.block_on(async move { sleeps(&released) });
    });
    let text = lines.join("\n");
    assert!(text.contains("libc.so.6"), "{text}");
}

/// Waits in the kernel for a long time, again and again, with calls that the standard library repeats.
#[inline(never)]
fn sleeps(released: &AtomicBool) {
    while !released.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(500));
    }
    black_box(());
}

fn one_poll_is_told_of_and_the_next_again() {
    let mut said = Said::new();
    let released = Arc::new(AtomicU32::new(0));
    let release = Arc::clone(&released);
    let reader = thread::spawn(move || {
        let mut lines = Vec::new();
        for round in 1..=3 {
            lines.extend(said.until("works_in_rounds"));
            release.store(round, Ordering::Relaxed);
        }
        lines
    });
    built(watched()).block_on(async {
        for round in 1..=3 {
            works_in_rounds(&released, round);
            yield_now().await;
        }
    });
    let text = reader.join().expect("it has been said").join("\n");
    assert_eq!(text.matches("camshaft: a poll of").count(), 3, "{text}");
}

#[inline(never)]
fn works_in_rounds(released: &AtomicU32, round: u32) {
    while released.load(Ordering::Relaxed) < round {
        black_box(round);
    }
    black_box(());
}

#[test]
fn a_runtime_that_waits_is_left_alone() {
    isolated("a_runtime_that_waits_is_left_alone", || {
        let mut said = Said::new();
        let quiet = built(watched());
        quiet.block_on(async {
            for _ in 0..10 {
                camshaft::time::sleep(2 * LIMIT).await;
            }
        });
        drop(quiet);
        eprintln!("over");
        assert_eq!(said.until("over"), ["over"]);
    });
}

fn a_poll_that_goes_on_is_told_of_again() {
    let mut said = Said::new();
    let released = Arc::new(AtomicBool::new(false));
    let release = Arc::clone(&released);
    let reader = thread::spawn(move || {
        let both = [(); 2].map(|()| said.until("watchdog::works").join("\n"));
        release.store(true, Ordering::Relaxed);
        both
    });
    built(watched()).block_on(async move { works(&released) });
    for text in reader.join().expect("it has been said twice") {
        let told = "a poll of the root future has taken at least ";
        assert!(text.contains(told), "{text}");
    }
}

fn each_of_two_runtimes_has_its_own() {
    let mut said = Said::new();
    let released = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = ["one", "two"]
        .map(|name| {
            let released = Arc::clone(&released);
            thread::spawn(move || {
                let runtime = built(watched().name(name));
                runtime.block_on(async move { works(&released) })
            })
        })
        .into();
    // One may be told of again before the other is.
    let told = ["one", "two"].map(|name| format!("of the runtime {name} has taken at least "));
    let mut text = String::new();
    while !told.iter().all(|told| text.contains(told)) {
        text += &said.until("watchdog::works").join("\n");
    }
    released.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("it does not panic");
    }
}

static OTHERS: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: libc::c_int) {
    OTHERS.fetch_add(1, Ordering::Relaxed);
}

fn signals_of_others_go_to_whoever_had_them_before() {
    // SAFETY: the handler adds to a number.
    unsafe { libc::signal(libc::SIGURG, count as extern "C" fn(libc::c_int) as usize) };
    // SAFETY: it takes nothing.
    let thread = unsafe { libc::pthread_self() };
    let storm = Arc::new(AtomicBool::new(true));
    let goes_on = Arc::clone(&storm);
    let sender = thread::spawn(move || {
        while goes_on.load(Ordering::Relaxed) {
            // SAFETY: the thread is that of the test, which joins this one.
            unsafe { libc::pthread_kill(thread, libc::SIGURG) };
            thread::sleep(Duration::from_micros(50));
        }
    });
    let lines = reported("works", watched(), |runtime, released| {
        runtime.block_on(async move { works(&released) });
    });
    let built = built(watched());
    built.block_on(async {
        while OTHERS.load(Ordering::Relaxed) < 100 {
            camshaft::time::sleep(Duration::from_millis(1)).await;
        }
    });
    storm.store(false, Ordering::Relaxed);
    sender.join().expect("it does not panic");
    assert!(
        lines.iter().any(|line| line.contains("watchdog::spins")),
        "{lines:?}"
    );
}

/// Keeps a signal from this thread.
fn block(signal: libc::c_int) {
    // SAFETY: all bytes zero is a set of no signals.
    let mut set = unsafe { std::mem::zeroed() };
    // SAFETY: it writes to the set.
    unsafe { libc::sigaddset(&raw mut set, signal) };
    // SAFETY: it reads the set.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

fn whoever_blocks_the_signal_is_told_so() {
    let lines = reported("its stack is not known", watched(), |runtime, released| {
        runtime.block_on(async move {
            block(libc::SIGURG);
            works(&released)
        });
    });
    assert!(
        lines.iter().any(|line| line.contains("SIGURG")),
        "{lines:?}"
    );
}

#[test]
fn a_forked_child_waits_for_no_watchdog() {
    isolated("a_forked_child_waits_for_no_watchdog", || {
        let runtime = built(watched());
        // SAFETY: the child drops the runtime and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            drop(runtime);
            // SAFETY: it ends the process.
            unsafe { libc::_exit(7) };
        }
        let mut status = 0;
        // SAFETY: it writes one number.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, libc::WEXITSTATUS(status)), (child, 7));
    });
}
