//! `camshaft top` in a terminal that nobody sits at: what it shows, and how it leaves.

mod common;
#[path = "common/program.rs"]
mod program;
#[path = "common/pty.rs"]
mod pty;

use std::process::Child;

use common::said;
use program::Program;
use pty::Pty;
use rustix::process::{Pid, Signal, kill_process};

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
/// How a frame begins and ends.
const FRAME: &str = "\x1b[?2026h\x1b[H";
const END: &str = "\x1b[J\x1b[?2026l";

/// Is the process that the others ask.
#[test]
fn program() {
    program::play();
}

fn top(program: &Program, terminal: &Pty) -> Child {
    let pid = program.pid();
    terminal.spawn(&mut program.camshaft(&["top", "--interval", "0.1", "--pid", &pid]))
}

/// The lines of the last frame that is whole.
fn frame(text: &str) -> Option<Vec<&str>> {
    let (frames, _) = text.rsplit_once(END)?;
    let (_, frame) = frames.rsplit_once(FRAME)?;
    Some(
        frame
            .split("\x1b[K")
            .map(|line| line.trim_matches(['\r', '\n']))
            .collect(),
    )
}

#[test]
fn it_is_renewed_and_leaves_the_terminal_as_it_was() {
    let program = Program::start("program", "waits");
    let mut terminal = Pty::new(24, 100);
    let before = terminal.settings();
    for keys in ["q", "\x03"] {
        let child = top(&program, &terminal);
        let text = terminal.read_until(|text| text.contains("1,000 × tasks"));
        assert!(text.contains(ENTER), "{text}");
        assert!(
            !text.contains("\x1b[31m"),
            "a name has coloured the terminal: {text}"
        );
        assert_ne!(terminal.settings(), before);
        // The counters become rates with the second answer.
        terminal.read_until(|text| text.contains("/s") && frame(text).is_some());
        // It fits into another window at once.
        terminal.resize(6, 40);
        let fits = |lines: Vec<&str>| {
            lines.len() <= 7 && lines.iter().all(|line| line.chars().count() < 90)
        };
        terminal.read_until(|text| frame(text).is_some_and(fits));
        // It can be stopped, and scrolled: the title stays.
        terminal.type_in("p");
        terminal.read_until(|text| frame(text).is_some_and(|lines| lines[0].contains("paused")));
        terminal.type_in("j");
        terminal.read_until(|text| {
            frame(text)
                .is_some_and(|lines| lines[0].contains("paused") && !lines[1].contains("teller"))
        });
        terminal.type_in(keys);
        let (text, status) = terminal.read_to_end(child);
        assert!(status.success(), "{text}");
        assert!(text.ends_with(LEAVE), "{text}");
        assert_eq!(terminal.settings(), before);
        terminal.resize(24, 100);
    }
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    let program = Program::start("program", "waits");
    let mut terminal = Pty::new(24, 100);
    let before = terminal.settings();
    let child = top(&program, &terminal);
    terminal.read_until(|text| text.contains("1,000 × tasks"));
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let (text, status) = terminal.read_to_end(child);
    assert!(
        status.success() && text.ends_with(LEAVE),
        "{status}: {text}"
    );
    assert_eq!(terminal.settings(), before);
}

#[test]
fn it_ends_with_the_process_that_it_shows() {
    let program = Program::start("program", "twice");
    let mut terminal = Pty::new(50, 100);
    let before = terminal.settings();
    let child = top(&program, &terminal);
    terminal.read_until(|text| text.contains("\"first\"") && text.contains("\"second\""));
    let pid = program.pid();
    drop(program);
    let (text, status) = terminal.read_to_end(child);
    assert_eq!(status.code(), Some(2), "{text}");
    let (_, after) = text.split_once(LEAVE).expect("it leaves");
    assert!(
        after.contains(&format!("error: there is no process {pid}")),
        "{after}"
    );
    assert_eq!(terminal.settings(), before);
}

#[test]
fn without_a_terminal_it_is_printed_once_and_plain() {
    let program = Program::start("program", "waits");
    let pid = program.pid();
    let output = program
        .camshaft(&["top", "--pid", &pid])
        .output()
        .expect("the command can be run");
    let (text, errors, code) = said(&output);
    assert_eq!((&*errors, code), ("", 0));
    assert!(
        text.starts_with("runtime \"teller\"") && text.contains("tasks 1,001 "),
        "{text}"
    );
    assert!(
        text.contains("1,000 × tasks") && !text.contains('\x1b'),
        "{text}"
    );
    let output = program
        .camshaft(&["top", "--pid", &pid, "--interval", "0"])
        .output();
    let (_, errors, code) = said(&output.expect("the command can be run"));
    assert!(code == 2 && errors.contains("from 0.1 to 3600"), "{errors}");
}

#[test]
fn a_runtime_that_is_blocked_is_shown_as_such() {
    let program = Program::start("program", "blocks");
    let mut terminal = Pty::new(24, 100);
    let pid = program.pid();
    let child = terminal.spawn(&mut program.camshaft(&[
        "top",
        "--interval",
        "0.1",
        "--timeout",
        "1",
        "--pid",
        &pid,
    ]));
    terminal.read_until(|text| text.contains("does not answer within 1s"));
    terminal.type_in("q");
    let (_, status) = terminal.read_to_end(child);
    assert!(status.success());
}
