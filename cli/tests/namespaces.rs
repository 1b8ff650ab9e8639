//! A process that sees other files, and has other numbers for processes, as one in a container.

mod common;
#[path = "common/program.rs"]
mod program;

use common::said;
use program::Program;

/// Is the process that the others ask.
#[test]
fn program() {
    program::play();
}

#[test]
fn one_in_a_container_can_be_asked() {
    let Some(program) = Program::start_apart("program", "waits") else {
        eprintln!("skipped: this user may make no namespaces");
        return;
    };
    let pid = program.pid();
    let asked = |rest: &[&str]| {
        let mut command = program.camshaft(&[&["dump", "--pid", &pid], rest].concat());
        said(&command.output().expect("the command can be run"))
    };
    let (text, errors, code) = asked(&[]);
    assert_eq!((&*errors, code), ("", 0));
    assert!(text.contains("1,000 × tasks"), "{text}");
    let (json, ..) = asked(&["--json"]);
    assert!(json.contains("\"teller\""), "{json}");
}

#[test]
fn where_its_thread_is_can_be_told() {
    let Some(program) = Program::start_apart("program", "blocks") else {
        eprintln!("skipped: this user may make no namespaces");
        return;
    };
    let pid = program.pid();
    let mut command = program.camshaft(&["dump", "--timeout", "1", "--pid", &pid]);
    let (_, errors, code) = said(&command.output().expect("the command can be run"));
    assert_eq!(code, 2);
    assert!(
        errors.contains(&format!("process {pid} does not answer within 1s")),
        "{errors}"
    );
    assert!(errors.contains("sleeps"), "{errors}");
}

#[test]
fn one_with_another_number_is_not_taken_for_the_process_that_has_it_here() {
    let Some(program) = Program::start_renumbered("program", "waits") else {
        eprintln!("skipped: this user may make no namespaces");
        return;
    };
    let asked = |words: &[&str]| {
        let mut command = program.camshaft(words);
        said(&command.output().expect("the command can be run"))
    };
    let (list, ..) = asked(&["dump"]);
    let pids: Vec<_> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(pids.contains(&&*program.pid()), "{list}");
    assert!(!pids.contains(&"1"), "{list}");
    let (text, errors, code) = asked(&["dump", "--pid", &program.pid()]);
    assert_eq!((&*errors, code), ("", 0));
    assert!(text.contains("1,000 × tasks"), "{text}");
    let (text, errors, code) = asked(&["dump", "--pid", "1"]);
    assert_eq!((&*text, code), ("", 2));
    assert!(errors.contains("does not let itself be asked"), "{errors}");
}
