//! Compiles the switches that only C can make, and tells the program what it is made of: the compiler, its optimization, and
//! the versions of what it compares with.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Packages whose version a reader wants to know, if they are built in.
const NAMED: [&str; 9] = [
    "corosensei",
    "io-uring",
    "tokio",
    "monoio",
    "glommio",
    "compio",
    "tokio-uring",
    "smol",
    "may",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let compiler = env::var("RUSTC").ok();
    let version =
        compiler.and_then(|compiler| Command::new(compiler).arg("--version").output().ok());
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let mut made_of = vec![version.unwrap_or_else(|| "an unknown rustc".into())];
    made_of.push(match env::var("OPT_LEVEL").as_deref() {
        Ok("0") => "not optimized".into(),
        Ok(level) => format!("opt-level {level}"),
        Err(_) => "unknown optimization".into(),
    });
    made_of.push(env::var("TARGET").unwrap_or_default());
    let lock = Path::new("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let lock = fs::read_to_string(lock).unwrap_or_default();
    made_of.extend(
        NAMED
            .iter()
            .filter(|name| is_built_in(name))
            .filter_map(|name| locked(&lock, name)),
    );
    println!("cargo::rustc-env=CAMSHAFT_MADE_OF={}", made_of.join("\t"));
    compile_switches();
}

/// Without a C compiler, or a libc that has setjmp and ucontext, their rows are skipped.
fn compile_switches() {
    println!("cargo::rustc-check-cfg=cfg(c_switches)");
    println!("cargo::rerun-if-changed=csrc/switch.c");
    let mut build = cc::Build::new();
    // The checks of _FORTIFY_SOURCE take a jump to another stack for an error.
    build
        .file("csrc/switch.c")
        .opt_level(2)
        .flag("-U_FORTIFY_SOURCE");
    match build.try_compile("switch") {
        Ok(()) => println!("cargo::rustc-cfg=c_switches"),
        Err(error) => println!("cargo::warning=without setjmp and ucontext: {error}"),
    }
}

/// Whether a package is always there, or its feature is on.
fn is_built_in(name: &str) -> bool {
    let feature = format!("CARGO_FEATURE_{}", name.to_uppercase().replace('-', "_"));
    name == "corosensei" || env::var_os(feature).is_some()
}

/// The name and the last version of a package in a lock file.
fn locked(lock: &str, name: &str) -> Option<String> {
    let head = format!("name = \"{name}\"\nversion = \"");
    let versions = lock.split(&head).skip(1);
    let version = versions.last()?.split('"').next()?;
    Some(format!("{name} {version}"))
}
