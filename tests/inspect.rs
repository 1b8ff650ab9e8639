//! What a runtime tells of its tasks: where each waits, for what, and that looking changes nothing.
//!
//! A line that ends in `// @here` is meant where a test says `@here`. Where the tests were built without debug information, what
//! is told is which setting gives it.

#![cfg(feature = "inspect")]

mod common;
use common::*;

use std::fs::File;
use std::future::pending;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use camshaft::inspect::{self, Activity, Dump, Node, Standing, TaskTree};
use camshaft::net::{TcpListener, TcpStream};
use camshaft::runtime::Builder;
use camshaft::task::{self, JoinHandle, yield_now};
use camshaft::time::{sleep, timeout};

async fn patient(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await; // @patient
}

async fn reads(stream: TcpStream) -> usize {
    let (read, _) = stream.read(Vec::with_capacity(8)).await; // @reads
    read.expect("the peer is there")
}

async fn accepts(listener: TcpListener) {
    let _connection = listener.accept().await; // @accepts
}

async fn limited() {
    let _ = timeout(Duration::from_secs(60), pending::<()>()).await; // @limited
}

async fn joins(handle: JoinHandle<()>) {
    let _ = handle.await; // @joins
}

/// Whether this program can be looked into. If not, the dump must say what to do.
fn is_described(dump: &Dump) -> bool {
    if dump.missing.is_empty() {
        return true;
    }
    let text = dump.to_string();
    assert!(text.contains("set `debug = \"full\"`"), "{text}");
    assert!(text.contains("its state is not known"), "{text}");
    common::is_described()
}

/// `patient@patient(Sleep: 10.0s left)`
fn text(node: &Node) -> String {
    let path = node.name.split('<').next().unwrap_or_default();
    let mut text = path.rsplit("::").next().unwrap_or_default().to_owned();
    if let (Standing::Suspended | Standing::Running, Some(site)) = (&node.standing, &node.site) {
        let line = usize::try_from(site.line).expect("the file is not that long");
        let source = include_str!("inspect.rs").lines().nth(line - 1);
        let mark = source
            .and_then(|line| line.rsplit_once("// "))
            .map_or("@nowhere", |(_, mark)| mark);
        text.push_str(mark);
    }
    if let Some(leaf) = &node.leaf {
        text.push_str(&format!(": {leaf}"));
    }
    if !node.children.is_empty() {
        let children: Vec<_> = node.children.iter().map(self::text).collect();
        text.push_str(&format!("({})", children.join(", ")));
    }
    text
}

fn of<T>(dump: &Dump, handle: &JoinHandle<T>) -> TaskTree {
    let id = handle.id().to_string();
    let mut tasks = dump.tasks.iter();
    let found = tasks.find(|task| task.id.is_some_and(|found| found.to_string() == id));
    found.expect("the task is alive").clone()
}

#[test]
fn there_is_debug_information_if_the_build_asked_for_it() {
    let _ = common::is_described();
}

#[test]
fn each_task_tells_what_it_waits_for() {
    let _alone = alone();
    paused().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (server, _) = listener.accept().await.expect("one has come");
        let sleeper = camshaft::spawn(patient(10));
        let reader = camshaft::spawn(reads(stream));
        let acceptor = camshaft::spawn(accepts(listener));
        let limited = camshaft::spawn(limited());
        let target = camshaft::spawn(patient(3));
        let waits = format!("joins@joins(JoinHandle: waits for task {})", target.id());
        let joiner = task::Builder::new().name("joiner").spawn(joins(target));
        let unstarted = || camshaft::spawn(patient(4));
        yield_now().await;
        let unstarted = unstarted();
        let dump = inspect::dump();
        if !is_described(&dump) {
            return;
        }
        let tell = |handle| text(&of(&dump, handle).root);
        assert_eq!(tell(&sleeper), "patient@patient(Sleep: 10.0s left)");
        assert_eq!(
            tell(&limited),
            "limited@limited(Timeout(Pending, Sleep: 60.0s left))"
        );
        assert_eq!(tell(&joiner), waits);
        assert_eq!(of(&dump, &joiner).name.as_deref(), Some("joiner"));
        let accepting = tell(&acceptor);
        assert!(
            accepting.starts_with("accepts@accepts(Op: accept, fd "),
            "{accepting}"
        );
        assert!(
            accepting.ends_with(&format!(", bound to {address})")),
            "{accepting}"
        );
        let reading = text(&of(&dump, &reader).root);
        assert!(
            reading.starts_with("reads@reads(Op: recv, fd "),
            "{reading}"
        );
        assert!(
            reading.ends_with(&format!(", peer {address}, 8 bytes)")),
            "{reading}"
        );
        assert_eq!(of(&dump, &unstarted).root.standing, Standing::Unresumed);
        assert_eq!(of(&dump, &unstarted).activity, Activity::Ready);
        assert_eq!(of(&dump, &sleeper).activity, Activity::Waiting);
        let root = dump
            .tasks
            .iter()
            .find(|task| task.id.is_none())
            .expect("this is it");
        assert_eq!(
            (root.activity, &root.root.standing),
            (Activity::Running, &Standing::Running)
        );
        drop(server);
    });
}

#[test]
fn a_task_that_looks_is_shown_as_running() {
    let _alone = alone();
    runtime().block_on(async {
        let looker = camshaft::spawn(async {
            yield_now().await; // @looker
            inspect::dump()
        });
        let id = looker.id().to_string();
        let dump = looker.await.expect("it does not panic");
        if !is_described(&dump) {
            return;
        }
        let mut tasks = dump.tasks.iter();
        let looker = tasks.find(|task| task.id.is_some_and(|found| found.to_string() == id));
        let looker = looker.expect("it was alive");
        assert_eq!(looker.activity, Activity::Running);
        assert_eq!(looker.root.standing, Standing::Running);
        assert!(
            text(&looker.root).starts_with("{async block}@looker"),
            "{dump}"
        );
    });
}

#[test]
fn those_that_are_alike_are_counted() {
    let _alone = alone();
    let runtime = paused();
    let handles: Vec<_> = (0..1000).map(|_| runtime.spawn(patient(10))).collect();
    runtime.block_on(yield_now());
    let dump = runtime.dump();
    assert_eq!(dump.tasks.len(), 1000);
    if is_described(&dump) {
        let text = dump.to_string();
        assert!(text.starts_with("1,000 × tasks "), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }
    let json = dump.to_json();
    assert_eq!(json.matches("\"activity\":\"waiting\"").count(), 1000);
    drop(handles);
}

#[test]
fn looking_at_operations_in_flight_changes_nothing() {
    let _alone = alone();
    raise_fd_limit();
    let runtime = runtime();
    runtime.block_on(async {
        let mut readers = Vec::new();
        let mut writers = Vec::new();
        for _ in 0..300 {
            let (theirs, ours) = half_std();
            readers.push(camshaft::spawn(reads(ours)));
            writers.push(theirs);
        }
        while runtime.metrics().ops_submitted < 300 {
            yield_now().await;
        }
        let before = runtime.metrics();
        let first = inspect::dump();
        let second = inspect::dump();
        let after = runtime.metrics();
        assert_eq!(
            (before.polls, before.ops_submitted),
            (after.polls, after.ops_submitted)
        );
        assert_eq!(
            (before.wakes_local, before.enters),
            (after.wakes_local, after.enters)
        );
        let texts =
            |dump: &Dump| -> Vec<_> { dump.tasks.iter().map(|task| text(&task.root)).collect() };
        assert_eq!(texts(&first), texts(&second));
        for mut writer in writers {
            std::io::Write::write_all(&mut writer, b"eight !!").expect("the reader is there");
        }
        for reader in readers {
            assert_eq!(reader.await.expect("it does not panic"), 8);
        }
    });
}

#[cfg(feature = "stackful")]
#[test]
fn a_fiber_can_look_and_is_named() {
    use camshaft::fiber;

    let _alone = alone();
    paused().block_on(async {
        let waiting = fiber::Builder::new()
            .name("waiter")
            .spawn(|| fiber::wait(patient(3)));
        let sleeper = camshaft::spawn(patient(10));
        let looker = fiber::spawn(|| {
            fiber::yield_now();
            inspect::dump()
        });
        let dump = looker.await.expect("it does not panic");
        if !is_described(&dump) {
            return;
        }
        assert_eq!(
            text(&of(&dump, &sleeper).root),
            "patient@patient(Sleep: 10.0s left)"
        );
        let waiting = of(&dump, &waiting);
        assert_eq!(waiting.name.as_deref(), Some("waiter"));
        let told = text(&waiting.root);
        assert!(
            told.starts_with("fiber \"waiter\"(")
                && told.ends_with("(patient@patient(Sleep: 3.0s left)))"),
            "{told}"
        );
    });
}

#[test]
fn a_signal_asks_for_a_dump() {
    isolated("a_signal_asks_for_a_dump", || {
        let (said, stderr) = os_pipe();
        // SAFETY: a system call on descriptors that are open; this process runs nothing but this test.
        unsafe { libc::dup2(stderr.as_raw_fd(), libc::STDERR_FILENO) };
        let runtime = Builder::new().dump_on_signal(true).build();
        runtime.expect("a runtime can be built").block_on(async {
            let _sleeper = camshaft::spawn(patient(3600));
            yield_now().await;
            // SAFETY: it passes no memory; the signal is listened to.
            unsafe { libc::raise(libc::SIGUSR1) };
            let said = task::spawn_blocking(move || {
                let lines = BufReader::new(File::from(said)).lines();
                let lines = lines.map(|line| line.expect("the pipe is open"));
                let mut lines =
                    lines.skip_while(|line| line != "camshaft: a signal asks for a dump");
                lines.any(|line| line.contains("patient"))
            });
            assert!(said.await.expect("it does not panic"));
        });
    });
}

#[test]
fn a_panic_leaves_a_dump() {
    if is_child() {
        let runtime = Builder::new()
            .dump_on_panic(true)
            .build()
            .expect("a runtime can be built");
        return runtime.block_on(async {
            let _sleeper = camshaft::spawn(patient(3600));
            yield_now().await;
            panic!("as it should");
        });
    }
    let output = in_child("a_panic_leaves_a_dump", &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("camshaft: the runtime ends with a panic\n"),
        "{said}"
    );
    assert!(said.contains("patient"), "{said}");
}
