//! Processes that listen where a runtime would, and are none.

mod common;

use std::fs::DirBuilder;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{camshaft, said};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use serde_json::Value;

/// What a stranger's process has in its session.
struct Stranger {
    session: PathBuf,
    listener: UnixListener,
}

impl Stranger {
    /// This process listens, with room for so many that it has not let in.
    fn new(test: &str, room: i32) -> Self {
        let pid = std::process::id();
        let session = std::env::temp_dir().join(format!("camshaft-{test}-{pid}"));
        let mut private = DirBuilder::new();
        private.mode(0o700).recursive(true);
        let directory = session.join("camshaft");
        private.create(&directory).expect("it is new");
        let socket = socket();
        let path = directory.join(format!("{pid}-{pid}-0"));
        bind(&socket, &address(&path)).expect("it is new");
        listen(&socket, room).expect("it is bound");
        Self {
            session,
            listener: socket.into(),
        }
    }

    fn asked(&self, rest: &[&str]) -> Command {
        let mut command = camshaft();
        let pid = std::process::id().to_string();
        command.args(["dump", "--pid", &pid]).args(rest);
        command.env("XDG_RUNTIME_DIR", &self.session);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What the command makes of an answer.
    fn answers(&self, answer: &[u8], rest: &[&str]) -> (String, String, i32) {
        let child = self.asked(rest).spawn().expect("the command can be run");
        self.let_in(answer);
        said(&child.wait_with_output().expect("it was started"))
    }

    fn let_in(&self, answer: &[u8]) {
        let (mut stream, _) = self.listener.accept().expect("it listens");
        let mut line = [0; 64];
        // One that only took up room asks nothing.
        if stream.read(&mut line).is_ok_and(|count| count > 0) {
            stream.write_all(answer).expect("it is read");
        }
    }

    /// Connects until there is no room left.
    fn fill(&self) -> Vec<OwnedFd> {
        let pid = std::process::id();
        let path = self.session.join(format!("camshaft/{pid}-{pid}-0"));
        let mut waiting = Vec::new();
        loop {
            let socket = socket();
            rustix::io::ioctl_fionbio(&socket, true).expect("it is open");
            match connect(&socket, &address(&path)) {
                Ok(()) => waiting.push(socket),
                Err(error) => {
                    assert_eq!(error, Errno::AGAIN);
                    return waiting;
                }
            }
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.session);
    }
}

fn socket() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    socket.expect("a descriptor is left")
}

fn address(path: &Path) -> SocketAddrUnix {
    SocketAddrUnix::new(path).expect("it is short")
}

#[test]
fn what_is_no_json_is_not_printed() {
    let stranger = Stranger::new("no-json", 1);
    for answer in [
        &b"\x1b]0;owned\x07 no json \"protocol\":1, \x1b[31m"[..],
        b"{\"protocol\":1,\"name\":\"\x1b[31m\"}",
        b"{\"protocol\":1,\"name\":3} {}",
        b"{\"protocol\":1,\"name\":",
    ] {
        let (text, errors, code) = stranger.answers(answer, &["--json"]);
        assert_eq!(code, 2, "{text}");
        assert!(!format!("{text}{errors}").contains('\x1b'), "{text:?}");
        assert!(errors.contains("has not answered with JSON"), "{errors}");
        let looks: Value = serde_json::from_str(&text).expect("it is JSON nevertheless");
        assert_eq!(looks, serde_json::json!([]));
    }
}

#[test]
fn what_would_do_something_to_a_terminal_is_escaped() {
    let stranger = Stranger::new("escapes", 1);
    let name = "a\u{9b}31m\u{7f}\u{202e}\u{2066}\u{200f}\u{e9}";
    let answer =
        format!("{{\"protocol\":1,\r\t\"name\":\"{name}\",\"long\":12345678901234567890.5}}");
    let (text, errors, code) = stranger.answers(answer.as_bytes(), &["--json"]);
    assert_eq!((&*errors, code), ("", 0));
    assert!(
        text.contains("\"a\\u009b31m\\u007f\\u202e\\u2066\\u200f\u{e9}\""),
        "{text:?}"
    );
    assert!(!text.contains(['\r', '\t']), "{text:?}");
    // What it says is the same, to the last digit.
    assert!(text.contains("12345678901234567890.5"), "{text}");
    let looks: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(looks[0]["name"], name);
}

#[test]
fn one_that_lets_nobody_in_is_given_its_time() {
    let stranger = Stranger::new("full", 0);
    let waiting = stranger.fill();
    let begin = Instant::now();
    let output = stranger.asked(&["--timeout", "1"]).output();
    let (_, errors, code) = said(&output.expect("the command can be run"));
    assert_eq!(code, 2);
    assert!(errors.contains("does not answer within 1s"), "{errors}");
    assert!(
        begin.elapsed() >= Duration::from_secs(1),
        "it has not waited"
    );
    // One that lets the others in after all is heard.
    let child = stranger.asked(&["--json", "--timeout", "3600"]).spawn();
    let mut child = child.expect("the command can be run");
    let descriptors = format!("/proc/{}/fd", child.id());
    let has_socket = || {
        let entries = std::fs::read_dir(&descriptors)
            .into_iter()
            .flatten()
            .flatten();
        let mut targets = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        targets.any(|target| target.to_string_lossy().starts_with("socket:"))
    };
    while !has_socket() && child.try_wait().expect("it was started").is_none() {
        std::thread::yield_now();
    }
    let count = waiting.len();
    drop(waiting);
    for _ in 0..=count {
        stranger.let_in(b"{\"protocol\":1,\"name\":null}");
    }
    let (_, errors, code) = said(&child.wait_with_output().expect("it was started"));
    assert_eq!((&*errors, code), ("", 0));
}
