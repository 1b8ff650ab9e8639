//! Asking a runtime from outside: who may, what is answered, what clients that mean harm can do, and what is left behind.
#![cfg(feature = "inspect")]

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use camshaft::runtime::{Builder, Runtime};
use camshaft::task;
use camshaft_inspect::attach::{Directory, Listed, Question, directories_of};
use common::{fds, fork, in_child, is_child, panic_of};
use scratch::Scratch;
use serde_json::Value;

/// Runs the body in a process of its own, whose user's session is a directory of the test.
fn in_session(test: &str, body: impl FnOnce(&Path)) {
    if is_child() {
        let session = std::env::var_os("XDG_RUNTIME_DIR").expect("the parent has set it");
        return body(Path::new(&session));
    }
    let session = Scratch::new();
    let path = session.path().to_str().expect("a temporary path");
    let output = in_child(test, &[("XDG_RUNTIME_DIR", path)]);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{test}: {}\n{out}\n{err}",
        output.status
    );
}

fn attached() -> Runtime {
    Builder::new()
        .attach(true)
        .build()
        .expect("a runtime can be built")
}

/// The sockets of this process, and what keeps their paths alive.
fn sockets() -> (Vec<Directory>, Vec<Listed>) {
    let directories = directories_of(std::process::id());
    let all = directories.iter().flat_map(Directory::sockets);
    let ours = all
        .filter(|socket| socket.pid == std::process::id())
        .collect();
    (directories, ours)
}

fn connect() -> UnixStream {
    let (_directories, sockets) = sockets();
    let stream = UnixStream::connect(&sockets[0].path).expect("it listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .expect("it is a socket");
    stream
}

fn said(mut stream: UnixStream, line: &str) -> String {
    stream.write_all(line.as_bytes()).expect("it reads");
    let mut text = String::new();
    match stream.read_to_string(&mut text) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => text,
    }
}

fn ask(question: Question) -> Value {
    let text = said(connect(), question.line());
    assert!(text.ends_with("}\n"), "{text}");
    serde_json::from_str(&text).expect("it is JSON")
}

/// Runs blocking work while the runtime has its turns.
fn beside<T: Send + 'static>(runtime: &Runtime, work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = runtime.block_on(async { task::spawn_blocking(work).await });
    done.expect("it does not panic")
}

async fn patient() {
    camshaft::time::sleep(Duration::from_secs(3600)).await;
}

#[test]
fn a_question_is_answered() {
    in_session("a_question_is_answered", |_| {
        let builder = Builder::new().attach(true).name("one \"of\" many");
        let runtime = builder.build().expect("a runtime can be built");
        let _tasks: Vec<_> = (0..300).map(|_| runtime.spawn(patient())).collect();
        let look = beside(&runtime, || ask(Question::Look));
        assert_eq!(look["protocol"], 1);
        assert_eq!(look["pid"], std::process::id());
        assert_eq!(look["name"], "one \"of\" many");
        assert_eq!(look["backend"], runtime.backend().to_string());
        assert_eq!(look["metrics"]["tasks"], 300);
        assert!(look["uptime_ns"].as_u64() > Some(0) && look["age_ns"].is_u64());
        assert!(look["dwell"].is_null());
        let tasks = look["dump"]["tasks"].as_array().expect("the tasks");
        assert_eq!(
            tasks.len(),
            301,
            "the server's task is shown, or one is not"
        );
        let group = &look["groups"][1];
        assert_eq!(group["count"], 300);
        assert_eq!(group["tasks"].as_array().map(Vec::len), Some(100));
        assert_eq!(group["activity"], "waiting");
        assert!(
            group["tree"]
                .as_str()
                .is_some_and(|tree| tree.contains("patient")),
            "{group}"
        );
        let size = &look["sizes"][0];
        assert_eq!(size["tasks"], 300);
        assert!(size["size"].as_u64().is_some_and(|size| size > 0), "{size}");
        let folded = beside(&runtime, || ask(Question::Folded));
        assert!(folded.get("dump").is_none());
        assert_eq!(folded["groups"][1]["count"], 300);
    });
}

#[test]
fn what_is_recorded_is_told_and_none_of_it_is_the_servers() {
    in_session(
        "what_is_recorded_is_told_and_none_of_it_is_the_servers",
        |_| {
            let runtime = Builder::new().attach(true).record(1000).build();
            let runtime = runtime.expect("a runtime can be built");
            let _tasks: Vec<_> = (0..30).map(|_| runtime.spawn(patient())).collect();
            beside(&runtime, || ask(Question::Folded));
            // The dwell of the last look may be told again for a while.
            runtime.block_on(camshaft::time::sleep(Duration::from_millis(1)));
            let look = beside(&runtime, || ask(Question::Folded));
            let dwell = look["dwell"].as_array().expect("it is recorded");
            let of = |state: &Value| state["type"].as_str().unwrap_or_default().to_owned();
            let patient: Vec<_> = dwell
                .iter()
                .filter(|state| of(state).contains("patient"))
                .collect();
            let waiting: u64 = patient
                .iter()
                .filter_map(|state| state["waiting"].as_u64())
                .sum();
            assert_eq!(waiting, 30, "{dwell:#?}");
            assert!(
                dwell
                    .iter()
                    .all(|state| !of(state).contains("camshaft::runtime")),
                "{dwell:#?}"
            );
            let task = &look["groups"][1]["tasks"][0];
            assert!(
                task["since_ns"].as_u64().is_some() && task["polls"] == 1,
                "{task}"
            );
        },
    );
}

#[test]
fn the_socket_is_closed_to_others_and_goes_with_the_runtime() {
    in_session(
        "the_socket_is_closed_to_others_and_goes_with_the_runtime",
        |session| {
            let directory = session.join("camshaft");
            assert!(!directory.exists());
            drop(common::runtime());
            assert!(!directory.exists(), "nobody has asked for it");
            let (one, two) = (attached(), attached());
            let mode =
                |path: &Path| fs::symlink_metadata(path).expect("it is there").mode() & 0o777;
            assert_eq!(mode(&directory), 0o700);
            let files = || -> Vec<PathBuf> {
                let entries = fs::read_dir(&directory).expect("it is there");
                entries
                    .map(|entry| entry.expect("it can be read").path())
                    .collect()
            };
            assert_eq!(files().len(), 2);
            assert!(files().iter().all(|file| mode(file) == 0o600));
            drop(one);
            assert_eq!(files().len(), 1);
            panic_of(move || two.block_on(async { panic!("as it should") }));
            assert_eq!(files().len(), 0);
        },
    );
}

#[test]
fn a_directory_that_is_not_safe_is_an_error() {
    in_session("a_directory_that_is_not_safe_is_an_error", |session| {
        let directory = session.join("camshaft");
        fs::create_dir(&directory).expect("it is new");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("it is ours");
        let error = Builder::new()
            .attach(true)
            .build()
            .expect_err("it is open to others");
        assert!(
            error.to_string().contains("is open to other users"),
            "{error}"
        );
    });
}

#[test]
fn a_runtime_ends_as_without_it() {
    in_session("a_runtime_ends_as_without_it", |_| {
        let loopback = "127.0.0.1:0".parse().expect("an address");
        let runtime = Builder::new()
            .attach(true)
            .page(loopback)
            .paused_clock(true)
            .build();
        let runtime = runtime.expect("a runtime can be built");
        let open = fds();
        assert_eq!(runtime.block_on(async { 42 }), 42);
        // Nothing of the server's moves the clock, and nothing keeps it from moving.
        runtime.block_on(patient());
        assert_eq!(runtime.metrics().tasks, 0);
        assert!(runtime.dump().tasks.is_empty(), "{}", runtime.dump());
        let hangs = connect();
        runtime.block_on(patient());
        drop(runtime);
        assert!(fds() < open);
        drop(hangs);
    });
}

#[test]
fn a_client_that_means_harm_does_none() {
    in_session("a_client_that_means_harm_does_none", |_| {
        let runtime = attached();
        let before = fds();
        let answers = beside(&runtime, || {
            let silent: Vec<_> = (0..100).map(|_| connect()).collect();
            let garbage = said(connect(), "GET / HTTP/1.1\r\n\r\n");
            let half = connect();
            (&half).write_all(b"camshaft/1 lo").expect("it is buffered");
            // Who never reads, and who never stops to write.
            let deaf: Vec<_> = (0..50).map(|_| connect()).collect();
            for mut client in &deaf {
                // Some have lost their place already.
                let _ = client.write_all(Question::Look.line().as_bytes());
            }
            let mut endless = connect();
            let piece = vec![b'x'; 1 << 20];
            let written = (0..1024)
                .take_while(|_| endless.write_all(&piece).is_ok())
                .count();
            let good = ask(Question::Folded);
            drop((silent, half, deaf));
            (garbage, written, good)
        });
        let (garbage, written, good) = answers;
        assert_eq!(
            garbage,
            "{\"protocol\":1,\"error\":\"the question is not known\"}\n"
        );
        assert!(written < 8, "{written} MiB were taken");
        assert_eq!(good["protocol"], 1);
        assert!(
            fds() <= before + 16,
            "{} descriptors are left",
            fds() - before
        );
        // A thousand at once: each is answered or cut off, and the next is answered.
        beside(&runtime, || {
            let clients: Vec<_> = (0..4)
                .map(|_| std::thread::spawn(|| (0..250).for_each(|_| drop(connect()))))
                .collect();
            for client in clients {
                client.join().expect("each can connect");
            }
            ask(Question::Folded)
        });
    });
}

#[test]
fn a_user_who_is_not_ours_is_told_nothing() {
    // SAFETY: it can't fail, and passes no memory.
    if unsafe { libc::geteuid() } != 0 {
        return eprintln!("skipped: only root can be somebody else");
    }
    in_session("a_user_who_is_not_ours_is_told_nothing", |session| {
        let runtime = attached();
        let ours = connect();
        // As if the rights of the files were of no use.
        let (_directories, sockets) = sockets();
        let name = sockets[0]
            .path
            .file_name()
            .expect("it has a name")
            .to_owned();
        let file = session.join("camshaft").join(name);
        for path in [&file, &session.join("camshaft"), &session.to_owned()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).expect("it is ours");
        }
        let (theirs, ours) = beside(&runtime, move || {
            let theirs = std::thread::spawn(move || {
                // SAFETY: the raw system call changes this thread alone, and passes no memory.
                let changed = unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) };
                assert_eq!(changed, 0);
                let mut stream = UnixStream::connect(file).expect("it is open to all");
                let _ = stream.write_all(Question::Look.line().as_bytes());
                let mut text = String::new();
                let _ = stream.read_to_string(&mut text);
                text
            });
            (
                theirs.join().expect("it does not panic"),
                said(ours, Question::Folded.line()),
            )
        });
        assert_eq!(theirs, "");
        assert!(ours.contains("\"protocol\":1"), "{ours}");
    });
}

#[test]
fn a_forked_child_leaves_the_socket_alone() {
    in_session("a_forked_child_leaves_the_socket_alone", |_| {
        let runtime = attached();
        let code = fork(|| {
            let refused = panic_of(|| runtime.block_on(async {}));
            i32::from(!refused.contains("fork"))
        });
        assert_eq!(code, 0);
        let mut inherited = Some(runtime);
        let code = fork(|| {
            drop(inherited.take());
            0
        });
        assert_eq!(code, 0);
        let runtime = inherited.take().expect("the child has dropped its own");
        assert_eq!(
            beside(&runtime, || ask(Question::Folded))["pid"],
            std::process::id()
        );
    });
}

#[test]
fn what_a_killed_process_has_left_is_swept() {
    const LEAVES: &str = "what_a_killed_process_has_left_is_swept";
    const KILLED: &str = "CAMSHAFT_TEST_KILLED";
    if std::env::var_os(KILLED).is_some() {
        let _left = attached();
        std::process::abort();
    }
    in_session(LEAVES, |session| {
        let killed = in_child(LEAVES, &[(KILLED, "1")]);
        assert!(!killed.status.success());
        let files = || fs::read_dir(session.join("camshaft")).map_or(0, Iterator::count);
        assert_eq!(files(), 1);
        let _runtime = attached();
        assert_eq!(files(), 1);
        assert_eq!(sockets().1.len(), 1);
    });
}
