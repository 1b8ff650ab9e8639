//! The echo as a state machine that is written by hand, on our runtime; [`servers`](super::servers) have it as an async
//! function, too.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use camshaft::compat::{PollRead, PollWrite, PolledRead, PolledWrite};
use camshaft::net::TcpStream;
use pin_project_lite::pin_project;

use super::servers::Job;

enum State {
    Receiving,
    Beginning,
    Sending,
}

pin_project! {
    /// One connection.
    pub(super) struct Machine {
        state: State,
        buffer: Vec<u8>,
        reader: PolledRead,
        writer: PolledWrite,
        job: Job,
        // It closes the connection, after all that uses it.
        stream: TcpStream,
    }
}

impl Machine {
    pub(super) fn new(stream: TcpStream, job: Job) -> Self {
        Self {
            state: State::Receiving,
            buffer: Vec::new(),
            reader: stream.polled_read(),
            writer: stream.polled_write(),
            job,
            stream,
        }
    }
}

impl Future for Machine {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        loop {
            *this.state = match this.state {
                State::Receiving => {
                    let lent = ready!(this.reader.poll_recv(cx))?;
                    if lent.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    this.job.work.run();
                    this.buffer.extend_from_slice(&lent);
                    State::Beginning
                }
                State::Beginning => {
                    ready!(this.writer.poll_begin(this.buffer, cx));
                    State::Sending
                }
                State::Sending => {
                    let (result, written) = ready!(this.writer.poll_end(cx));
                    result?;
                    *this.buffer = written;
                    this.buffer.clear();
                    State::Receiving
                }
            };
        }
    }
}
