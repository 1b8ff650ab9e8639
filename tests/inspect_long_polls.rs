//! Polls that take long are reported, whatever else is recorded, and the report does no harm.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use camshaft::inspect::record::{self, WokenBy};
use camshaft::runtime::{Builder, Runtime};
use camshaft::task::yield_now;
use camshaft::time::sleep;

const LONG: Duration = Duration::from_millis(25);

fn reporting() -> Runtime {
    let builder = Builder::new().report_long_polls(LONG);
    builder.build().expect("a runtime can be built")
}

/// The lines of a test in a process of its own, of which it has to end well.
fn lines_of(test: &str) -> Vec<String> {
    let output = in_child(test, &[]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text.lines().map(str::to_owned).collect()
}

/// Sits on the thread for a while, and then yields.
async fn sits() {
    std::thread::sleep(Duration::from_millis(30));
    yield_now().await; // @sits
}

#[test]
fn long_polls_are_reported_and_not_too_often() {
    const NAME: &str = "long_polls_are_reported_and_not_too_often";
    if !is_child() {
        let mut lines = lines_of(NAME);
        lines.retain(|line| line.starts_with("camshaft: ") && line.contains("long poll"));
        // How many were left out is said, with the last line at least.
        let left_out: Vec<_> = lines
            .iter()
            .filter(|line| line.contains(" more "))
            .collect();
        assert_eq!(left_out.is_empty(), lines.len() >= 20, "{lines:?}");
        lines.retain(|line| line.starts_with("camshaft: a long poll: "));
        // Ten in a second; on a machine that halts, the twenty may be spread over several.
        assert!((10..=20).contains(&lines.len()), "{lines:?}");
        let line = &*lines[0];
        let took = line
            .split(" was polled for ")
            .nth(1)
            .and_then(|rest| rest.split("ms: ").next());
        let took: f64 = took.and_then(|took| took.parse().ok()).expect(line);
        assert!((30.0..10_000.0).contains(&took), "{line}");
        assert!(line.ends_with("; spawned by the root future"), "{line}");
        if is_described() {
            assert!(
                line.contains(
                    ": from inspect_long_polls::sits (not started), to inspect_long_polls::sits tests/"
                ),
                "{line}"
            );
        }
        return;
    }
    reporting().block_on(async {
        let tasks: Vec<_> = (0..20).map(|_| camshaft::spawn(sits())).collect();
        for task in tasks {
            task.await.expect("it ends");
        }
    });
}

#[test]
fn a_recording_that_begins_or_ends_keeps_the_reports() {
    const NAME: &str = "a_recording_that_begins_or_ends_keeps_the_reports";
    if !is_child() {
        let lines = lines_of(NAME);
        let lines = lines.iter().filter(|line| line.contains("a long poll: "));
        assert_eq!(lines.count(), 3);
        return;
    }
    reporting().block_on(async {
        for begin in [
            || record::start(100),
            || record::start_exact(100),
            record::stop,
        ] {
            begin();
            for _ in 0..100 {
                yield_now().await;
            }
            let recording = record::recording().expect("reports need one");
            assert!(recording.recorded > 30, "{recording:?}");
            camshaft::spawn(sits()).await.expect("it ends");
        }
    });
}

#[test]
fn nobody_who_reads_is_no_reason_to_end() {
    const NAME: &str = "nobody_who_reads_is_no_reason_to_end";
    if !is_child() {
        let output = in_child(NAME, &[]);
        assert!(output.status.success(), "{output:?}");
        return;
    }
    // SAFETY: no handler is passed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    // SAFETY: both are open.
    let to = unsafe { libc::dup2(writer.as_raw_fd(), libc::STDERR_FILENO) };
    assert_eq!(to, libc::STDERR_FILENO);
    reporting().block_on(sits());
}

/// Asks the page of a runtime, and reads the answer.
fn ask(page: SocketAddr) {
    let mut stream = TcpStream::connect(page).expect("it listens");
    let question = b"GET /folded.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(question).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[test]
fn what_serves_the_page_is_neither_recorded_nor_reported() {
    const NAME: &str = "what_serves_the_page_is_neither_recorded_nor_reported";
    if !is_child() {
        let lines = lines_of(NAME);
        let mut lines = lines.iter().filter(|line| line.contains("a long poll: "));
        let mine = lines.find(|line| line.contains("the root future"));
        assert!(
            mine.is_some_and(|line| !line.contains(" more ")),
            "{mine:?}"
        );
        assert!(lines.all(|line| line.contains("the root future")));
        return;
    }
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let builder = Builder::new().record(1 << 20).page(nowhere);
    let builder = builder.report_long_polls(Duration::from_nanos(1));
    let runtime = builder.build().expect("a runtime can be built");
    let page = runtime.page().expect("it has one");
    let (done, is_done) = std::sync::mpsc::channel();
    let asks = std::thread::spawn(move || {
        for _ in 0..20 {
            ask(page);
        }
        done.send(()).expect("it is waited for");
    });
    runtime.block_on(async {
        while is_done.try_recv().is_err() {
            yield_now().await;
            sleep(Duration::from_millis(20)).await;
        }
    });
    asks.join().expect("it was answered");
    let recording = runtime.recording().expect("it is recorded");
    assert_eq!(recording.recorded, recording.polls().len() as u64);
    assert!(recording.polls().iter().all(|poll| poll.task.is_none()));
    let mut arrows = 0;
    for poll in recording.polls() {
        if let Some(waking) = poll.woken_in {
            assert_eq!(recording.polls()[waking].task, None);
            assert_eq!(poll.woken_by, WokenBy::Root);
            assert!(recording.polls()[waking].start < poll.start);
            arrows += 1;
        }
    }
    assert!(arrows > 0);
}
