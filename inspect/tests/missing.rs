//! What is told where the debug information is not there.

use std::path::PathBuf;
use std::pin::pin;
use std::process::Command;
use std::task::{Context, Waker};

use camshaft_inspect::{Missing, layout_of_val, tree_of};

const CHILD: &str = "CAMSHAFT_TEST_CHILD";

async fn waits() {
    std::future::pending::<()>().await;
}

/// What this program, which was stripped, tells of a future.
fn tell() {
    let mut future = pin!(waits());
    let _ = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    println!("tree: {}", tree_of(&*future));
    let missing = layout_of_val(&*future).expect_err("it is stripped");
    println!("layout: {missing:?}");
}

#[test]
fn a_stripped_program_says_which_setting_it_needs() {
    if std::env::var_os(CHILD).is_some() {
        return tell();
    }
    let program = std::env::current_exe().expect("a test is a program");
    let stripped = PathBuf::from(format!("{}.stripped", program.display()));
    for option in ["--strip-debug", "--strip-all"] {
        let strip = Command::new("strip")
            .arg(option)
            .arg("-o")
            .args([&stripped, &program])
            .status();
        match strip {
            Ok(status) if status.success() => {}
            _ => return println!("skipped: there is no strip on PATH"),
        }
        let output = Command::new(&stripped)
            .args([
                "--exact",
                "a_stripped_program_says_which_setting_it_needs",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .output();
        let output = output.expect("what was stripped is a program");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("tree: missing::waits"), "{said}");
        assert!(said.contains("strip = false"), "{said}");
        assert!(said.contains("debug = \"full\""), "{said}");
        assert!(said.contains("layout: "), "{said}");
    }
    let _ = std::fs::remove_file(stripped);
}

/// This is the case where the tests are built with `line-tables-only`; with full debug information there is nothing to say.
#[test]
fn lines_alone_are_said_not_to_be_enough() {
    if let Err(missing) = layout_of_val(&waits()) {
        if missing != Missing::Types {
            return println!("skipped: {missing}");
        }
        let said = tree_of(&waits()).to_string();
        assert!(
            said.contains("`line-tables-only` and `limited` are not enough"),
            "{said}"
        );
        assert!(said.starts_with("missing::waits"), "{said}");
    }
}
