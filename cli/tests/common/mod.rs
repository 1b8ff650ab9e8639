//! Builds the program of many shapes in whatever way a test wants it, and runs the command.

#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Where the sources of the programs are.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A directory for the files of a test.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(env!("CARGO_CRATE_NAME"))
        .join(name);
    std::fs::create_dir_all(&folder).expect("the target directory can be written to");
    folder
}

/// Builds `shapes` with options of the compiler; the same variant once.
pub(crate) fn shapes(variant: &str, options: &[&str]) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(variant) {
        return path.clone();
    }
    let folder = scratch(variant);
    let path = folder.join("shapes");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .current_dir(&folder)
        .args(["--edition", "2024", "--crate-name", "shapes", "-o"])
        .arg(&path)
        .args(options)
        .arg(fixtures().join("shapes.rs"))
        .output()
        .expect("the compiler that builds this can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    built.insert(variant.to_owned(), path.clone());
    path
}

/// The usual build.
pub(crate) fn full() -> PathBuf {
    shapes("full", &["-Cdebuginfo=full"])
}

/// The command, in the directory of the sources, so that their paths are short.
pub(crate) fn camshaft() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_camshaft"));
    command.current_dir(fixtures());
    command
}

/// Runs the command; what it says on both outputs, and with what code it ends.
pub(crate) fn run(command: &str, binary: &Path, rest: &[&str]) -> (String, String, i32) {
    let output = camshaft().arg(command).arg(binary).args(rest).output();
    said(&output.expect("the command can be run"))
}

pub(crate) fn said(output: &Output) -> (String, String, i32) {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    let code = code.unwrap_or_else(|| panic!("{}: {errors}", output.status));
    assert!(!errors.contains("panicked"), "{errors}");
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        errors,
        code,
    )
}

/// What the command prints if it succeeds.
pub(crate) fn text(command: &str, binary: &Path, rest: &[&str]) -> String {
    let (text, errors, code) = run(command, binary, rest);
    assert_eq!((code, &*errors), (0, ""));
    text
}

/// The same as JSON.
pub(crate) fn json(command: &str, binary: &Path, rest: &[&str]) -> Value {
    serde_json::from_str(&text(command, binary, rest)).expect("it is JSON")
}

/// Where sections are, from the table that every ELF file has, those of the debug information: names, beginnings and lengths.
pub(crate) fn sections(bytes: &[u8]) -> Vec<(String, usize, usize)> {
    let number = |at: usize, size: usize| {
        let bytes = &bytes[at..at + size];
        bytes
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (table, size) = (number(0x28, 8), number(0x3a, 2));
    let header = |index: usize| table + index * size;
    let names = number(header(number(0x3e, 2)) + 0x18, 8);
    (0..number(0x3c, 2))
        .map(header)
        .map(|at| {
            let name = &bytes[names + number(at, 4)..];
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            (name, number(at + 0x18, 8), number(at + 0x20, 8))
        })
        .filter(|(name, _, length)| name.starts_with(".debug_") && *length > 0)
        .collect()
}
