//! Asking runtimes of other processes, through their sockets.

mod ask;
mod threads;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use camshaft_inspect::attach::{Directory, Listed, directories, own_number, user};

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
    let Ok(process) = fs::metadata(proc(pid)) else {
        bail!("there is no process {pid}; `camshaft dump` lists those that can be asked");
    };
    if process.uid() != user() && user() != 0 {
        let owner = process.uid();
        bail!("process {pid} belongs to user {owner}: only that user and root can ask it");
    }
    let own = own_number(pid);
    let is_meant = |door: &Door| {
        // Another may have that number here.
        door.listed.pid == own && (own == pid || ask::listens(door))
    };
    let doors: Vec<_> = all(Some(pid)).filter(is_meant).collect();
    if doors.is_empty() {
        let command = command(pid);
        bail!("process {pid} ({command}) does not let itself be asked: it needs {HOW}");
    }
    Ok(doors)
}

/// Whether there is such a process.
pub(crate) fn is_there(pid: u32) -> bool {
    proc(pid).exists()
}

/// The processes of this user that can be asked.
pub(crate) fn askable() -> Result<Vec<Askable>> {
    let mut found: Vec<Askable> = Vec::new();
    for door in all(None) {
        let pid = door.pid;
        match found.iter_mut().find(|one| one.pid == pid) {
            Some(one) => one.runtimes += 1,
            None if proc(pid).exists() => found.push(Askable {
                pid,
                runtimes: 1,
                command: command(pid),
            }),
            None => {}
        }
    }
    if found.is_empty() {
        bail!("no process of this user can be asked: it needs {HOW}");
    }
    Ok(found)
}

fn all(pid: Option<u32>) -> impl Iterator<Item = Door> {
    directories(pid).into_iter().flat_map(move |directory| {
        let sockets = directory.sockets().into_iter();
        sockets.map(move |listed| Door {
            pid: pid.unwrap_or(listed.pid),
            listed,
            _directory: directory.clone(),
        })
    })
}

fn proc(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// The words that a process was started with.
fn command(pid: u32) -> String {
    let words = fs::read(proc(pid).join("cmdline")).unwrap_or_default();
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
