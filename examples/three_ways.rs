//! One protocol, written three ways: as an `async fn`, as a state machine by hand, and as a fiber.
//!
//! Run it with `cargo run --release --features stackful --example three_ways`. A client sends names, one a line; the
//! server looks each up (which here takes 5 ms) and greets. All three servers say the same, and what they need while they
//! wait differs:
//!
//! ```text
//! async fn        hello, ada! hello, grace!     176 bytes of future
//! by hand         hello, ada! hello, grace!     312 bytes of future
//! fiber           hello, ada! hello, grace!      48 bytes of future
//!                                              4096 bytes of stack, too
//! ```

use std::error::Error;
use std::future::Future;
use std::io::{self, BufRead, BufReader, Write};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use camshaft::compat::{PollRead, PollWrite, PolledRead, PolledWrite};
use camshaft::fiber::{self, Fiber, StdIo};
use camshaft::net::{TcpListener, TcpStream};
use camshaft::time::{Duration, Sleep, sleep};
use pin_project_lite::pin_project;

const LOOK_UP: Duration = Duration::from_millis(5);

/// Takes the first line, without its end.
fn take_line(heard: &mut Vec<u8>) -> Option<String> {
    let end = heard.iter().position(|byte| *byte == b'\n')?;
    let line: Vec<u8> = heard.drain(..=end).collect();
    Some(String::from_utf8_lossy(&line[..end]).into_owned())
}

/// The first way: the compiler makes the state machine.
async fn serve_async(stream: TcpStream) -> io::Result<()> {
    let mut heard = Vec::new();
    loop {
        while let Some(name) = take_line(&mut heard) {
            sleep(LOOK_UP).await;
            stream.write_all(format!("hello, {name}!\n")).await.0?;
        }
        let received = stream.recv().await?;
        if received.is_empty() {
            return Ok(());
        }
        heard.extend_from_slice(&received);
    }
}

pin_project! {
    /// The second way: we do.
    struct ByHand {
        reader: PolledRead,
        writer: PolledWrite,
        heard: Vec<u8>,
        #[pin]
        state: State,
        // It closes the connection, after all that uses it.
        stream: TcpStream,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State {
        Listening,
        LookingUp { #[pin] asked: Sleep, name: String },
        Beginning { greeting: Vec<u8> },
        Greeting,
    }
}

impl ByHand {
    fn new(stream: TcpStream) -> Self {
        Self {
            reader: stream.polled_read(),
            writer: stream.polled_write(),
            heard: Vec::new(),
            state: State::Listening,
            stream,
        }
    }
}

impl Future for ByHand {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Listening => match take_line(this.heard) {
                    Some(name) => State::LookingUp {
                        asked: sleep(LOOK_UP),
                        name,
                    },
                    None => {
                        let received = ready!(this.reader.poll_recv(cx))?;
                        if received.is_empty() {
                            return Poll::Ready(Ok(()));
                        }
                        this.heard.extend_from_slice(&received);
                        State::Listening
                    }
                },
                StateProjection::LookingUp { asked, name } => {
                    ready!(asked.poll(cx));
                    let greeting = format!("hello, {}!\n", mem::take(name)).into_bytes();
                    State::Beginning { greeting }
                }
                StateProjection::Beginning { greeting } => {
                    ready!(this.writer.poll_begin(greeting, cx));
                    State::Greeting
                }
                StateProjection::Greeting => {
                    ready!(this.writer.poll_end(cx)).0?;
                    State::Listening
                }
            };
            this.state.set(next);
        }
    }
}

/// The third way: a stack remembers where it was. Nothing here is async, and `lines` knows nothing of fibers.
fn serve_fiber(stream: TcpStream) -> io::Result<()> {
    let mut writer = StdIo::new(&stream);
    for name in BufReader::new(StdIo::new(&stream)).lines() {
        let name = name?;
        fiber::wait(sleep(LOOK_UP));
        writer.write_all(format!("hello, {name}!\n").as_bytes())?;
    }
    Ok(())
}

/// Talks to a server, and tells what it says and what it needs.
async fn show<S>(name: &str, serve: impl FnOnce(TcpStream) -> S) -> Result<(), Box<dyn Error>>
where
    S: Future<Output = io::Result<()>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let server = camshaft::spawn(serve(listener.accept().await?.0));
    client.write_all("ada\ngrace\n").await.0?;
    client.shutdown().await?;
    let (read, answers) = client.read_to_end(Vec::new()).await;
    read?;
    server.await??;
    let said = String::from_utf8(answers)?.replace('\n', " ");
    println!(
        "{name:<15} {said:<28} {:>4} bytes of future",
        size_of::<S>()
    );
    Ok(())
}

#[camshaft::main]
async fn main() -> Result<(), Box<dyn Error>> {
    show("async fn", serve_async).await?;
    show("by hand", ByHand::new).await?;
    show("fiber", |stream| Fiber::new(|| serve_fiber(stream))).await?;
    println!(
        "{:<45}{:>5} bytes of stack, too",
        "",
        fiber::census().deepest
    );
    Ok(())
}
