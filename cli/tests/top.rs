//! `camshaft top` in a terminal that nobody sits at: what it shows, and how it leaves.

mod common;
#[path = "common/program.rs"]
mod program;
#[path = "common/pty.rs"]
mod pty;

use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;

use common::said;
use program::Program;
use pty::Pty;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, kill_process, prlimit, waitpid};

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
fn a_signal_leaves_the_terminal_as_it_was_and_ends_it_as_it_does_others() {
    let program = Program::start("program", "waits");
    let mut terminal = Pty::new(24, 100);
    let before = terminal.settings();
    for signal in [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::TERM,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
    ] {
        let child = top(&program, &terminal);
        terminal.read_until(|text| text.contains("1,000 × tasks"));
        let pid = Pid::from_child(&child);
        let no_core = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        prlimit(Some(pid), Resource::Core, no_core).expect("it runs");
        kill_process(pid, signal).expect("it runs");
        let (text, status) = terminal.read_to_end(child);
        assert_eq!(status.signal(), Some(signal.as_raw()), "{text}");
        assert!(text.ends_with(LEAVE), "{signal:?}: {text}");
        assert_eq!(terminal.settings(), before, "{signal:?}");
    }
}

#[test]
fn who_stops_it_has_the_terminal_meanwhile() {
    let program = Program::start("program", "waits");
    let mut terminal = Pty::new(24, 100);
    let before = terminal.settings();
    let child = top(&program, &terminal);
    let pid = Pid::from_child(&child);
    let begun = |text: &str| text.contains(ENTER) && frame(text).is_some();
    terminal.read_until(begun);
    let raw = terminal.settings();
    let stopped = || {
        let status = waitpid(Some(pid), WaitOptions::UNTRACED).expect("it is a child");
        assert!(status.is_some_and(|(_, status)| status.stopped()));
    };
    // By a signal of somebody else, by a key, and in a way that it can't know of.
    for way in [Some(Signal::TSTP), None, Some(Signal::STOP)] {
        match way {
            Some(signal) => kill_process(pid, signal).expect("it runs"),
            None => terminal.type_in("\x1a"),
        }
        if way != Some(Signal::STOP) {
            terminal.read_until(|text| text.ends_with(LEAVE));
        }
        stopped();
        if way == Some(Signal::STOP) {
            // A shell takes the terminal back.
            terminal.restore();
        }
        assert_eq!(terminal.settings(), before);
        kill_process(pid, Signal::CONT).expect("it is there");
        terminal.read_until(begun);
        assert_eq!(terminal.settings(), raw);
    }
    // The escape key alone.
    terminal.type_in("\x1b");
    let (text, status) = terminal.read_to_end(child);
    assert!(status.success(), "{text}");
    assert_eq!(terminal.settings(), before);
}

#[test]
fn each_key_counts_though_they_come_together() {
    let program = Program::start("program", "waits");
    let mut terminal = Pty::new(6, 100);
    let child = top(&program, &terminal);
    terminal.read_until(|text| frame(text).is_some_and(|lines| lines.len() >= 6));
    terminal.type_in("p");
    let is_paused = |text: &str| frame(text).is_some_and(|lines| lines[0].contains("paused"));
    let text = terminal.read_until(is_paused);
    let fourth = frame(&text).expect("it is whole")[4].to_owned();
    // As one turn of a mouse's wheel types them.
    terminal.type_in("\x1bOB\x1bOB\x1bOB");
    terminal.read_until(|text| frame(text).is_some_and(|lines| lines[1] == fourth));
    terminal.type_in("q");
    assert!(terminal.read_to_end(child).1.success());
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
    // What it has shown last stays.
    let (last, why) = after.split_once("error: ").expect("it says why");
    assert!(
        last.contains("\"first\"") && last.contains("\"second\""),
        "{after}"
    );
    assert!(
        why.starts_with(&format!("process {pid} has ended")),
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
