//! One question, and its answer in time.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use camshaft_inspect::attach::{PROTOCOL, Question, listener, thread_of};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Door, acts, not_askable, threads};

/// No answer is longer.
const LONGEST: usize = 1 << 30;

/// Asks for everything but the trees of single tasks.
pub(crate) fn folded(door: &Door, patience: Duration) -> Result<Value> {
    let text = ask(door, Question::Folded, patience)?;
    serde_json::from_str(&text).with_context(|| no_json(door))
}

/// Asks for everything: JSON that does nothing to a terminal.
pub(crate) fn whole(door: &Door, patience: Duration) -> Result<String> {
    let text = ask(door, Question::Look, patience)?;
    let json: &RawValue = serde_json::from_str(&text).with_context(|| no_json(door))?;
    let mut safe = String::with_capacity(json.get().len());
    for letter in json.get().chars() {
        match letter {
            // Such as these are only between values, and what is none of these is only in texts.
            '\n' => safe.push(letter),
            '\r' | '\t' => safe.push(' '),
            letter if acts(letter) => {
                let _ = write!(safe, "\\u{:04x}", u32::from(letter));
            }
            letter => safe.push(letter),
        }
    }
    Ok(safe)
}

fn no_json(door: &Door) -> String {
    format!("process {} has not answered with JSON", door.pid)
}

/// Asks; the answer is a text, and no error.
fn ask(door: &Door, question: Question, patience: Duration) -> Result<String> {
    let until = Instant::now() + patience;
    let pid = door.pid;
    let answer = match exchange(door, question, until) {
        Ok(answer) => answer,
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(silent(door, patience)),
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
                bail!(
                    "the runtime of process {pid} has ended, or of one that had this number before"
                )
            }
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                bail!("process {pid} has hung up: it may be ending")
            }
            // It has the number of this process where it lives.
            ErrorKind::AddrNotAvailable => return Err(not_askable(pid)),
            _ => return Err(error).with_context(|| format!("process {pid} could not be asked")),
        },
    };
    let text = String::from_utf8(answer)
        .map_err(|_| anyhow!("process {pid} has not answered with text"))?;
    let failure = format!("\"protocol\":{PROTOCOL},\"error\":");
    if text.starts_with("{\"age_ns\":") && text.find(&failure).is_some_and(|at| at < 40) {
        bail!("process {pid} could not look at its tasks; it has said why on its standard error");
    }
    let refusal = format!("{{\"protocol\":{PROTOCOL},\"error\":");
    if text.is_empty() {
        bail!("process {pid} has hung up: it is ending, or too many ask it at once");
    }
    if text.starts_with(&refusal) || !text.contains(&format!("\"protocol\":{PROTOCOL},")) {
        bail!(
            "process {pid} has another version of camshaft, which this command can't ask; take one of the same version"
        );
    }
    Ok(text)
}

fn exchange(door: &Door, question: Question, until: Instant) -> std::io::Result<Vec<u8>> {
    let socket = connected(door, until)?;
    if numbers_agree() && listener(socket.as_fd())? != door.pid {
        return Err(ErrorKind::AddrNotAvailable.into());
    }
    let mut stream = UnixStream::from(socket);
    stream.write_all(question.line().as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while answer.len() < LONGEST {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(more) => answer.extend_from_slice(&piece[..more]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

fn connected(door: &Door, until: Instant) -> std::io::Result<OwnedFd> {
    // Not by the standard library: it waits for ever if too many are waiting to be let in.
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new(&door.listed.path)?;
    loop {
        set_socket_timeout(&socket, Timeout::Send, Some(left(until)?))?;
        match connect(&socket, &address) {
            Err(Errno::INTR) => {}
            connected => return connected.map(|()| socket).map_err(Into::into),
        }
    }
}

/// Whether the kernel says the same numbers of processes as `/proc`. Where that was left from outside of a container, it does not.
fn numbers_agree() -> bool {
    let this = std::fs::read_link("/proc/self");
    this.is_ok_and(|this| this.to_str() == Some(&*std::process::id().to_string()))
}

/// Who listens at a socket.
pub(super) enum Listener {
    /// A process, by its number here.
    Process(u32),
    /// Somebody who lets nobody in at the moment, or of whom the kernel tells no number that means anything here.
    Somebody,
}

/// Who listens at a socket, whose name has the number that the process has where it lives. None if nobody does who is seen from
/// here. It waits for nothing.
pub(super) fn behind(path: &Path) -> Option<Listener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
    match connect(&socket, &SocketAddrUnix::new(path).ok()?) {
        Ok(()) if !numbers_agree() => Some(Listener::Somebody),
        Ok(()) => {
            let pid = listener(socket.as_fd()).ok().filter(|pid| *pid != 0);
            pid.map(Listener::Process)
        }
        Err(Errno::AGAIN) => Some(Listener::Somebody),
        Err(_) => None,
    }
}

/// How much time there still is.
fn left(until: Instant) -> std::io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

/// It listens and says nothing.
fn silent(door: &Door, patience: Duration) -> anyhow::Error {
    let pid = door.pid;
    let thread = thread_of(pid, door.listed.thread).unwrap_or(door.listed.thread);
    let whereabouts = threads::whereabouts(pid, thread);
    anyhow!(
        "a runtime of process {pid} does not answer within {patience:.0?}: its thread {thread} is computing or blocked, or \
         is not in `block_on` (`Builder::watchdog` prints where a poll that is long stands){whereabouts}"
    )
}
