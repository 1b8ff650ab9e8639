//! Where the sources of the program lie: paths are told from there, wherever the process has its working directory.

use std::sync::OnceLock;

use crate::image::Dwarf;

static HOME: OnceLock<String> = OnceLock::new();

/// The folder that paths are told from, with a slash at its end: where the compiler was started, if that is known of this program,
/// and else the working directory of the moment when the first path was shown.
pub(crate) fn home() -> &'static str {
    HOME.get_or_init(|| {
        let here = std::env::current_dir().unwrap_or_default();
        format!("{}/", here.display())
    })
}

/// Tells where the compiler was started for the program that runs.
pub(crate) fn found(folder: String) {
    // What was told from elsewhere before goes on to be told from there.
    let _ = HOME.set(folder);
}

/// The folder in which the compiler was started for the program itself: for cargo, the root of its workspace. Of all crates in a
/// program, only its own begins with another file than `lib.rs`.
pub(crate) fn of(dwarf: &Dwarf) -> Option<String> {
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        let Ok(unit) = dwarf.unit(header) else {
            continue;
        };
        let (Some(name), Some(folder)) = (unit.name, unit.comp_dir) else {
            continue;
        };
        let folder = folder.to_string_lossy();
        if is_program(&name.to_string_lossy()) && is_near(&folder) {
            return Some(format!("{}/", folder.trim_end_matches('/')));
        }
    }
    None
}

/// Whether a unit of rustc is of a program, by its name: `src/main.rs/@/app.3a2b-cgu.0`.
fn is_program(name: &str) -> bool {
    let root = name.split_once("/@/").map(|(root, _)| root);
    root.is_some_and(|root| root.ends_with(".rs") && !root.ends_with("lib.rs"))
}

/// Whether a folder may be that of what somebody works on.
fn is_near(folder: &str) -> bool {
    let far = ["/registry/src/", "/git/checkouts/"];
    folder.starts_with('/')
        && !folder.starts_with("/rustc/")
        && !far.iter().any(|far| folder.contains(far))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_told_from_its_libraries() {
        for (name, folder, wanted) in [
            ("src/main.rs/@/app.3a2b-cgu.0", "/home/me/app", true),
            ("examples/a.rs/@/a.3a2b-cgu.0", "/home/me/app", true),
            ("src/lib.rs/@/app.3a2b-cgu.0", "/home/me/app", false),
            (
                "src/x.rs/@/x.3a2b-cgu.0",
                "/home/me/.cargo/registry/src/i/x-1.0.0",
                false,
            ),
            ("library/std/src/lib.rs/@/std.1-cgu.0", "/rustc/1", false),
            ("src/main.rs/@/app.3a2b-cgu.0", ".", false),
            ("main.c", "/home/me/app", false),
        ] {
            assert_eq!(
                is_program(name) && is_near(folder),
                wanted,
                "{name} in {folder}"
            );
        }
    }
}
