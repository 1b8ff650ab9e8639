//! Several functions of one name, in two versions of a crate or in two blocks of a function, are several.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use camshaft_inspect::{Catalog, Site};
use common::{fixtures, json, run, said, scratch, text};

fn compile(folder: &Path, source: &str, options: &[&str]) {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .current_dir(folder)
        .args(["--edition", "2024", "-Cdebuginfo=full"])
        .args(options)
        .arg(fixtures().join("twins").join(source))
        .output();
    let (_, errors, code) = said(&output.expect("the compiler that builds this can be run"));
    assert_eq!(code, 0, "{errors}");
}

/// The program, with both versions of the crate.
fn twins(variant: &str, options: &[&str]) -> PathBuf {
    let folder = scratch(variant);
    for (source, library) in [
        ("old.rs", "libtwin_old.rlib"),
        ("new.rs", "libtwin_new.rlib"),
    ] {
        let metadata = format!("-Cmetadata={source}");
        let fixed = [
            "--crate-name=twin",
            "--crate-type=rlib",
            &metadata,
            "-o",
            library,
        ];
        compile(&folder, source, &[&fixed, options].concat());
    }
    let fixed = [
        "--crate-name=twins",
        "--extern=old=libtwin_old.rlib",
        "--extern=new=libtwin_new.rlib",
        "-o",
        "twins",
    ];
    compile(&folder, "main.rs", &[&fixed, options].concat());
    folder.join("twins")
}

/// Where a line is in a source.
fn line(source: &str, wanted: &str) -> u64 {
    let path = fixtures().join("twins").join(source);
    let text = std::fs::read_to_string(path).expect("it is there");
    let found = text.lines().position(|line| line.contains(wanted));
    found.unwrap_or_else(|| panic!("no {wanted} in {source}")) as u64 + 1
}

fn each_is_told(variant: &str, options: &[&str]) {
    let program = twins(variant, options);
    let sizes = |name: &str| -> Vec<_> {
        let list = json("sizes", &program, &["--json"]);
        let list = list["functions"].as_array().expect("a list");
        let named = list.iter().filter(|one| one["name"] == name);
        named
            .map(|one| (one["size"].as_u64(), one["states"].as_array().map(Vec::len)))
            .collect()
    };
    assert_eq!(sizes("twin::run").len(), 2);
    assert_eq!(sizes("twins::both::step").len(), 2);
    assert!(sizes("twin::run").contains(&(Some(9001), Some(4))));
    let (text, _, code) = run("sizes", &program, &["--max", "8000", "--brief"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("9,001") && text.contains("old.rs:"), "{text}");
}

#[test]
fn each_of_one_name_is_told() {
    each_is_told("full", &[]);
    each_is_told("optimized", &["-Copt-level=3"]);
    each_is_told("packed", &["-Csplit-debuginfo=packed"]);
}

#[test]
fn one_is_named_by_its_place() {
    let program = twins("places", &[]);
    let (_, errors, code) = run("states", &program, &["twin::run"]);
    assert_eq!(code, 2);
    assert!(errors.contains("may be one of 2"), "{errors}");
    let place = format!("twins/old.rs:{}", line("old.rs", "in the old one"));
    let text = text("states", &program, &[&place]);
    assert!(text.contains("9,001"), "{text}");
}

/// What a function has moved from its arguments is read from its own body.
#[test]
fn each_has_its_own_body() {
    let program = twins("bodies", &[]);
    let list = json("sizes", &program, &["--json"]);
    let list = list["functions"].as_array().expect("a list");
    let steps = list.iter().filter(|one| one["name"] == "twins::both::step");
    let mut doubled: Vec<_> = steps
        .map(|one| {
            (
                one["size"].as_u64() > Some(7000),
                one["doubled"].to_string(),
            )
        })
        .collect();
    doubled.sort();
    let [(false, small), (true, large)] = &doubled[..] else {
        panic!("{doubled:?}");
    };
    assert!(large.contains("\"certain\":true"), "{large}");
    assert!(!small.contains("\"certain\":true"), "{small}");
}

/// What a future that waits in a program is polled by: the line, or all that it may be.
#[test]
fn a_line_is_not_that_of_the_other_version() {
    let mut catalog = Catalog::open(twins("polls", &[])).expect("it was built");
    let mut seen = 0;
    for key in catalog.coroutines() {
        let layout = catalog.layout(key).expect("it is described");
        if !layout.name.starts_with("twin::run") {
            continue;
        }
        let awaited = layout.states.iter().flat_map(|state| &state.holds);
        let stop = awaited.clone().find(|held| &*held.name == "__awaitee");
        let stop = stop.expect("each awaits one").of;
        let polls = catalog.polls(stop);
        let file = &layout.defined.as_ref().expect("it has a line").file;
        let is_own = |site: &Site| site.file == *file;
        assert!(polls.iter().any(is_own), "{polls:?} of {file}");
        assert!(
            polls.len() == 2 || polls.iter().all(is_own),
            "{polls:?} of {file}"
        );
        seen += 1;
    }
    assert_eq!(seen, 2);
}
