//! `camshaft states`: the diagram of one function in its formats.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use common::{camshaft, full, json, run, said, scratch, text};

#[test]
fn the_diagram_has_states_lines_and_ways() {
    let wanted = "\
shapes::nested                                                                           1,505 bytes
  async fn at shapes.rs:38                                                                   align 1

● unresumed                                                                                   2 used
│         1  byte      u8
└─▶ suspended 0: keeps byte

● suspended 0 at line 39                                                                  1,504 used
│   let first = buffer_across(byte).await;
│     1,502  .await    async fn buffer_across
│         1  byte      u8                                                                   captured
└─▶ suspended 1: keeps byte

● suspended 1 at line 40                                                                  1,505 used
│   first + buffer_across(first).await
│     1,502  .await       async fn buffer_across
│         1  byte         u8                                                                captured
│         1  (temporary)  u8
└─▶ returned: ends byte

The source allows these ways between states. A panic leads from any of them to panicked.
";
    assert_eq!(text("states", &full(), &["nested"]), wanted);
}

#[test]
fn loops_branches_and_early_ends_are_followed() {
    let value = json("states", &full(), &["early", "--format", "json"]);
    assert_eq!(value["transitions_from_source"], true);
    let ways: Vec<_> = value["transitions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|way| {
            let short = |end: &str| {
                let name = way[end].as_str().expect("a name");
                name.replace("suspended ", "")
            };
            format!("{} {}", short("from"), short("to"))
        })
        .collect();
    // 0 before the loop; 1 in a branch, with `continue`; 2 and 3 in arms, of which another returns.
    let wanted = [
        "unresumed 0",
        "0 1",
        "0 2",
        "0 3",
        "0 returned",
        "1 1",
        "1 2",
        "1 3",
        "1 returned",
        "2 1",
        "2 2",
        "2 3",
        "2 returned",
        "3 1",
        "3 2",
        "3 3",
        "3 returned",
    ];
    assert_eq!(ways, wanted);
}

#[test]
fn ways_that_are_not_known_are_not_claimed() {
    // All awaits of this function are in nested macros.
    let shown = text("states", &full(), &["three_hundred_states"]);
    assert!(shown.contains("only the order of the awaits"), "{shown}");
    let value = json(
        "states",
        &full(),
        &["three_hundred_states", "--format", "json"],
    );
    assert_eq!(value["transitions_from_source"], false);
    assert_eq!(value["transitions"].as_array().map(Vec::len), Some(301));
}

#[test]
fn a_line_in_a_macro_is_said_to_be_one() {
    // The compiler knows no line of the function for awaits in macros of the same crate.
    let shown = text("states", &full(), &["awaits_in_a_macro"]);
    let wanted = "suspended 1 at line 135, in a macro or passed to one, whose use is not known";
    assert!(shown.contains(wanted), "{shown}");
}

#[test]
fn mermaid_and_graphviz_have_the_same_ways() {
    let shown = text("states", &full(), &["nested", "--format", "mermaid"]);
    for line in [
        "stateDiagram-v2",
        "    s0 : unresumed",
        "    s3 : suspended 0 at line 39",
        "    s3 : 1,502 .await#58; async fn buffer_across",
        "    [*] --> s0",
        "    s0 --> s3",
        "    s3 --> s4",
        "    s4 --> [*] : ends byte",
    ] {
        assert!(shown.lines().any(|one| one == line), "{line} in {shown}");
    }
    let shown = text("states", &full(), &["nested", "--format", "dot"]);
    assert!(
        shown.starts_with("digraph states {\n") && shown.ends_with("}\n"),
        "{shown}"
    );
    for part in [
        "    s4 -> s1 [label=\"ends byte\"];",
        "<td align=\"left\">.await</td><td align=\"left\">async fn buffer_across</td>",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let generic = text("states", &full(), &["generic<String>", "--format", "dot"]);
    assert!(
        !generic.contains("Option<") && generic.contains("shapes::generic<String>, "),
        "{generic}"
    );
}

#[test]
fn graphviz_draws_where_it_is_installed() {
    let folder = scratch("path");
    let draw = |path: &str| {
        let mut command = camshaft();
        command
            .arg("states")
            .arg(full())
            .args(["nested", "--format", "svg"]);
        said(&command.env("PATH", path).output().expect("it can be run"))
    };
    let (shown, errors, code) = draw("");
    assert_eq!((&*shown, code), ("", 2));
    assert!(
        errors.contains("no `dot` on PATH") && errors.contains("Graphviz"),
        "{errors}"
    );
    // One that says what it was asked, and one that fails.
    for (script, wanted) in [
        ("echo $1; exec /bin/cat", 0),
        ("echo too bad >&2; exit 3", 2),
    ] {
        let tool = folder.join("dot");
        fs::write(&tool, format!("#!/bin/sh\n{script}\n")).expect("it can be written");
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let (shown, errors, code) = draw(folder.to_str().expect("plain letters"));
        assert_eq!(code, wanted, "{errors}");
        match code {
            0 => assert!(shown.starts_with("-Tsvg\ndigraph"), "{shown}"),
            _ => assert!(errors.contains("`dot` has failed: too bad"), "{errors}"),
        }
    }
}

#[test]
fn names_are_found_by_their_ends_and_places() {
    for (name, wanted) in [
        ("shapes::nested", "shapes::nested "),
        ("nested", "shapes::nested "),
        ("inner::one_await", "shapes::inner::one_await "),
        ("shapes::nested::{async_fn_env#0}", "shapes::nested "),
        ("Reader::read", "shapes::Reader::read<u64> "),
        ("generic<String>", "shapes::generic<String> "),
        ("recursive", "shapes::recursive::{async block} "),
        ("shapes.rs:40", "shapes::nested "),
    ] {
        let shown = text("states", &full(), &[name]);
        assert!(shown.starts_with(wanted), "{name}: {shown}");
    }
}

#[test]
fn names_that_mean_many_or_none_are_helped() {
    let (_, errors, code) = run("states", &full(), &["one_await"]);
    assert_eq!(code, 2);
    for part in [
        "one_await may be one of 2",
        "    shapes::inner::one_await  shapes.rs:",
        "    shapes::one_await  ",
    ] {
        assert!(errors.contains(part), "{part} in {errors}");
    }
    for (name, wanted) in [
        (
            "bufer_acros",
            "no state machine is called `bufer_acros`; the nearest are:\n    shapes::buffer_across",
        ),
        (
            "Reader::reed",
            "the nearest are:\n    shapes::Reader::read<u64>",
        ),
        (
            "Raeder::open",
            "the nearest are:\n    shapes::Reader::open<u64>",
        ),
        ("changs", "the nearest are:\n    shapes::changes "),
        ("store_twice", "the nearest are:\n    shapes::stored_twice "),
        (
            "shapes.rs:9999",
            "no state machine is written at shapes.rs:9999; the nearest are:\n",
        ),
        (
            "shapes.rs:1",
            "no state machine is written at shapes.rs:1; the nearest are:\n    shapes::nothing ",
        ),
        (
            "other.rs:5",
            "no state machine is written in a file other.rs; those of this program are in:\n    shapes.rs",
        ),
    ] {
        let (_, errors, code) = run("states", &full(), &[name]);
        assert_eq!(code, 2);
        assert!(errors.contains(wanted), "{wanted} in {errors}");
    }
    // What is like nothing has no neighbours.
    let (_, errors, _) = run("states", &full(), &["quite_another_thing"]);
    assert!(
        errors.contains("no state machine is called `quite_another_thing`"),
        "{errors}"
    );
    assert!(
        !errors.contains("nearest") && errors.contains("camshaft sizes"),
        "{errors}"
    );
}

#[test]
fn a_place_means_the_innermost() {
    let lines = include_str!("fixtures/shapes.rs").lines();
    let line = 1 + lines
        .take_while(|line| !line.contains("the innermost"))
        .count();
    for (line, wanted) in [
        (line, "shapes::contains::{async block}"),
        (line + 3, "shapes::contains"),
    ] {
        let value = json(
            "states",
            &full(),
            &[&format!("shapes.rs:{line}"), "--format", "json"],
        );
        assert_eq!(value["name"], wanted);
    }
}
