//! What is said through the socket; [`camshaft_inspect::attach`] describes it.

use std::io;

use camshaft_inspect::attach::{LONGEST_LINE, PROTOCOL, Question};
use camshaft_io::net::UnixStream;

use super::desk::{Answer, Desk};

/// Reads a line and answers it. Others than our user and root are told nothing.
pub(super) async fn answer(stream: &UnixStream, user: u32, desk: &Desk) -> io::Result<()> {
    if !super::may_ask(stream.peer_cred()?.uid(), user) {
        return Ok(());
    }
    let line = line(stream).await?;
    let answer = match Question::of_line(&line) {
        Some(question) => desk.answer(question),
        None => Answer::new(format!(
            "{{\"protocol\":{PROTOCOL},\"error\":\"the question is not known\"}}"
        )),
    };
    super::write(stream, &answer).await?;
    stream.write_all(&b"\n"[..]).await.0
}

/// Reads until a line feed, but no more than a question can have.
async fn line(stream: &UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(LONGEST_LINE);
    while line.len() < LONGEST_LINE && !line.contains(&b'\n') {
        let (result, buf) = stream.read(line).await;
        line = buf;
        if result? == 0 {
            break;
        }
    }
    Ok(line)
}
