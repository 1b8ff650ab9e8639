//! Rows on machines and in environments that lack what they need: skipped with the reason, never measured on something else.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

const RING: [(&str, &str); 4] = [
    ("echo", "tasks, ring"),
    ("echo", "fibers, ring"),
    ("echo", "ring loop"),
    ("aio_cached", "ring loop"),
];
const ANY: [(&str, &str, &str); 4] = [
    ("dns", "tasks", "0"),
    ("dns", "fibers", "0"),
    ("accept", "tasks", "0"),
    ("cores", "two processes", "0"),
];

/// The answer of one run at the scale of a smoke test.
fn answer(experiment: &str, row: &str, at: &str, change: impl Fn(&mut Command)) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_camshaft-compare"));
    command.args(["__run", experiment, row, at, "smoke"]);
    command.env_remove("CAMSHAFT_BACKEND");
    change(&mut command);
    let output = command.output().expect("the comparison can be started");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{experiment}, {row}: {error}, {output:?}"))
}

fn skipped(answer: &Value) -> &str {
    let why = answer["skipped"].as_str();
    why.unwrap_or_else(|| panic!("it was to be skipped: {answer}"))
}

#[test]
fn a_row_is_not_measured_on_another_backend_than_it_names() {
    for row in ["tasks, ring", "fibers, ring", "tasks, ring, lent"] {
        let answer = answer("echo", row, "1", |command| {
            command.env("CAMSHAFT_BACKEND", "epoll");
        });
        assert_eq!(
            skipped(&answer),
            "it needs io_uring, and CAMSHAFT_BACKEND says epoll: unset it"
        );
    }
    for (experiment, row, at) in ANY {
        let answer = answer(experiment, row, at, |command| {
            command.env("CAMSHAFT_BACKEND", "epoll");
        });
        assert!(
            answer["sample"].is_object(),
            "{experiment}, {row}: {answer}"
        );
    }
}

#[test]
fn rows_that_need_io_uring_are_skipped_where_it_is_refused() {
    for (experiment, row) in RING {
        let answer = answer(experiment, row, "1", refuse_io_uring);
        assert!(skipped(&answer).contains("io_uring"), "{row}: {answer}");
    }
    for (experiment, row, at) in ANY {
        let answer = answer(experiment, row, at, refuse_io_uring);
        assert!(
            answer["sample"].is_object(),
            "{experiment}, {row}: {answer}"
        );
    }
}

#[test]
fn a_row_that_needs_more_descriptors_names_the_limit() {
    let answer = answer("echo", "epoll loop, edge", "64", |command| {
        let limit = libc::rlimit {
            rlim_cur: 48,
            rlim_max: 48,
        };
        let limit = move || {
            // SAFETY: the limit is valid to read from.
            match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: the closure makes one system call.
        unsafe { command.pre_exec(limit) };
    });
    let why = skipped(&answer);
    assert!(why.contains("`ulimit -n`") && why.ends_with("48"), "{why}");
}

/// Has `io_uring_setup` answer with `EPERM`, as the default profile of container engines does.
fn refuse_io_uring(command: &mut Command) {
    const LOAD: u16 = 0x20;
    const IS_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let setup = u32::try_from(libc::SYS_io_uring_setup).expect("numbers of calls are small");
    let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    let mut filter = [
        step(LOAD, 0, 0),
        step(IS_EQUAL, 1, setup),
        step(
            RETURN,
            0,
            libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned(),
        ),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog {
            len: 4,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: no memory is passed.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let mode = libc::SECCOMP_MODE_FILTER;
        // SAFETY: the kernel reads the program, which outlives the call.
        match unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes system calls only, and allocates nothing.
    unsafe { command.pre_exec(install) };
}
