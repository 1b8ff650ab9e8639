//! One question, and its answer in time.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use camshaft_inspect::attach::{PROTOCOL, Question};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde_json::Value;

use super::{Door, threads};

/// No answer is longer.
const LONGEST: usize = 1 << 30;

/// Asks for everything but the trees of single tasks.
pub(crate) fn folded(door: &Door, patience: Duration) -> Result<Value> {
    let text = ask(door, Question::Folded, patience)?;
    serde_json::from_str(&text)
        .with_context(|| format!("process {} has not answered with JSON", door.listed.pid))
}

/// Asks; the answer is JSON, and no error.
pub(crate) fn ask(door: &Door, question: Question, patience: Duration) -> Result<String> {
    let until = Instant::now() + patience;
    let pid = door.listed.pid;
    let answer = match exchange(door, question, until) {
        Ok(answer) => answer,
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => return Err(silent(door, patience)),
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
                bail!("the runtime of process {pid} has ended")
            }
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                bail!("process {pid} has hung up: it may be ending")
            }
            _ => return Err(error).with_context(|| format!("process {pid} could not be asked")),
        },
    };
    let text = String::from_utf8(answer)
        .map_err(|_| anyhow!("process {pid} has not answered with text"))?;
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
    // Not by the standard library: it waits for ever if too many are waiting to be let in.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(&door.listed.path)?)?;
    let mut stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.write_all(question.line().as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 << 10];
    while answer.len() < LONGEST {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(more) => answer.extend_from_slice(&piece[..more]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// It listens and says nothing.
fn silent(door: &Door, patience: Duration) -> anyhow::Error {
    let (pid, thread) = (door.listed.pid, door.listed.thread);
    let whereabouts = threads::whereabouts(pid, thread);
    anyhow!(
        "a runtime of process {pid} does not answer within {patience:.0?}: its thread {thread} is computing or blocked, or \
         is not in `block_on` (`Builder::watchdog` prints where a poll that is long stands){whereabouts}"
    )
}
