//! How a process lets itself be asked from outside: where its sockets are, and what is said over them.
//!
//! # Where
//!
//! A runtime that is asked to listens on a Unix stream socket named `PID-THREAD-NUMBER`, in a [`Directory`] that
//! belongs to its user and is closed to all others: `$XDG_RUNTIME_DIR/camshaft`, or `/tmp/camshaft-UID` where there is
//! no such variable. Several runtimes of a process differ by their numbers. The socket is removed when the runtime
//! ends; one that was left behind by a process that was killed is removed by whoever opens the directory next.
//!
//! # What is said
//!
//! The client sends one line, the server answers with one JSON object and a line feed, and closes the connection.
//!
//! | line | answer |
//! |---|---|
//! | `camshaft/1 look` | everything, as below |
//! | `camshaft/1 folded` | the same without `dump`, so that its length depends little on the number of tasks |
//! | anything else | `{"protocol":1,"error":"…"}` |
//!
//! | key | value |
//! |---|---|
//! | `protocol` | 1. Keys may be added under the same number |
//! | `pid`, `thread` | the process and the thread of the runtime |
//! | `name` | the name of the runtime, or null |
//! | `backend` | what does its I/O |
//! | `uptime_ns` | how long ago it was built |
//! | `age_ns` | how old the answer is: when many ask, some get the same |
//! | `metrics` | its counters; times end in `_ns` |
//! | `missing` | what the program's files do not tell, as texts |
//! | `groups` | tasks that are alike, and what they have in common |
//! | `groups_left_out` | how many more groups there are |
//! | `dwell` | null if nothing is recorded; else the states of each type, and how long tasks stay there |
//! | `sizes` | for each type of task `type`, `size` in bytes, and how many `tasks` there are |
//! | `dump` | all tasks, as [`Dump::to_json`](crate::Dump::to_json) |
//!
//! A group has `heading` and `tree` (texts, as in [`Dump`](crate::Dump)), `count`, `activity`, `name`, and the first of its tasks in
//! `tasks`, each with `id`, `since_ns`, `wakes`, `polls` (null where that is not known). An element of `dwell` has `type`, `state`,
//! `line`, `count`, `total_ns`, `p50_ns`, `p99_ns`, `max_ns`, `waiting` and more of that kind. What is in a dump, down to its leaves,
//! is described in `docs/json.md` of the repository, with the JSON of the commands.
//!
//! A runtime answers when its server has a turn: not while a task computes or blocks the thread, and not outside of
//! `block_on`.

#[allow(unsafe_code, reason = "asks for numbers of the process")]
mod directory;

pub use self::directory::{Bound, Directory, Listed, listener, thread, user};

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The number of what is said over a socket.
pub const PROTOCOL: u64 = 1;

/// The longest line that a server reads.
pub const LONGEST_LINE: usize = 64;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question {
    /// Everything.
    Look,
    /// The same without the tree of each single task.
    Folded,
}

impl Question {
    /// The line that asks, with its line feed.
    #[must_use]
    pub fn line(self) -> &'static str {
        match self {
            Self::Look => "camshaft/1 look\n",
            Self::Folded => "camshaft/1 folded\n",
        }
    }

    /// What a line, with its line feed, asks for.
    #[must_use]
    pub fn of_line(line: &[u8]) -> Option<Self> {
        [Self::Look, Self::Folded]
            .into_iter()
            .find(|question| question.line().as_bytes() == line)
    }
}

/// The directory in which a runtime of this process makes its sockets.
///
/// `$XDG_RUNTIME_DIR` counts if it is an absolute path to a directory of this user: it may have been inherited from another.
///
/// # Errors
///
/// If it can't be made, is a symbolic link, is not this user's, or is open to others.
pub fn own_directory() -> io::Result<Directory> {
    let user = user();
    let theirs = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    Directory::make(&beside(Path::new("/"), theirs.as_deref(), user), user)
}

/// The directories in which the sockets of a process may be, or of this user's processes if none is told: those that
/// exist, are the user's and closed to others. A process that sees other files than this one is looked for among those.
#[must_use]
pub fn directories(process: Option<u32>) -> Vec<Directory> {
    let user = match process {
        None => user(),
        Some(process) => match fs::metadata(format!("/proc/{process}")) {
            Ok(metadata) => metadata.uid(),
            Err(_) => return Vec::new(),
        },
    };
    let here = Path::new("/");
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let theirs = process.and_then(runtime_dir_of);
    let usual = PathBuf::from(format!("/run/user/{user}"));
    let mut paths = vec![beside(here, own.as_deref(), user)];
    let there = process.map(|process| PathBuf::from(format!("/proc/{process}/root")));
    for root in [Some(here), there.as_deref()].into_iter().flatten() {
        let sessions = [theirs.as_deref(), Some(&usual), None];
        paths.extend(sessions.map(|session| beside(root, session, user)));
    }
    let mut found: Vec<Directory> = Vec::new();
    for path in paths {
        let opened = Directory::open(&path, user).ok();
        // Most processes see the same files, and variables name the same place.
        found.extend(opened.filter(|one| !found.iter().any(|other| other.is(one))));
    }
    found
}

/// What a process is called in the names of its sockets: its number where it lives, in a container another than here.
#[must_use]
pub fn own_number(process: u32) -> u32 {
    last_number(&format!("/proc/{process}")).unwrap_or(process)
}

/// The thread of a process that has a number where it lives, as in the names of its sockets, by the number that it has here.
#[must_use]
pub fn thread_of(process: u32, own: u32) -> Option<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let mut numbers = threads
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.find(|thread| last_number(&format!("/proc/{process}/task/{thread}")) == Some(own))
}

/// The innermost of the numbers that a process or thread has.
fn last_number(of: &str) -> Option<u32> {
    let status = fs::read_to_string(format!("{of}/status")).ok()?;
    let numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}

/// The directory of the sockets, given that of the user's session as it is called below a root.
fn beside(root: &Path, session: Option<&Path>, user: u32) -> PathBuf {
    let below = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let is_theirs =
        |dir: &PathBuf| fs::metadata(dir).is_ok_and(|found| found.is_dir() && found.uid() == user);
    let session = session.filter(|dir| dir.is_absolute()).map(below);
    match session.filter(is_theirs) {
        Some(dir) => dir.join("camshaft"),
        None => below(Path::new(&format!("/tmp/camshaft-{user}"))),
    }
}

/// `$XDG_RUNTIME_DIR` of another process, as it was started.
fn runtime_dir_of(process: u32) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let environment = fs::read(format!("/proc/{process}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(b"XDG_RUNTIME_DIR="))?;
    Some(PathBuf::from(std::ffi::OsString::from_vec(value.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_it_says_and_nothing_else() {
        for question in [Question::Look, Question::Folded] {
            let line = question.line().as_bytes();
            assert!(line.len() <= LONGEST_LINE);
            assert_eq!(Question::of_line(line), Some(question));
            assert_eq!(Question::of_line(&line[..line.len() - 1]), None);
        }
        assert_eq!(Question::of_line(b"camshaft/2 look\n"), None);
    }

    #[test]
    fn the_directory_of_a_session_must_be_the_users() {
        let user = user();
        let root = Path::new("/");
        let fallback = PathBuf::from(format!("/tmp/camshaft-{user}"));
        let mine = std::env::temp_dir().join(format!("camshaft-session-{}", std::process::id()));
        fs::create_dir(&mine).expect("a directory can be made");
        assert_eq!(beside(root, Some(&mine), user), mine.join("camshaft"));
        assert_eq!(
            beside(root, Some(&mine), user + 1),
            PathBuf::from(format!("/tmp/camshaft-{}", user + 1))
        );
        let here = Path::new("/proc/self/root");
        let theirs = here.join(mine.strip_prefix("/").expect("it is absolute"));
        assert_eq!(beside(here, Some(&mine), user), theirs.join("camshaft"));
        assert_eq!(
            beside(here, None, user),
            here.join(fallback.strip_prefix("/").expect("it is absolute"))
        );
        fs::remove_dir(&mine).expect("it is empty");
        assert_eq!(beside(root, Some(&mine), user), fallback);
        assert_eq!(beside(root, Some(Path::new("relative")), user), fallback);
        assert_eq!(beside(root, None, user), fallback);
    }

    #[test]
    fn numbers_are_told_from_within() {
        let pid = std::process::id();
        assert_eq!(own_number(pid), pid);
        assert_eq!(thread_of(pid, thread()), Some(thread()));
        assert_eq!(thread_of(pid, u32::MAX), None);
        assert_eq!(own_number(u32::MAX), u32::MAX);
    }

    #[test]
    fn a_directory_is_found_once() {
        let mut found: Vec<_> = directories(Some(std::process::id()))
            .into_iter()
            .map(|one| fs::canonicalize(one.path()).expect("it is there"))
            .collect();
        let count = found.len();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), count);
    }
}
