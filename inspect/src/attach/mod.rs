//! How a process lets itself be asked from outside: where its sockets are, and what is said over them.
//!
//! # Where
//!
//! A runtime that is asked to listens on a Unix stream socket named `PID-THREAD-NUMBER`, in a [`Directory`] that
//! belongs to its user and is closed to all others: `$XDG_RUNTIME_DIR/camshaft`, or `/tmp/camshaft-UID` where that variable
//! names no directory of this user by an absolute path. Several runtimes of a process differ by their numbers. The socket is
//! removed when the runtime ends; one that was left behind by a process that was killed is removed when a runtime next makes its
//! own there. A process is known by its own number, which in a container is another than outside, where that may be someone else's: it is
//! the kernel that says [who listens](listener).
//!
//! # What is said
//!
//! The client sends one line, the server answers with one JSON object and a line feed, and closes the connection.
//!
//! | line | answer |
//! |---|---|
//! | `camshaft/1 look` | everything |
//! | `camshaft/1 folded` | the same without `dump`, so that its length depends little on the number of tasks |
//! | anything else | `{"protocol":1,"error":"…"}` |
//!
//! What is in the answer is described in `docs/json.md` of the repository, with the JSON of the commands.
//!
//! A runtime answers when its server has a turn: not while a task computes or blocks the thread, and not outside of
//! `block_on`.

#[allow(unsafe_code, reason = "asks for numbers of the process")]
mod directory;

pub use self::directory::{Bound, Directory, Listed, listener, thread, user};

use std::collections::HashSet;
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

/// The directories in which the sockets of a process may be: those that exist, are of its user and closed to others. If it sees
/// other files than this process, it is looked for among those.
#[must_use]
pub fn directories_of(process: u32) -> Vec<Directory> {
    let mut known = HashSet::new();
    let found = users_of(process)
        .into_iter()
        .flat_map(|user| everywhere(process, user));
    found.filter(|one| one.is_new(&mut known)).collect()
}

/// The directories in which sockets may be of the processes of this user, one after the other: those that exist and are closed to
/// others. For root, also those of other users in their usual places.
///
/// Where the variables of a process lead is followed if it is the user's own from the beginning, and not such as `sudo`, whom
/// another has told them. Each directory holds a descriptor as long as it lives.
pub fn directories() -> impl Iterator<Item = Directory> {
    let user = user();
    let mut known = HashSet::new();
    let mut users = HashSet::new();
    let own = std::process::id();
    let processes = std::iter::once(own).chain(processes().filter(move |process| *process != own));
    let found = processes.flat_map(move |process| {
        if uids(process).is_some_and(|uids| uids.iter().all(|uid| *uid == user)) {
            return everywhere(process, user);
        }
        let others = users_of(process).into_iter();
        let others = others.filter(|other| (*other == user || user == 0) && users.insert(*other));
        let found = others.flat_map(|other| {
            let sessions = [Some(usual(other)), None].into_iter();
            let paths = sessions.map(|session| beside(Path::new("/"), session.as_deref(), other));
            opened(paths, other)
        });
        found.collect()
    });
    found.filter(move |one| one.is_new(&mut known))
}

/// The directories in which a process may have its sockets, by all their names.
fn everywhere(process: u32, user: u32) -> Vec<Directory> {
    let here = Path::new("/");
    let there = PathBuf::from(format!("/proc/{process}/root"));
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let (theirs, usual) = (runtime_dir_of(process), usual(user));
    let mut paths = vec![beside(here, own.as_deref(), user)];
    for root in [here, &there] {
        let sessions = [theirs.as_deref(), Some(&usual), None];
        paths.extend(sessions.map(|session| beside(root, session, user)));
    }
    opened(paths.into_iter(), user)
}

fn opened(paths: impl Iterator<Item = PathBuf>, user: u32) -> Vec<Directory> {
    paths
        .filter_map(|path| Directory::open(&path, user).ok())
        .collect()
}

/// The directory of a user's session, where nothing else is said.
fn usual(user: u32) -> PathBuf {
    PathBuf::from(format!("/run/user/{user}"))
}

/// The numbers of the processes that are seen from here.
fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The users whose a process is, if there is such a process: that by which it acts, and that to whom its files in `/proc` belong,
/// which is root if it may not be dumped, such as a server that has given up being root.
#[must_use]
pub fn users_of(process: u32) -> Vec<u32> {
    let acts = uids(process).and_then(|uids| uids.get(1).copied());
    let owns = fs::metadata(format!("/proc/{process}")).map(|found| found.uid());
    let mut users: Vec<_> = acts.into_iter().chain(owns).collect();
    users.dedup();
    users
}

/// The users of a process: the real one, that by which it acts, the saved one, and that of its files.
fn uids(process: u32) -> Option<Vec<u32>> {
    let line = status(&format!("/proc/{process}"), "Uid:")?;
    line.split_whitespace()
        .map(|uid| uid.parse().ok())
        .collect()
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
    let numbers = status(of, "NSpid:")?;
    numbers.split_whitespace().last()?.parse().ok()
}

/// What is said behind a word of the status of a process or thread.
fn status(of: &str, word: &str) -> Option<String> {
    // The name that is in there too may be anything.
    let status = fs::read(format!("{of}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let line = status.lines().find_map(|line| line.strip_prefix(word))?;
    Some(line.to_owned())
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
    /// A process may say that its environment is as large as it likes.
    const MOST: u64 = 1 << 20;
    use std::io::Read as _;
    use std::os::unix::ffi::OsStringExt as _;
    let file = fs::File::open(format!("/proc/{process}/environ")).ok()?;
    let mut environment = Vec::new();
    file.take(MOST).read_to_end(&mut environment).ok()?;
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
        let mut found: Vec<_> = directories_of(std::process::id())
            .into_iter()
            .map(|one| fs::canonicalize(one.path()).expect("it is there"))
            .collect();
        let count = found.len();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), count);
    }
}
