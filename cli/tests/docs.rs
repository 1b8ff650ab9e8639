//! What `docs/state-machines.md` shows is what there is: its code is that of the example, and its output that of the commands.
//!
//! With `CAMSHAFT_BLESS=1` the output is written there instead of compared.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{said, scratch};

const PROGRAM: &str = "target/debug/examples/ladder";

fn root() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("it lies in the workspace").to_owned()
}

/// The example, built as `dev` builds it.
fn ladder() -> PathBuf {
    let path = scratch("ladder").join("ladder");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
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
            block = format!("{command}\n{said}");
            outputs += 1;
        }
        made.push_str(&format!("{before}\n```{language}\n{block}```\n"));
        rest = after;
    }
    made.push_str(rest);
    assert!(snippets > 5 && outputs > 5, "{snippets} and {outputs}");
    if std::env::var_os("CAMSHAFT_BLESS").is_some() {
        fs::write(&path, made).expect("it can be written");
    } else {
        assert_eq!(
            page, made,
            "run this test with CAMSHAFT_BLESS=1 to write what is printed now"
        );
    }
}
