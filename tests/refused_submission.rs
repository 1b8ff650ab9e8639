//! The kernel refuses a submission for once, as it does when it is short of memory. It is submitted again, however the loop
//! waits.
//!
//! A seccomp filter asks a supervisor about each `io_uring_enter` of one thread (seccomp_unotify(2)).
#![cfg(target_arch = "x86_64")]

mod common;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread;

use camshaft::fs::File;
use camshaft::runtime::{Builder, Spin};
use camshaft::time::{Duration, timeout};
use common::{alone, is_epoll};

const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;

/// `struct seccomp_notif`, with its `struct seccomp_data`.
#[repr(C)]
#[derive(Default)]
struct Question {
    id: u64,
    pid: u32,
    flags: u32,
    call: i32,
    arch: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// Has a supervisor asked about every `io_uring_enter` that this thread makes from now on.
fn watch_enters() -> io::Result<OwnedFd> {
    let step = |code: u32, yes: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).expect("a code"),
        jt: yes,
        jf: 0,
        k,
    };
    let enter = u32::try_from(libc::SYS_io_uring_enter).expect("a number");
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, enter),
        step(libc::BPF_RET, 0, libc::SECCOMP_RET_ALLOW),
        step(libc::BPF_RET, 0, libc::SECCOMP_RET_USER_NOTIF),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: no memory is passed.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the kernel copies the program, which outlives the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Refuses the first enter that submits, and lets all others pass, until nobody can ask any more.
fn refuse_once(supervisor: &OwnedFd) {
    let mut refused = false;
    loop {
        let mut question = Question::default();
        // SAFETY: the kernel writes one `seccomp_notif`.
        let asked = unsafe { libc::ioctl(supervisor.as_raw_fd(), RECEIVE, &raw mut question) };
        if asked < 0 {
            return;
        }
        let refuse = !refused && question.arguments[1] > 0;
        refused |= refuse;
        let answer = Answer {
            id: question.id,
            value: 0,
            error: if refuse { -libc::EAGAIN } else { 0 },
            flags: u32::from(!refuse), // SECCOMP_USER_NOTIF_FLAG_CONTINUE
        };
        // SAFETY: the kernel reads one `seccomp_notif_resp`.
        unsafe { libc::ioctl(supervisor.as_raw_fd(), SEND, &raw const answer) };
    }
}

#[test]
fn a_submission_that_was_refused_is_submitted_again() {
    let _alone = alone();
    if is_epoll() {
        return; // it has no submissions
    }
    for spin in [Spin::Off, Spin::Adaptive, Spin::Always] {
        // The filter goes with its thread.
        let submitting = thread::spawn(move || {
            let runtime = Builder::new().spin(spin).build().expect("a runtime");
            let supervisor = match watch_enters() {
                Ok(supervisor) => supervisor,
                Err(error) => return eprintln!("skipped: this system has no supervisors: {error}"),
            };
            thread::spawn(move || refuse_once(&supervisor));
            let before = runtime.metrics().enters;
            let opened = runtime.block_on(timeout(Duration::from_secs(2), File::open("/dev/null")));
            assert!(opened.is_ok_and(|file| file.is_ok()), "{spin:?}");
            // The refused enter, another one, and few more.
            let enters = runtime.metrics().enters - before;
            assert!((2..10).contains(&enters), "{spin:?}: {enters}");
        });
        submitting.join().expect("opened");
    }
}
