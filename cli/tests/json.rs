//! What `docs/json.md` says of the JSON is all that there is in it.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::{full, json, shapes};
use serde_json::Value;

/// All that stands between single backquotes.
fn described() -> BTreeSet<String> {
    let page = root().join("docs/json.md");
    let page = fs::read_to_string(page).expect("it can be read");
    page.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn root() -> PathBuf {
    let parent = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    parent.expect("it lies in the workspace").to_owned()
}

/// The keys of all objects in a value.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

/// The keys that a source of the library writes.
fn written(source: &str) -> BTreeSet<String> {
    let (source, _) = source.split_once("#[cfg(test)]").unwrap_or((source, ""));
    let words: String = source.split_whitespace().collect();
    let starts = ["json.field(\"", "json.name(\"", "known(json,\""];
    let keys = starts.iter().flat_map(|start| words.split(start).skip(1));
    keys.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect()
}

#[test]
fn each_key_of_a_command_is_described() {
    let (described, program) = (described(), full());
    let optimized = shapes("optimized", &["-Cdebuginfo=full", "-Copt-level=3"]);
    let other = optimized.to_str().expect("a path of a test is text");
    let mut found = BTreeSet::new();
    keys(&json("sizes", &program, &["--json"]), &mut found);
    keys(
        &json("sizes", &program, &["--json", "--diff", other]),
        &mut found,
    );
    let states = ["shapes::buffer_across", "--format", "json"];
    keys(&json("states", &program, &states), &mut found);
    let missing: Vec<_> = found.difference(&described).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(found.len() > 30, "{found:?}");
}

#[test]
fn each_key_of_the_library_is_described() {
    let described = described();
    let mut count = 0;
    for file in [
        "dump",
        "tree",
        "leaf",
        "layout/show",
        "recording/show",
        "recording/dwell",
    ] {
        let path = root().join("inspect/src").join(file).with_extension("rs");
        let source = fs::read_to_string(path).expect("it can be read");
        for key in written(&source) {
            assert!(described.contains(&key), "{key}, in {file}.rs");
            count += 1;
        }
    }
    assert!(count > 80, "{count}");
}

#[test]
fn each_key_of_a_runtime_is_described() {
    let described = described();
    let look = root().join("src/inspect/serve/look.rs");
    let source = fs::read_to_string(look).expect("it can be read");
    let mut keys = written(&source);
    let counters = source
        .split("(\"")
        .filter_map(|rest| rest.split_once("\", "));
    let counters =
        counters.filter(|(_, value)| value.trim_start_matches("nanos(").starts_with("metrics."));
    keys.extend(counters.map(|(key, _)| key.to_owned()));
    keys.extend(["age_ns", "dump"].map(str::to_owned)); // what is added when it is sent
    let missing: Vec<_> = keys.difference(&described).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(keys.len() > 30, "{keys:?}");
}
