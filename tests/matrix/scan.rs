//! Finds the operations of the crate in its sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules whose operations need no row here, and the test that has them.
///
/// Those on the standard streams are dropped in processes of their own, where something else is in their place.
const ELSEWHERE: [(&str, &str); 2] = [
    ("stdio/input", "tests/stdio.rs"),
    ("stdio/output", "tests/stdio_output.rs"),
];

/// What looks like an operation, or is none that could be dropped midway.
const EXCEPTIONS: [(&str, &str); 3] = [
    ("poll/read::new", "keeps the future of somebody else"),
    ("poll/write::new", "keeps the future of somebody else"),
    ("stdio/output::shutdown", "a flush by another name"),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
}

/// The names of public functions whose result is waited for.
fn operations(text: &str) -> impl Iterator<Item = &str> {
    let waits = ["Future<", "RecvStream<", "Incoming<"];
    text.match_indices("pub ").filter_map(move |(at, _)| {
        let rest = &text[at + 4..];
        let (is_async, rest) = match rest.strip_prefix("async ") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let rest = rest.strip_prefix("fn ")?;
        let signature = &rest[..rest.find(" {").unwrap_or(rest.len())];
        let output = signature.rsplit_once("->").map_or("", |(_, output)| output);
        let is_operation = is_async || waits.iter().any(|it| output.contains(it));
        let name = &signature[..signature.find(['<', '('])?];
        is_operation.then_some(name)
    })
}

fn all_operations() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("io/src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut all = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source");
        let module = file
            .strip_prefix(&root)
            .expect("below it")
            .with_extension("");
        let module = module.to_str().expect("plain names").to_owned();
        if module.starts_with("driver/") || module.starts_with("fuzzing/") {
            continue; // not what users call
        }
        all.extend(operations(&text).map(|name| format!("{module}::{name}")));
    }
    all
}

fn is_elsewhere(operation: &str) -> bool {
    let (module, name) = operation.split_once("::").expect("a name");
    ELSEWHERE.iter().any(|(prefix, test)| {
        let test = Path::new(env!("CARGO_MANIFEST_DIR")).join(test);
        let calls = |generic| format!(".{name}{generic}(");
        module == *prefix && {
            let text = fs::read_to_string(&test).expect("a test");
            ["", "::<_>"].iter().any(|it| text.contains(&calls(it)))
        }
    })
}

#[test]
fn every_operation_has_a_row() {
    let rows: BTreeSet<String> = crate::all()
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    let operations = all_operations();
    assert!(operations.len() > 120, "they are not found: {operations:?}");
    let is_exception = |it: &str| EXCEPTIONS.iter().any(|(name, _)| *name == it);
    let missing = |it: &&String| !rows.contains(*it) && !is_elsewhere(it) && !is_exception(it);
    let missing: Vec<_> = operations.iter().filter(missing).collect();
    assert!(
        missing.is_empty(),
        "add rows to the matrix for {missing:#?}"
    );
    let unknown: Vec<_> = rows.difference(&operations).collect();
    assert!(
        unknown.is_empty(),
        "these are operations no more: {unknown:#?}"
    );
}
