//! What cannot be shown is an error that says what to do, and ends with code 2.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{camshaft, full, run, said, scratch, shapes};

/// Both commands fail with a message that has all of this in it.
fn fails(binary: &Path, parts: &[&str]) {
    for rest in [&["sizes"][..], &["states", "nested"]] {
        let (text, errors, code) = run(rest[0], binary, &rest[1..]);
        assert_eq!((&*text, code), ("", 2), "{errors}");
        assert!(errors.starts_with("error: "), "{errors}");
        assert!(errors.contains(&binary.display().to_string()), "{errors}");
        for part in parts {
            assert!(errors.contains(part), "{part:?} in {errors}");
        }
    }
}

#[test]
fn what_is_no_program() {
    let folder = scratch("files");
    fails(&folder.join("nothing"), &["No such file or directory"]);
    fails(&folder, &["is a directory", "target/debug/app"]);
    fails(Path::new("/dev/null"), &["no file that can be mapped"]);
    // Nobody ever writes into it.
    let pipe = folder.join("pipe");
    let _ = fs::remove_file(&pipe);
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("it can be run").success());
    fails(&pipe, &["no file that can be mapped"]);
    let cases: [(&str, &[u8], &str); 7] = [
        ("empty", b"", "it is empty"),
        ("script", b"#!/bin/sh\n", "it is a script"),
        ("archive", b"!<arch>\nabc", "it is an archive"),
        ("windows", b"MZ\x90\0", "for Windows"),
        ("mac", b"\xcf\xfa\xed\xfe\0", "for macOS"),
        ("text", b"Dear Sir", "does not begin as one"),
        ("short", b"\x7fELF", ""),
    ];
    for (name, bytes, why) in cases {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("it can be written");
        fails(&path, &[why]);
    }
    let mut bytes = fs::read(full()).expect("it can be read");
    bytes[4] = 1; // 32 bits
    let path = folder.join("small");
    fs::write(&path, bytes).expect("it can be written");
    fails(&path, &[]);
}

#[test]
fn too_little_debug_information() {
    let advice = ["debug = \"full\"", "[profile.release]", "strip = false"];
    let with = |first| [&[first][..], &advice].concat();
    let stripped = shapes("stripped", &["-Cdebuginfo=full", "-Cstrip=symbols"]);
    fails(&stripped, &with("the program is stripped"));
    let without = shapes("without", &["-Cdebuginfo=full", "-Cstrip=debuginfo"]);
    fails(&without, &with("has no debug information"));
    let lines = shapes("lines", &["-Cdebuginfo=line-tables-only"]);
    fails(&lines, &with("line tables but no types"));
    let limited = shapes("limited", &["-Cdebuginfo=limited"]);
    fails(&limited, &["debug = \"full\""]);
}

#[test]
fn a_program_without_state_machines() {
    let folder = scratch("plain");
    fs::write(folder.join("plain.rs"), "fn main() {}").expect("it can be written");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(compiler);
    let output = command
        .current_dir(&folder)
        .args(["-Cdebuginfo=full", "plain.rs"])
        .output();
    said(&output.expect("the compiler that builds this can be run"));
    let program = folder.join("plain");
    fails(&program, &["no `async` function", "debug = \"full\""]);
}

#[test]
fn a_program_of_another_language() {
    let folder = scratch("foreign");
    fs::write(folder.join("other.c"), "int main(void) { return 0; }").expect("it can be written");
    for option in ["-g", "-s"] {
        let mut command = Command::new("cc");
        let command = command
            .current_dir(&folder)
            .args([option, "other.c", "-o", "other"]);
        let Ok(output) = command.output() else {
            eprintln!("skipped: there is no cc");
            return;
        };
        said(&output);
        let program = folder.join("other");
        fails(&program, &["nothing in it was compiled by rustc"]);
        let (_, errors, _) = run("sizes", &program, &[]);
        assert!(!errors.contains("[profile"), "{errors}");
    }
}

#[test]
fn a_program_that_is_cut_off() {
    let bytes = fs::read(full()).expect("it can be read");
    let path = scratch("cut").join("shapes");
    for length in [200, 100_000, bytes.len() / 2] {
        fs::write(&path, &bytes[..length]).expect("it can be written");
        fails(&path, &["is cut off or damaged", "build or copy it anew"]);
    }
}

#[test]
fn split_files_that_are_gone() {
    let packed = shapes("packed", &["-Cdebuginfo=full", "-Csplit-debuginfo=packed"]);
    let mut package = packed.clone().into_os_string();
    package.push(".dwp");
    fs::remove_file(package).expect("the package lies beside the program");
    let parts = [
        "the debug information is split",
        ".dwp",
        "split-debuginfo = \"off\"",
    ];
    fails(&packed, &parts);
}

/// A tool of the system's, if there is one.
fn objcopy(arguments: &[&str]) -> bool {
    match Command::new("objcopy").args(arguments).output() {
        Err(_) => false,
        Ok(output) => {
            assert!(output.status.success(), "{output:?}");
            true
        }
    }
}

#[test]
fn debug_files_apart_are_found_and_checked() {
    let id = "-Clink-arg=-Wl,--build-id";
    let folder = scratch("apart");
    let program = shapes("apart", &["-Cdebuginfo=full", id]);
    let later = shapes("apart_later", &["-Cdebuginfo=full", "--cfg=later", id]);
    let text = |path: &Path| path.to_str().expect("plain letters").to_owned();
    let debug = text(&folder.join("shapes.debug"));
    if !objcopy(&["--only-keep-debug", &text(&program), &debug]) {
        eprintln!("skipped: there is no objcopy");
        return;
    }
    let link = format!("--add-gnu-debuglink={debug}");
    assert!(objcopy(&["--strip-debug", &link, &text(&program)]));
    let (shown, errors, code) = run("sizes", &program, &["--filter", "nested"]);
    assert!(code == 0 && shown.contains("shapes::nested"), "{errors}");
    // A file of another build has the same name, and says other things.
    assert!(objcopy(&["--only-keep-debug", &text(&later), &debug]));
    fails(&program, &["does not belong to this build", "shapes.debug"]);
}

#[test]
fn wrong_arguments() {
    for (rest, why) in [
        (&["sizes"][..], "<BINARY>"),
        (
            &["sizes", "x", "--sort", "colour"],
            "possible values: size, waste",
        ),
        (&["sizes", "x", "--max", "many"], "--max"),
        (&["states", "x"], "<FUNCTION>"),
        (&["size"], "a similar subcommand exists: 'sizes'"),
    ] {
        let output = camshaft().args(rest).output().expect("it can be run");
        let (_, errors, code) = said(&output);
        assert!(code == 2 && errors.contains(why), "{errors}");
    }
}
