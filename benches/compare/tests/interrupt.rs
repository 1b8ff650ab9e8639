//! Ctrl-C in the middle of a run: its children end, and what was measured is reported.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Tells the processes of this test from all others, in their environment.
const MARK: &str = "CAMSHAFT_COMPARE_INTERRUPTED_BY";

#[test]
fn an_interrupted_run_reports_what_it_has() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interrupt");
    let _ = fs::remove_dir_all(&folder);
    let mut run = Command::new(env!("CARGO_BIN_EXE_camshaft-compare"))
        .args(["--quick", "--rounds", "500", "--only", "counters", "--out"])
        .arg(&folder)
        .env(MARK, std::process::id().to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the comparison can be started");
    let pid = libc::pid_t::try_from(run.id()).expect("a process has a number");
    // The results of the first round are there.
    while !folder.join("results.json").exists() {
        assert!(
            run.try_wait().expect("a child can be asked").is_none(),
            "it ended by itself"
        );
        thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: no memory is passed. The child has not been awaited, so the number is still its.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);

    let status = run.wait().expect("a child can be awaited");
    assert!(!status.success() && status.code().is_some(), "{status}");
    let stderr = run.stderr.take().map(BufReader::new).expect("it was piped");
    let lines: Vec<String> = stderr.lines().map_while(Result::ok).collect();
    assert_eq!(
        lines.last().map(String::as_str),
        Some("interrupted: the report has what was measured before")
    );
    let results = fs::read(folder.join("results.json")).expect("the results are there");
    let results: Value = serde_json::from_slice(&results).expect("they are whole");
    assert_eq!(results["interrupted"], true);
    let page = fs::read_to_string(folder.join("index.html")).expect("the page is there");
    assert!(
        page.contains("the run was interrupted before its end") && page.contains("class=\"series ")
    );
    // The kernel may take a moment to end whom it was told to; who is not told measures on, for minutes.
    let mut left = marked();
    for _ in 0..1000 {
        if left.is_none() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
        left = marked();
    }
    assert_eq!(left, None);
}

/// What a process with the mark was started with, if there is one.
fn marked() -> Option<String> {
    let mark = format!("{MARK}={}", std::process::id());
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    processes.map(|process| process.path()).find_map(|process| {
        let environment = fs::read(process.join("environ")).ok()?;
        let is_marked = environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes());
        is_marked.then(|| fs::read_to_string(process.join("cmdline")).unwrap_or_default())
    })
}
