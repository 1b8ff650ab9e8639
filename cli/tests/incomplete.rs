//! What is only partly there: the rest is shown, and what is missing is said.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{full, run, scratch, sections, shapes};

/// The files beside a program that hold parts of its debug information.
fn parts(program: &Path) -> Vec<PathBuf> {
    let folder = program.parent().expect("it lies in a folder");
    let files = fs::read_dir(folder).expect("it can be read");
    let files = files.map(|file| file.expect("it can be read").path());
    let mut parts: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "dwo"))
        .collect();
    parts.sort();
    parts
}

#[test]
fn split_files_of_another_build_are_refused() {
    let split = [
        "-Cdebuginfo=full",
        "-Csplit-debuginfo=unpacked",
        "-Ccodegen-units=1",
    ];
    let program = shapes("unpacked", &split);
    let later = shapes("unpacked_later", &[&split[..], &["--cfg=later"]].concat());
    let wanted = &["--filter", "changes"];
    let (shown, errors, code) = run("sizes", &program, wanted);
    assert!(code == 0 && shown.contains("shapes::changes"), "{errors}");
    assert!(!errors.contains("does not belong"), "{errors}");
    let (own, other) = (parts(&program), parts(&later));
    assert!(
        !own.is_empty() && own.len() == other.len(),
        "{own:?} {other:?}"
    );
    for (own, other) in own.iter().zip(&other) {
        fs::copy(other, own).expect("there is room");
    }
    let (shown, errors, code) = run("sizes", &program, wanted);
    assert!(!shown.contains("shapes::changes"), "{shown}");
    assert!(errors.contains("does not belong to this build"), "{errors}");
    assert!(errors.contains(".dwo"), "{errors}");
    assert_eq!(code, 2);
}

#[test]
fn a_package_of_another_build_is_refused() {
    let split = [
        "-Cdebuginfo=full",
        "-Csplit-debuginfo=packed",
        "-Ccodegen-units=1",
    ];
    let program = shapes("packed", &split);
    let later = shapes("packed_later", &[&split[..], &["--cfg=later"]].concat());
    let package = |program: &Path| program.with_extension("dwp");
    fs::copy(package(&later), package(&program)).expect("there is room");
    let (shown, errors, code) = run("sizes", &program, &["--filter", "changes"]);
    assert!(!shown.contains("shapes::changes"), "{shown}");
    assert!(
        errors.contains("the debug information is split"),
        "{errors}"
    );
    assert_eq!(code, 2);
}

/// A number of four bytes.
fn word(bytes: &[u8], at: usize) -> usize {
    let bytes: [u8; 4] = bytes[at..at + 4].try_into().expect("there are four");
    u32::from_le_bytes(bytes) as usize
}

#[test]
fn damaged_units_are_counted() {
    let mut bytes = fs::read(full()).expect("it can be read");
    let sections = sections(&bytes);
    let info = sections.iter().find(|(name, ..)| name == ".debug_info");
    let &(_, start, length) = info.expect("it has debug information");
    let mut units = Vec::new();
    let mut at = start;
    while at < start + length {
        units.push(at);
        at += 4 + word(&bytes, at);
    }
    let &[.., one, two] = &units[..] else {
        panic!("there are many units: {units:?}");
    };
    // A code that no abbreviation has, after the header: of eleven bytes before DWARF 5, of twelve since.
    for unit in [one, two] {
        bytes[unit + 11..unit + 14].copy_from_slice(&[0xff, 0xff, 0x7f]);
    }
    let path = scratch("damaged").join("shapes");
    fs::write(&path, bytes).expect("it can be written");
    let (shown, errors, code) = run("sizes", &path, &["--filter", "nested"]);
    assert!(code == 0 && shown.contains("shapes::nested"), "{errors}");
    let wanted = format!("2 of {} units", units.len());
    assert!(errors.contains(&wanted), "{wanted} in {errors}");
    assert!(errors.contains("warning: "), "{errors}");
}
