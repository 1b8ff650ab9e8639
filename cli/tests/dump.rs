//! `camshaft dump`: what processes that run are asked, and what is said if they can't be.

mod common;
#[path = "common/program.rs"]
mod program;

use common::{camshaft, said};
use program::Program;
use serde_json::Value;

/// Is the process that the others ask.
#[test]
fn program() {
    program::play();
}

fn asked(program: &Program, rest: &[&str]) -> (String, String, i32) {
    let pid = program.pid();
    let words = [&["dump", "--pid", &pid], rest].concat();
    said(
        &program
            .camshaft(&words)
            .output()
            .expect("the command can be run"),
    )
}

#[test]
fn the_tasks_of_another_process_are_shown_folded() {
    let program = Program::start("program", "waits");
    let (text, errors, code) = asked(&program, &[]);
    assert_eq!((&*errors, code), ("", 0));
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "the root future", "{text}");
    let many = lines
        .iter()
        .position(|line| line.starts_with("1,000 × tasks "))
        .expect("they are folded");
    assert!(
        lines[many + 1].starts_with("  ") && lines[many + 1].contains("patient"),
        "{text}"
    );
    assert!(text.contains("<b>\u{fffd}[31mred\""), "{text}");
    assert!(!text.contains('\x1b'));
    let (json, errors, code) = asked(&program, &["--json"]);
    assert_eq!((&*errors, code), ("", 0));
    let looks: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(looks[0]["name"], "teller");
    assert_eq!(
        looks[0]["dump"]["tasks"].as_array().map(Vec::len),
        Some(1002)
    );
}

#[test]
fn each_runtime_of_a_process_is_shown_by_its_name() {
    let program = Program::start("program", "twice");
    let (text, errors, code) = asked(&program, &[]);
    assert_eq!((&*errors, code), ("", 0));
    for name in ["first", "second"] {
        let head = format!(
            "runtime \"{name}\" of process {}, on thread ",
            program.pid()
        );
        assert_eq!(
            text.lines().filter(|line| line.starts_with(&head)).count(),
            1,
            "{text}"
        );
    }
    assert_eq!(text.matches("1,000 × ").count(), 2, "{text}");
    let (json, ..) = asked(&program, &["--json"]);
    let looks: Value = serde_json::from_str(&json).expect("it is JSON");
    assert_eq!(looks.as_array().map(Vec::len), Some(2));
    let output = program
        .camshaft(&["dump"])
        .output()
        .expect("the command can be run");
    let (list, errors, code) = said(&output);
    assert_eq!((&*errors, code), ("", 0));
    let ours = list
        .lines()
        .find(|line| line.trim_start().starts_with(&program.pid()));
    assert!(
        ours.is_some_and(|line| line.contains("  2  ") && line.contains("--exact")),
        "{list}"
    );
}

#[test]
fn a_runtime_that_does_not_answer_is_said_to_be_blocked() {
    let program = Program::start("program", "blocks");
    let (text, errors, code) = asked(&program, &["--timeout", "1"]);
    assert_eq!((&*text, code), ("", 2));
    for part in [
        "does not answer within 1s",
        "computing or blocked",
        "watchdog",
        "sleeps",
    ] {
        assert!(errors.contains(part), "{part:?} in {errors}");
    }
}

#[test]
fn the_list_has_what_looks_elsewhere_for_its_directory() {
    let program = Program::start("program", "waits");
    let mut command = camshaft();
    let command = command.arg("dump").env_remove("XDG_RUNTIME_DIR");
    let (list, errors, code) = said(&command.output().expect("the command can be run"));
    assert_eq!((&*errors, code), ("", 0));
    let line = list
        .lines()
        .find(|line| line.split_whitespace().next() == Some(&*program.pid()));
    let words: Vec<_> = line.unwrap_or_default().split_whitespace().collect();
    assert_eq!(words.get(1), Some(&"1"), "{list}");
}

#[test]
fn an_answer_of_its_own_has_no_age() {
    let program = Program::start("program", "waits");
    let (text, ..) = asked(&program, &[]);
    assert!(
        text.contains("1,000 × tasks") && !text.contains("as it was"),
        "{text}"
    );
}

#[test]
fn what_can_not_be_asked_is_an_error_that_says_what_to_do() {
    let program = Program::start("program", "refuses");
    let (text, errors, code) = asked(&program, &[]);
    assert_eq!((&*text, code), ("", 2));
    assert!(
        errors.contains("`Builder::attach(true)`") && errors.contains("--exact"),
        "{errors}"
    );
    let output = camshaft()
        .args(["dump", "--pid", "4194305"])
        .output()
        .expect("the command can be run");
    let (text, errors, code) = said(&output);
    assert_eq!((&*text, code), ("", 2));
    assert!(errors.contains("there is no process 4194305"), "{errors}");
}

#[test]
fn the_version_is_that_of_the_command() {
    let output = camshaft()
        .arg("--version")
        .output()
        .expect("the command can be run");
    assert_eq!(
        said(&output).0,
        concat!("camshaft ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
