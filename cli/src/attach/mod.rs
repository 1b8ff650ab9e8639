//! Asking runtimes of other processes, through their sockets.

mod ask;
mod threads;

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result, anyhow, bail};
use camshaft_inspect::attach::{
    Directory, Listed, directories, directories_of, own_number, user, users_of,
};

use self::ask::Listener;
pub(crate) use self::ask::{folded, whole};

/// What a program says to be asked.
const HOW: &str =
    "a runtime that is built with `Builder::attach(true)`, of camshaft's feature `inspect`";

/// A runtime that can be asked.
pub(crate) struct Door {
    /// The process, by its number here.
    pub(crate) pid: u32,
    pub(crate) listed: Listed,
    /// The path of the socket leads through it.
    _directory: Directory,
}

/// A process that can be asked.
pub(crate) struct Askable {
    pub(crate) pid: u32,
    pub(crate) runtimes: usize,
    pub(crate) command: String,
}

/// The runtimes of a process that can be asked.
pub(crate) fn doors(pid: u32) -> Result<Vec<Door>> {
    let owners = users_of(pid);
    let Some(owner) = owners.first() else {
        bail!("there is no process {pid}; `camshaft dump` lists those that can be asked");
    };
    if !owners.contains(&user()) && user() != 0 {
        bail!("process {pid} belongs to user {owner}: only that user and root can ask it");
    }
    let own = own_number(pid);
    let sockets = directories_of(pid).into_iter().flat_map(sockets);
    let sockets: Vec<_> = sockets.filter(|(_, socket)| socket.pid == own).collect();
    // Another process may have that number elsewhere. Of a single one that is found out when it is asked.
    let is_sure = own == pid && sockets.len() == 1;
    let is_meant = |socket: &Listed| match ask::behind(&socket.path) {
        Some(Listener::Process(listens)) => listens == pid,
        Some(Listener::Somebody) => true,
        None => false,
    };
    let doors = sockets
        .into_iter()
        .filter(|(_, socket)| is_sure || is_meant(socket))
        .map(|(directory, listed)| Door {
            pid,
            listed,
            _directory: directory,
        });
    let doors: Vec<_> = doors.collect();
    if doors.is_empty() {
        return Err(not_askable(pid));
    }
    Ok(doors)
}

fn not_askable(pid: u32) -> Error {
    let command = command(pid);
    anyhow!("process {pid} ({command}) does not let itself be asked: it needs {HOW}")
}

/// Whether there is such a process.
pub(crate) fn is_there(pid: u32) -> bool {
    proc(pid).exists()
}

/// The processes that can be asked: of this user, and for root those of others whose sockets are in their usual places.
pub(crate) fn askable() -> Result<Vec<Askable>> {
    let mut found: Vec<Askable> = Vec::new();
    for (_directory, socket) in directories().flat_map(sockets) {
        let pid = match ask::behind(&socket.path) {
            Some(Listener::Process(pid)) => pid,
            // As its name says, if there is no doubt.
            Some(Listener::Somebody) if own_number(socket.pid) == socket.pid => socket.pid,
            _ => continue,
        };
        // Nobody can speak for another user's process.
        let owner = fs::metadata(&socket.path).map(|found| found.uid());
        if !owner.is_ok_and(|owner| users_of(pid).contains(&owner)) {
            continue;
        }
        match found.iter_mut().find(|one| one.pid == pid) {
            Some(one) => one.runtimes += 1,
            None => found.push(Askable {
                pid,
                runtimes: 1,
                command: command(pid),
            }),
        }
    }
    if found.is_empty() {
        let whose = if user() == 0 { "" } else { " of this user" };
        bail!("no process{whose} can be asked: it needs {HOW}");
    }
    found.sort_unstable_by_key(|one| one.pid);
    Ok(found)
}

/// The sockets of a directory, each with what its path leads through.
fn sockets(directory: Directory) -> impl Iterator<Item = (Directory, Listed)> {
    let sockets = directory.sockets().into_iter();
    sockets.map(move |listed| (directory.clone(), listed))
}

fn proc(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// The words that a process was started with.
fn command(pid: u32) -> String {
    /// A process may say that it was started with as many as it likes.
    const MOST: u64 = 4096;
    let mut words = Vec::new();
    if let Ok(file) = File::open(proc(pid).join("cmdline")) {
        // What was read before an error is shown.
        let _ = file.take(MOST).read_to_end(&mut words);
    }
    let words: Vec<_> = words
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    clean(words.join(" ").trim_end())
}

/// Text of another process, which must do nothing to the terminal.
pub(crate) fn clean(text: &str) -> String {
    let one = |letter| match letter {
        letter if letter != '\n' && acts(letter) => '\u{fffd}',
        letter => letter,
    };
    text.chars().map(one).collect()
}

/// Whether a terminal would do something else than to show it.
fn acts(letter: char) -> bool {
    // The second kind would turn the order of what follows.
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn text_of_others_is_only_text() {
        assert_eq!(
            clean("a\x1b[2Jb\r\n\t\u{9b}ü\u{202e}\u{200f}"),
            "a\u{fffd}[2Jb\u{fffd}\n\u{fffd}\u{fffd}ü\u{fffd}\u{fffd}"
        );
    }
}
