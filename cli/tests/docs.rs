//! What `docs/state-machines.md` shows is what there is: its code is that of the example, and its output that of the commands.
//!
//! The page names a compiler. With that one everything must be the same. Others may need more or fewer bytes, so with them the
//! functions, their states with the lines, and the ways between those must be the same. With `CAMSHAFT_BLESS=1` the output is
//! written there instead of compared, and the compiler's name.

mod common;
#[path = "../examples/running.rs"]
#[allow(dead_code, reason = "it has a main function of its own")]
mod running;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use camshaft::runtime::Builder;
use common::{said, scratch};

const PROGRAM: &str = "target/debug/examples/ladder";

fn root() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("it lies in the workspace").to_owned()
}

fn compiler() -> OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// What the compiler calls itself, such as `rustc 1.95.0`.
fn version() -> String {
    let output = Command::new(compiler()).arg("--version").output();
    let (text, ..) = said(&output.expect("the compiler that builds this can be run"));
    let words: Vec<_> = text.split_whitespace().take(2).collect();
    words.join(" ")
}

/// The compiler that a page names.
fn named(page: &str) -> &str {
    let start = page.find("rustc 1.").expect("the page names a compiler");
    let rest = &page[start..];
    let end = |at: char| !at.is_alphanumeric() && !matches!(at, ' ' | '.' | '-');
    rest.split(end).next().unwrap_or_default()
}

/// The lines of an output that do not depend on how the compiler lays states out, without the bytes.
fn structure(output: &str) -> Vec<String> {
    let lines = output.lines().map(|line| {
        let line = line.trim_start_matches(['●', '├', '└', '─', '▶', '│', ' ']);
        let line = line.split("  ").next().unwrap_or_default();
        line.split(": ").next().unwrap_or_default().to_owned()
    });
    let kept = [
        "suspended",
        "unresumed",
        "returned",
        "panicked",
        "ladder::",
        "async ",
    ];
    lines
        .filter(|line| kept.iter().any(|word| line.starts_with(word)))
        .collect()
}

/// The example, built as `dev` builds it.
fn ladder() -> PathBuf {
    let path = scratch("ladder").join("ladder");
    let output = Command::new(compiler())
        .current_dir(root())
        .args(["--edition", "2024", "--crate-name", "ladder"])
        .args(["-Cdebuginfo=full", "-o"])
        .arg(&path)
        .arg(root().join("cli/examples/ladder.rs"))
        .output();
    said(&output.expect("the compiler that builds this can be run"));
    path
}

/// What a command of the page prints here, if it is one about the example.
fn output(line: &str, ladder: &Path) -> Option<String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let mut command = match words[..] {
        ["camshaft", _, PROGRAM, ..] => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_camshaft"));
            command.arg(words[1]).arg(ladder).args(&words[3..]);
            command
        }
        [PROGRAM] => Command::new(ladder),
        _ => return None,
    };
    let output = command.current_dir(root()).output();
    let (text, errors, _) = said(&output.expect("it can be run"));
    Some((text + &errors).replace(&ladder.display().to_string(), PROGRAM))
}

#[test]
fn the_page_shows_what_there_is() {
    let path = root().join("docs/state-machines.md");
    let page = fs::read_to_string(&path).expect("it can be read");
    let source = fs::read_to_string(root().join("cli/examples/ladder.rs")).expect("it can be read");
    let ladder = ladder();
    let mut made = String::new();
    let mut rest = &*page;
    let (mut snippets, mut outputs) = (0, 0);
    let mut kept = Vec::new();
    while let Some((before, after)) = rest.split_once("\n```") {
        let (language, after) = after.split_once('\n').expect("a block has a language");
        let (block, after) = after.split_once("\n```\n").expect("a block ends");
        let mut block = format!("{block}\n");
        if language == "rust" {
            assert!(source.contains(&block), "not in the example:\n{block}");
            snippets += 1;
        } else if let Some((command, _)) = block.split_once('\n')
            && let Some(said) = command
                .strip_prefix("$ ")
                .and_then(|command| output(command, &ladder))
        {
            kept.push((command.to_owned(), structure(&block), structure(&said)));
            block = format!("{command}\n{said}");
            outputs += 1;
        }
        made.push_str(&format!("{before}\n```{language}\n{block}```\n"));
        rest = after;
    }
    made.push_str(rest);
    assert!(snippets > 5 && outputs > 5, "{snippets} and {outputs}");
    let (named, version) = (named(&page), version());
    if std::env::var_os("CAMSHAFT_BLESS").is_some() {
        fs::write(&path, made.replace(named, &version)).expect("it can be written");
        return;
    }
    let help = "run this test with CAMSHAFT_BLESS=1 to write what is printed now";
    let lines: usize = kept.iter().map(|(_, shown, _)| shown.len()).sum();
    assert!(lines > 40, "{kept:?}");
    for (command, shown, said) in kept {
        assert_eq!(shown, said, "{command}: {help}");
    }
    if named == version {
        assert_eq!(page, made, "{help}");
    } else {
        println!("skipped: the bytes on the page are those of {named}, and this is {version}");
    }
}

/// What does not depend on how long anything takes: the words of the lines, without times and bars, and those of a table in any order.
fn timeless(output: &str) -> Vec<String> {
    let (shown, _) = output
        .split_once("the longest polls")
        .unwrap_or((output, ""));
    let is_time = |word: &str| {
        let number = word.strip_suffix('s');
        number.is_some_and(|number| {
            number
                .trim_end_matches(['n', 'µ', 'm'])
                .parse::<f64>()
                .is_ok()
        })
    };
    let is_bar = |word: &str| word.starts_with(|first| ('█'..='▏').contains(&first));
    // Where the compiler was told that the source is.
    let place = |word: &str| match word.split_once("examples/running.rs:") {
        Some((_, line)) => format!("running.rs:{line}"),
        None => word.to_owned(),
    };
    let line = |line: &str| {
        let words = line.split_whitespace().filter(|word| !is_bar(word));
        let words = words.map(|word| match is_time(word) {
            true => "TIME".to_owned(),
            false => place(word),
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<_> = shown.lines().map(line).collect();
    let table = lines.iter().position(|line| line.starts_with("time spent"));
    if let Some(table) = table {
        lines[table..].sort();
    }
    lines
}

#[test]
fn a_task_that_runs_is_where_the_page_says() {
    let page = fs::read_to_string(root().join("docs/state-machines.md")).expect("it can be read");
    let command = "$ cargo run -p camshaft-cli --example running\n";
    let (_, shown) = page.split_once(command).expect("the page shows it");
    let (shown, _) = shown.split_once("\n```").expect("a block ends");
    let told = running::look(Builder::new().paused_clock(true)).expect("a runtime can be built");
    if !told.contains("running.rs:") {
        let optimized = !cfg!(debug_assertions);
        assert!(optimized, "dev has debug information: {told}");
        return;
    }
    // Here it is a module of this test.
    let told = told.replace("docs::running::", "running::");
    let told = timeless(&told);
    assert!(told.len() > 12, "{told:#?}");
    assert_eq!(timeless(shown), told, "copy what the example prints");
}

#[test]
fn times_may_differ_and_places_may_not() {
    let text = "\
task 2, last polled 1.5ms ago (polls: 6)
time spent waiting  total
█▏  1.1s  2  200.7ms  app::b
    9.0ns  1  0.0ns  app::a
the longest polls
  others";
    let wanted = [
        "task 2, last polled TIME ago (polls: 6)",
        "TIME 1 TIME app::a",
        "TIME 2 TIME app::b",
        "time spent waiting total",
    ];
    assert_eq!(timeless(text), wanted);
    assert_ne!(timeless(&text.replace("polls: 6", "polls: 7")), wanted);
    assert_ne!(timeless(&text.replace("1.1s  2", "1.1s  3")), wanted);
}

#[test]
fn bytes_may_differ_and_states_may_not() {
    let text = "\
ladder::add     12 bytes
  async fn at x.rs:29     align 4

● unresumed       9 used
│         4  a         u32
└─▶ suspended 0: keeps a
";
    let wanted = [
        "ladder::add",
        "async fn at x.rs:29",
        "unresumed",
        "suspended 0",
    ];
    assert_eq!(structure(text), wanted);
    let other = text
        .replace("12 bytes", "16 bytes")
        .replace("keeps a", "moves a");
    assert_eq!(structure(&other), wanted);
    for (from, to) in [
        ("suspended 0", "suspended 1"),
        (":29", ":30"),
        ("└─▶ suspended", "└─▶ ended"),
    ] {
        assert_ne!(structure(&text.replace(from, to)), wanted);
    }
    assert_eq!(
        named("by rustc 1.96.0-nightly; another"),
        "rustc 1.96.0-nightly"
    );
}
