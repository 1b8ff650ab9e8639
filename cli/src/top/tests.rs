//! The terminal after a panic: in a process of its own, at a terminal that nobody sits at.

use std::process::Command;

use super::*;

#[path = "../../tests/common/pty.rs"]
mod pty;

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
/// How a frame begins.
const FRAME: &str = "\x1b[?2026h";

/// Runs a test again in a terminal, where it has to fail; what it said there afterwards. Nothing if this is that process.
fn in_terminal(test: &str) -> Option<String> {
    const IN_TERMINAL: &str = "CAMSHAFT_TEST_IN_TERMINAL";
    if std::env::var_os(IN_TERMINAL).is_some() {
        return None;
    }
    let mut program = Command::new(std::env::current_exe().expect("this is a program"));
    let test = format!("top::tests::{test}");
    program
        .env(IN_TERMINAL, "1")
        .args(["--exact", &test, "--nocapture"]);
    let mut terminal = pty::Pty::new(24, 80);
    let before = terminal.settings();
    let child = terminal.spawn(&mut program);
    let (said, status) = terminal.read_to_end(child);
    assert!(!status.success(), "{said}");
    assert_eq!(terminal.settings(), before);
    let (ours, left) = said.split_once(LEAVE).expect("it is left");
    assert!(ours.contains(ENTER), "{said}");
    Some(left.to_owned())
}

#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    let Some(left) = in_terminal("a_panic_leaves_the_terminal_as_it_was") else {
        let _screen = Screen::enter().expect("it is a terminal");
        panic!("as it should");
    };
    assert!(left.contains("as it should"), "{left}");
}

#[test]
fn a_panic_of_who_asks_ends_all() {
    let Some(left) = in_terminal("a_panic_of_who_asks_ends_all") else {
        let mut screen = Screen::enter().expect("it is a terminal");
        let (tell, rounds) = sync_channel(1);
        let asks = std::thread::spawn(move || {
            let _tell = tell;
            panic!("as it should");
        });
        assert!(asks.join().is_err());
        let top = Top {
            pid: 1,
            interval: GLANCE,
            patience: GLANCE,
            once: false,
        };
        let error = top.watch(&mut screen, Vec::new(), false, &rounds);
        panic!("and {}", error.expect_err("nobody asks"));
    };
    assert!(left.contains("as it should"), "{left}");
    assert!(left.contains("and the thread that asks"), "{left}");
    assert!(!left.contains(FRAME), "{left}");
}
