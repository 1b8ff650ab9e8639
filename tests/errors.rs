//! What goes wrong says so, and says what to do.

mod common;

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::time::Duration;

use camshaft::net::{TcpListener, TcpStream};
use camshaft::runtime::{Backend, Builder, Runtime};
use camshaft::time::{sleep, timeout};
use common::standard::Instead;
use common::{
    alone, fds, half_std, in_child, is_child, isolated, limit_fds, os_pipe, pair, panic_of,
    poll_outside, read_exactly, runtime, turn,
};

/// A panic that names the runtime and the remedy.
#[track_caller]
fn explains<R>(body: impl FnOnce() -> R) {
    let text = panic_of(body);
    assert!(
        text.contains("camshaft") && text.contains("outside of a camshaft runtime"),
        "{text}"
    );
    assert!(text.contains("block_on"), "says what to do: {text}");
}

#[test]
fn outside_of_a_runtime() {
    let _alone = alone();
    explains(|| camshaft::spawn(async {}));
    explains(|| camshaft::task::spawn_blocking(|| ()));
    let late = sleep(Duration::from_secs(1)); // making one is fine
    explains(|| poll_outside(late));
    explains(|| {
        poll_outside(timeout(
            Duration::from_secs(1),
            std::future::pending::<()>(),
        ))
    });
    let (_client, server) = half_std();
    explains(|| poll_outside(server.read(Vec::with_capacity(1))));
    explains(|| poll_outside(server.recv()));
    explains(|| poll_outside(server.write_all(b"x")));
    explains(|| poll_outside(camshaft::fs::File::open("/dev/null")));
    explains(|| poll_outside(TcpStream::connect("127.0.0.1:1")));
    explains(|| poll_outside(TcpListener::bind("localhost:0")));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    explains(|| poll_outside(listener.accept()));
    // What panicked is still of use inside.
    runtime().block_on(async {
        server.write_all(b"x").await.0.unwrap();
    });
}

#[test]
fn a_nested_runtime() {
    let _alone = alone();
    let outer = runtime();
    outer.block_on(async {
        for nested in [
            panic_of(|| camshaft::block_on(async {})),
            panic_of(|| outer.block_on(async {})),
        ] {
            assert!(
                nested.contains("camshaft") && nested.contains("already running"),
                "{nested}"
            );
            assert!(nested.contains("await"), "says what to do: {nested}");
        }
        // The outer one goes on, with its ring and its clock.
        sleep(Duration::from_micros(1)).await;
        turn().await;
        // On the threads for blocking work it is allowed.
        let inner = camshaft::task::spawn_blocking(|| camshaft::block_on(async { 7 }));
        assert_eq!(inner.await.unwrap(), 7);
    });
}

#[test]
fn a_runtime_dropped_inside_another_leaves_it_alone() {
    let _alone = alone();
    runtime().block_on(async {
        let other = runtime();
        other.spawn(sleep(Duration::MAX));
        drop(other);
        sleep(Duration::from_micros(1)).await;
        turn().await;
    });
}

#[test]
fn the_variable_for_the_backend() {
    let test = "the_variable_for_the_backend";
    if is_child() {
        let built = Builder::new().backend(Backend::IoUring).build();
        match built {
            Ok(runtime) => println!("built: {}", runtime.backend()),
            Err(error) => println!("refused: {:?}: {error}", error.kind()),
        }
        return;
    }
    let _alone = alone();
    let says = |word: &str| {
        let output = in_child(test, &[("CAMSHAFT_BACKEND", word)]);
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let nonsense = says("nonsense");
    assert!(nonsense.contains("refused: InvalidInput"), "{nonsense}");
    for word in ["CAMSHAFT_BACKEND", "nonsense", "io_uring", "auto"] {
        assert!(nonsense.contains(word), "{nonsense}");
    }
    assert!(says("epoll").contains("built: epoll"));
    if has_io_uring() {
        assert!(says("io_uring").contains("built: io_uring"));
        assert!(says("auto").contains("built: io_uring"));
        assert!(says("").contains("built: io_uring"));
    }
}

#[test]
fn the_variable_for_the_rung() {
    let test = "the_variable_for_the_rung";
    if is_child() {
        match Builder::new().build() {
            Ok(runtime) => println!("{}", runtime.backend_report()),
            Err(error) => println!("refused: {:?}: {error}", error.kind()),
        }
        return;
    }
    let _alone = alone();
    let says = |rung: &str| {
        let variables = [("CAMSHAFT_BACKEND", ""), ("CAMSHAFT_BEST_RUNG", rung)];
        String::from_utf8_lossy(&in_child(test, &variables).stdout).into_owned()
    };
    let nonsense = says("4.20");
    for word in ["InvalidInput", "CAMSHAFT_BEST_RUNG", "4.20", "5.11", "6.6"] {
        assert!(nonsense.contains(word), "{nonsense}");
    }
    if has_io_uring() {
        assert!(says("5.11").contains("plain (as of 5.11): in use"));
        assert!(says("5.19").contains("(as of 5.19): in use"));
    }
}

fn has_io_uring() -> bool {
    let parameters = [0_u64; 15]; // one `io_uring_params`, for one entry
    // SAFETY: the kernel reads and writes the parameters.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_ptr()) };
    // SAFETY: a descriptor that nobody else owns, or none.
    fd >= 0 && unsafe { libc::close(i32::try_from(fd).expect("a descriptor")) } == 0
}

#[test]
fn the_backend_is_resolved_and_reported() {
    let test = "the_backend_is_resolved_and_reported";
    let _alone = alone();
    if !is_child() {
        let passed = in_child(test, &[("CAMSHAFT_BACKEND", "")]);
        assert!(passed.status.success(), "{passed:?}");
        return;
    }
    let runtime = Builder::new().backend(Backend::Epoll).build().unwrap();
    assert_eq!(runtime.backend(), Backend::Epoll);
    assert_eq!(runtime.backend_report().to_string(), "epoll: in use");
    let runtime = Builder::new().backend(Backend::Auto).build().unwrap();
    let report = runtime.backend_report().to_string();
    if has_io_uring() {
        assert_eq!(runtime.backend(), Backend::IoUring);
        assert!(
            report.contains("io_uring") && report.contains("in use"),
            "{report}"
        );
        assert!(report.contains("provided-buffer rings"), "{report}");
    } else {
        assert_eq!(runtime.backend(), Backend::Epoll);
        assert!(
            report.contains("refused") && report.contains("epoll: in use"),
            "{report}"
        );
    }
}

/// Installs a filter that answers `io_uring_setup` with an errno, for ever.
fn refuse_io_uring(errno: i32) {
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    const NUMBER: u32 = 425; // io_uring_setup, on every architecture
    let instruction = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        instruction(0x20, 0, 0, 0), // load the number of the system call
        instruction(0x15, 0, 1, NUMBER),
        instruction(0x06, 0, 0, ERRNO | errno.cast_unsigned()),
        instruction(0x06, 0, 0, ALLOW),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: no memory is passed.
    let bound = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(bound, 0);
    // SAFETY: the kernel reads the program, which outlives the call.
    let filtered = unsafe { libc::prctl(libc::PR_SET_SECCOMP, 2, &raw const program) };
    assert_eq!(filtered, 0);
}

/// Builds runtimes in a process that may not use io_uring, and prints what they say.
fn without_io_uring(errno: i32) {
    refuse_io_uring(errno);
    let error = Builder::new()
        .backend(Backend::IoUring)
        .build()
        .unwrap_err();
    println!("{:?}: {error}", error.kind());
    for _ in 0..2 {
        let runtime = Builder::new().build().unwrap();
        assert_eq!(runtime.backend(), Backend::Epoll);
        println!("{}", runtime.backend_report());
        runtime.block_on(async {
            let (client, server) = pair().await;
            client.write_all(&b"carried by epoll"[..]).await.0.unwrap();
            assert_eq!(read_exactly(&server, 16).await, b"carried by epoll");
        });
    }
}

fn falls_back(test: &str, errno: i32, kind: ErrorKind) {
    let _alone = alone();
    if is_child() {
        return without_io_uring(errno);
    }
    let output = in_child(test, &[("CAMSHAFT_BACKEND", "")]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    for word in [
        &format!("{kind:?}: "),
        "seccomp",
        "io_uring_setup",
        "profile that allows",
        "refused",
        "epoll: in use",
    ] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    let warned = String::from_utf8_lossy(&output.stderr);
    assert_eq!(warned.matches("using epoll instead").count(), 1, "{warned}");
}

#[test]
fn seccomp_answers_eperm() {
    falls_back(
        "seccomp_answers_eperm",
        libc::EPERM,
        ErrorKind::PermissionDenied,
    );
}

#[test]
fn seccomp_answers_enosys() {
    falls_back(
        "seccomp_answers_enosys",
        libc::ENOSYS,
        ErrorKind::Unsupported,
    );
}

#[test]
fn a_note_that_nobody_reads_is_no_panic() {
    let _alone = alone();
    isolated("a_note_that_nobody_reads_is_no_panic", || {
        refuse_io_uring(libc::EPERM);
        let (read, write) = os_pipe();
        drop(read);
        let broken = Instead::of(libc::STDERR_FILENO, write);
        // SAFETY: the handler is a constant of the system.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let built = std::panic::catch_unwind(|| runtime().backend());
        drop(broken);
        assert_eq!(built.expect("no panic"), Backend::Epoll);
    });
}

#[test]
fn no_descriptor_is_left_at_build() {
    let _alone = alone();
    isolated("no_descriptor_is_left_at_build", || {
        // The limit is one of numbers: no gap may be left below it.
        let mut held = vec![File::open("/dev/null").unwrap()];
        while usize::try_from(held[held.len() - 1].as_raw_fd()).unwrap() + 1 < fds() {
            held.push(File::open("/dev/null").unwrap());
        }
        let open = fds();
        // None for the ring, and then one for it but none for the eventfd.
        for left in [0, 1] {
            let former = limit_fds(open as u64 + left);
            let built = Builder::new().build();
            limit_fds(former);
            let error = built.map(|_: Runtime| ()).unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("descriptor") && text.contains("ulimit -n"),
                "{left}: {text}"
            );
        }
        assert_eq!(fds(), open, "a failed build leaves nothing open");
        turn_once();
    });
}

fn turn_once() {
    runtime().block_on(turn());
}

#[test]
fn a_buffer_without_room() {
    let _alone = alone();
    runtime().block_on(async {
        let (_client, server) = half_std();
        let (result, buf) = server.read(Vec::new()).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(buf.capacity(), 0);
        let (result, _) = server.read(Box::<[u8]>::default()).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        let full = vec![1; 4].into_boxed_slice().into_vec();
        let (result, full) = server.read_exact(full).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(full, [1; 4]);
        let (result, _) = server.peek(Vec::new()).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        let (result, bufs) = server.read_vectored(vec![Vec::new(), Vec::new()]).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(bufs.len(), 2);
        let (result, _) = server.read_vectored(Vec::<Vec<u8>>::new()).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(server.write(Vec::new()).await.0.unwrap(), 0);
    });
}
