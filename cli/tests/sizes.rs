//! `camshaft sizes`: the sizes are those of the program itself, and what is asked for is shown.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{camshaft, full, json, run, said, shapes, text};

/// What the program says of its futures.
fn told(program: &Path) -> BTreeMap<String, u64> {
    let output = Command::new(program).output().expect("it can be run");
    let (text, _, code) = said(&output);
    assert_eq!(code, 0);
    text.lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, size)| (name.to_owned(), size.parse().expect("a number")))
        .collect()
}

/// What the command says of them.
fn shown(program: &Path) -> BTreeMap<String, u64> {
    let value = json("sizes", program, &["--json"]);
    let list = value["functions"].as_array().expect("a list");
    assert_eq!(value["selected"], list.len());
    list.iter()
        .map(|one| {
            let name = one["name"].as_str().expect("a name").to_owned();
            (name, one["size"].as_u64().expect("a size"))
        })
        .collect()
}

fn compare(variant: &str, options: &[&str]) {
    let program = shapes(variant, options);
    let (told, shown) = (told(&program), shown(&program));
    assert_eq!(told.len(), 26, "{told:#?}");
    for (name, size) in &told {
        assert_eq!(
            shown.get(name),
            Some(size),
            "{variant}: {name} in {shown:#?}"
        );
    }
}

#[test]
fn sizes_are_those_of_size_of_val() {
    compare("full", &["-Cdebuginfo=full"]);
}

#[test]
fn sizes_are_the_same_when_optimized() {
    compare("optimized", &["-Cdebuginfo=full", "-Copt-level=3"]);
    compare("fat", &["-Cdebuginfo=full", "-Copt-level=3", "-Clto=fat"]);
}

#[test]
fn sizes_are_the_same_in_split_files() {
    compare("packed", &["-Cdebuginfo=full", "-Csplit-debuginfo=packed"]);
    compare(
        "unpacked",
        &["-Cdebuginfo=full", "-Csplit-debuginfo=unpacked"],
    );
}

#[test]
fn each_state_is_shown_with_what_it_holds() {
    let shown = text("sizes", &full(), &["--filter", "shapes::buffer_across"]);
    let wanted = "\
shapes::buffer_across                                                                    1,502 bytes
  async fn at shapes.rs:16                                                                   align 1
  unresumed                                                                                   2 used
         1  byte      u8
  suspended 0 at line 18                                                                  1,502 used
     1,500  buffer    [u8; 1500]
         1  byte      u8                                                                    captured
         0  .await    Pending<()>
  returned, panicked                                                                    nothing held

1 state machine; the largest has 1,502 bytes; wasted in all: 0
";
    assert_eq!(shown, wanted);
}

#[test]
fn arguments_stored_twice_and_padding_are_told() {
    let shown = text("sizes", &full(), &["--filter", "stored_twice"]);
    assert!(
        shown.contains(
            "large is stored twice: 1,000 bytes at 1, where it was captured, and at 1,001"
        ),
        "{shown}"
    );
    assert!(
        shown.contains("  wastes 1,000: all stored twice"),
        "{shown}"
    );
    let shown = text("sizes", &full(), &["--filter", "shapes::aligned"]);
    assert!(
        shown.contains("align 64") && shown.contains(": all padding"),
        "{shown}"
    );
    let all = text("sizes", &full(), &[]);
    assert!(!all.contains("__") && !all.contains("_env#"), "{all}");
    for line in all.lines() {
        assert!(
            line.chars().count() <= 100 && !line.contains('\x1b'),
            "{line}"
        );
    }
}

#[test]
fn states_beyond_a_byte_are_counted() {
    let value = json("sizes", &full(), &["--json", "--filter", "three_hundred"]);
    let states = value["functions"][0]["states"].as_array().expect("a list");
    assert_eq!(states.len(), 303);
    assert_eq!(states[302]["name"], "suspended 299");
}

#[test]
fn what_comes_first_can_be_chosen() {
    let first = |rest: &[&str]| {
        let mut all = vec!["--brief", "--limit", "2"];
        all.extend(rest);
        let shown = text("sizes", &full(), &all);
        let line = shown.lines().nth(1).expect("a line for each").to_owned();
        assert_eq!(shown.lines().count(), 5, "{shown}");
        assert!(
            shown.contains("2 of ") && shown.contains(" shown"),
            "{shown}"
        );
        line.split_whitespace().last().expect("a name").to_owned()
    };
    assert_eq!(first(&[]), "shapes::stored_twice");
    assert_eq!(first(&["--sort", "waste"]), "shapes::stored_twice");
    assert_eq!(first(&["--sort", "size"]), "shapes::stored_twice");
    assert_eq!(first(&["--sort", "padding"]), "shapes::aligned");
    assert_eq!(first(&["--sort", "states"]), "shapes::three_hundred_states");
    assert_eq!(first(&["--sort", "name"]), "shapes::Aligned::wait");
}

#[test]
fn what_is_shown_can_be_narrowed() {
    let count = |rest: &[&str]| {
        text("sizes", &full(), &[&["--brief"], rest].concat())
            .lines()
            .count()
            - 3
    };
    assert_eq!(count(&["--filter", "generic<"]), 3);
    assert_eq!(count(&["--filter", "/^shapes::(nested|early)$/"]), 2);
    assert_eq!(count(&["--filter", "async_closure_env#0"]), 1);
    assert!(count(&["--own"]) >= 25);
    assert_eq!(count(&["--own"]), count(&["--crate", "shapes"]));
    for (rest, why) in [
        (
            &["--filter", "/(/"],
            "--filter /(/ is no regular expression",
        ),
        (&["--filter", "nonesuch"], "no state machine is left"),
        (
            &["--crate", "nonesuch"],
            "no state machine is written in a crate nonesuch, but in shapes",
        ),
    ] {
        let (_, errors, code) = run("sizes", &full(), rest);
        assert!(code == 2 && errors.contains(why), "{errors}");
    }
}

#[test]
fn a_budget_fails_with_a_list() {
    let (shown, errors, code) = run("sizes", &full(), &["--max", "1999"]);
    let wanted = "\
1 of 29 state machines is larger than 1,999 bytes:
     2,001  shapes::stored_twice                                                        shapes.rs:28
";
    assert_eq!((&*shown, &*errors, code), (wanted, "", 1));
    let (shown, _, code) = run("sizes", &full(), &["--max", "2001"]);
    assert_eq!(code, 0);
    assert!(
        shown.starts_with("none of 29 state machines is larger than 2,001 bytes"),
        "{shown}"
    );
    let (shown, _, code) = run("sizes", &full(), &["--max", "1999", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&shown).expect("it is JSON");
    assert_eq!(code, 1);
    assert_eq!(value["functions"][0]["name"], "shapes::stored_twice");
    assert_eq!(value["functions"].as_array().map(Vec::len), Some(1));
}

#[test]
fn two_programs_are_compared() {
    let later = shapes("later", &["-Cdebuginfo=full", "--cfg=later"]);
    let later = later.to_str().expect("plain letters");
    let shown = text("sizes", &full(), &["--diff", later]);
    let wanted = "\
grown: 1
      +190        11 → 201       shapes::changes                                       shapes.rs:173

new: 1
         1  shapes::only_after                                                         shapes.rs:185

gone: 1
         1  shapes::only_before                                                        shapes.rs:180

27 state machines of the same size as before
";
    assert_eq!(shown, wanted);
    let back = Path::new(later);
    let full = full();
    let full = full.to_str().expect("plain letters");
    assert!(text("sizes", back, &["--diff", full]).starts_with("shrunk: 1\n      -190"));
    let value = json("sizes", back, &["--diff", full, "--json"]);
    assert_eq!(value["shrunk"][0]["old"], 201);
    assert_eq!(value["gone"][0]["name"], "shapes::only_after");
}

#[test]
fn colours_are_only_for_terminals_or_on_demand() {
    let rest = ["--filter", "nested"];
    assert!(!text("sizes", &full(), &rest).contains('\x1b'));
    let shown = text(
        "sizes",
        &full(),
        &[&rest[..], &["--color", "always"]].concat(),
    );
    assert!(shown.contains("\x1b[1mshapes::nested\x1b[0m"), "{shown}");
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = camshaft().arg("sizes").arg(full()).stdout(writer).output();
    let (_, errors, code) = said(&output.expect("the command can be run"));
    assert_eq!((&*errors, code), ("", 0));
}
