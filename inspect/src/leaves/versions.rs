//! Which versions of other crates are known inside.
//!
//! Fields are private, and another version may have one of the same name that means something else. So what a field says is told
//! only of versions that this was tested with. The version stands in the path of the source, `tokio-1.54.1/src/sync/mutex.rs`.
//! Where it does not, as in a directory of one's own, it is not known, and only names are told.

use std::sync::Arc;

use crate::containers::Note;
use crate::image::Image;
use crate::quick::Set;
use crate::walk::Walker;

/// Three numbers.
type Version = [u64; 3];

/// The name of a crate, and its version.
pub(crate) type Package = (Arc<str>, Version);

/// The crates, with the first version that is known and the first that is not.
const TESTED: &[(&str, Version, Version)] = &[
    ("async_channel", [2, 5, 0], [2, 6, 0]),
    ("async_lock", [3, 5, 0], [3, 6, 0]),
    ("flume", [0, 11, 1], [0, 11, 2]),
    ("futures_channel", [0, 3, 34], [0, 3, 35]),
    ("futures_util", [0, 3, 34], [0, 3, 35]),
    ("tokio", [1, 54, 0], [1, 55, 0]),
];

impl Walker<'_> {
    /// Whether the crate of a path, `tokio::sync::mutex`, is of a version that is known, as far as a type of it tells.
    pub(super) fn is_tested(&mut self, path: &str, note: &Note) -> bool {
        let name = path.split("::").next().unwrap_or_default();
        let mut sites = note.sites();
        if let Some(version) = sites.find_map(|site| version_of(&site.file, name)) {
            return is_tested(name, version);
        }
        // It is polled by a closure or a macro, or wherever it was inlined. Then all versions in the program have to be known.
        let packages = self.catalog.packages().iter();
        let mut versions = packages
            .filter(|(package, _)| **package == *name)
            .peekable();
        versions.peek().is_some() && versions.all(|(_, version)| is_tested(name, *version))
    }
}

fn is_tested(name: &str, version: Version) -> bool {
    let mut tested = TESTED.iter().filter(|(tested, ..)| *tested == name);
    tested.any(|(_, from, to)| (*from..*to).contains(&version))
}

/// The packages whose sources the lines of a program are in.
pub(crate) fn packages(image: &Image) -> Vec<Package> {
    let mut folders = Set::default();
    for number in 0..u32::try_from(image.units.len()).unwrap_or(u32::MAX) {
        let Ok((dwarf, unit)) = image.unit(number) else {
            continue; // counted as damage when the index was made
        };
        if let Some(program) = &unit.line_program {
            let named = program.header().include_directories().iter();
            let named = named.filter_map(|folder| dwarf.attr_string(&unit, *folder).ok());
            folders.extend(named.map(|folder| folder.slice()));
        }
    }
    let folders = folders.into_iter().map(String::from_utf8_lossy);
    let mut found: Vec<_> = folders.filter_map(|folder| package(&folder)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The version of a crate, if a path leads into its package.
fn version_of(path: &str, name: &str) -> Option<Version> {
    let (package, version) = package(path)?;
    (*package == *name).then_some(version)
}

/// The package that a source is in: the name of its crate, and the version.
fn package(path: &str) -> Option<Package> {
    path.split('/').rev().find_map(|folder| {
        let starts = folder.match_indices('-').map(|(at, _)| at);
        let mut packages = starts.filter_map(|at| Some((at, version(&folder[at + 1..])?)));
        let (at, version) = packages.next()?;
        Some((folder[..at].replace('-', "_").into(), version))
    })
}

/// The numbers of `1.54.1`, of `1.54.1-rc.1` and of `1.54.1+more`.
fn version(text: &str) -> Option<Version> {
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let mut numbers = text[..end].split('.').map(str::parse);
    let version = [
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
        numbers.next()?.ok()?,
    ];
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_stand_in_paths() {
        for (path, expected) in [
            (
                "/cargo/registry/src/index-1949cf8c6b5b557f/tokio-1.54.1/src/sync/mutex.rs",
                Some(("tokio", [1, 54, 1])),
            ),
            (
                "vendor/futures-channel-0.3.34/src/mpsc/mod.rs",
                Some(("futures_channel", [0, 3, 34])),
            ),
            ("a/b-2-1.0.0-rc.1/src/lib.rs", Some(("b_2", [1, 0, 0]))),
            (
                "/git/checkouts/tokio-377c5951/e1b2c3d/tokio/src/lib.rs",
                None,
            ),
            ("vendor/tokio/src/lib.rs", None),
            ("a-1.2/b-1.2.3.4/c-1.x.3/lib.rs", None),
        ] {
            let found = package(path);
            let found = found.as_ref().map(|(name, version)| (&**name, *version));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn other_versions_are_not_known_inside() {
        let of = |file: &str, name| {
            version_of(file, name).is_some_and(|version| is_tested(name, version))
        };
        assert!(of("/tokio-1.54.1/src/sync/notify.rs", "tokio"));
        assert!(!of("/tokio-1.55.0/src/sync/notify.rs", "tokio"));
        assert!(!of("/tokio-2.0.0/src/sync/notify.rs", "tokio"));
        assert!(!of("/flume-0.12.0/src/async.rs", "flume"));
        assert!(!of("/tokio-1.54.1/src/sync/notify.rs", "flume"));
        assert!(!of("/somebody-1.54.1/src/lib.rs", "somebody"));
    }
}
