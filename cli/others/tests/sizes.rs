//! The sizes that are read from debug information are those that the programs say, whatever runtime they use.

use std::process::Command;

use camshaft_inspect::Catalog;

fn compare(program: &str, expected: usize) {
    let output = Command::new(program).output().expect("it can be run");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("it is text");
    let mut catalog = Catalog::open(program).expect("it can be read");
    let keys = catalog.coroutines();
    let layouts: Vec<_> = keys
        .into_iter()
        .filter_map(|key| catalog.layout(key))
        .collect();
    let mut compared = 0;
    for line in text.lines() {
        let (path, size) = line.split_once(' ').expect("a path and a size");
        let start = format!("{path}::{{async_fn_env#0}}");
        let found = layouts.iter().filter(|one| one.name.starts_with(&start));
        let sizes: Vec<_> = found.map(|one| one.size.to_string()).collect();
        assert_eq!(sizes, [size], "{path}");
        compared += 1;
    }
    assert_eq!(compared, expected, "{text}");
}

#[test]
fn hyper_on_tokio() {
    compare(env!("CARGO_BIN_EXE_hyper_tokio"), 5);
}

#[test]
fn smol() {
    compare(env!("CARGO_BIN_EXE_smol_echo"), 3);
}

#[test]
fn camshaft() {
    compare(env!("CARGO_BIN_EXE_camshaft_echo"), 3);
}
