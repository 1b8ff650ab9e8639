//! The load: a process full of clients, and the pipe through which it tells how it fares.

use std::cell::{Cell, RefCell};
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use camshaft::net::TcpStream;
use camshaft::runtime::Builder;
use camshaft::task::JoinSet;
use camshaft::time::{Duration, Instant, interval, timeout, timeout_at};
use hdrhistogram::Histogram;

use crate::Options;

const WARM_UP: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);

/// The process of the load, seen from the server's.
pub(crate) struct Load {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// What the load tells.
pub(crate) enum Event {
    Connected,
    Measuring,
    Progress { millis: u64, round_trips: u64 },
    Done(Measured),
}

/// What the clients measured; times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) round_trips: u64,
    pub(crate) elapsed: u64,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

impl Load {
    pub(crate) fn start(server: SocketAddr, options: &Options) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg("--load")
            .arg(server.to_string())
            .args(["--connections", &options.connections.to_string()])
            .args(["--size", &options.size.to_string()])
            .args(["--seconds", &options.seconds.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start this program again as the load")?;
        let stdout = child.stdout.take().context("the load has no pipe")?;
        Ok(Self {
            child,
            lines: BufReader::new(stdout),
        })
    }

    /// Waits for the next news.
    pub(crate) fn next(&mut self) -> Result<Event> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            let status = self.child.wait()?;
            bail!("the load ended before it was done ({status})");
        }
        let mut words = line.split_whitespace();
        let kind = words.next();
        let numbers: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>()?;
        Ok(match (kind, &*numbers) {
            (Some("connected"), []) => Event::Connected,
            (Some("measuring"), []) => Event::Measuring,
            (Some("progress"), &[millis, round_trips]) => Event::Progress {
                millis,
                round_trips,
            },
            (Some("done"), &[round_trips, elapsed, p50, p99, p999, max]) => Event::Done(Measured {
                round_trips,
                elapsed,
                p50,
                p99,
                p999,
                max,
            }),
            _ => bail!("the load said {line:?}"),
        })
    }

    pub(crate) fn wait(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success(), "the load failed ({status})");
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // After `wait` it is gone already; otherwise this process is failing and has told why.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the clients of the load share.
struct Tally {
    stop: Cell<bool>,
    histogram: RefCell<Histogram<u64>>,
}

/// Is the load: connects, warms up, measures, and tells about it on standard output.
pub(crate) fn run(server: SocketAddr, options: &Options) -> Result<()> {
    Builder::new().name("load").build()?.block_on(async {
        let tally = Rc::new(Tally {
            stop: Cell::new(false),
            histogram: RefCell::new(Histogram::new(3)?),
        });
        let mut clients = JoinSet::new();
        for number in 0..options.connections {
            let stream = timeout(PATIENCE, TcpStream::connect(server))
                .await?
                .with_context(|| format!("connection {number} to {server}"))?;
            clients.spawn(client(stream, options.size, number, tally.clone()));
        }
        say("connected")?;
        watch(WARM_UP, &mut clients, &tally, |_, _| Ok(())).await?;
        tally.histogram.borrow_mut().reset();
        say("measuring")?;
        let start = Instant::now();
        let span = Duration::from_secs(options.seconds.into());
        watch(span, &mut clients, &tally, |passed, round_trips| {
            say(&format!("progress {} {round_trips}", passed.as_millis()))
        })
        .await?;
        let elapsed = start.elapsed().as_nanos();
        tally.stop.set(true);
        tell(&tally.histogram.borrow(), elapsed)?;
        while let Some(result) = clients.join_next().await {
            result??;
        }
        Ok(())
    })
}

/// One client: sends a message, waits for its echo, compares every byte.
async fn client(stream: TcpStream, size: u32, number: u32, tally: Rc<Tally>) -> Result<()> {
    stream.set_nodelay(true)?;
    let bytes = (number..).map(|n| n.to_le_bytes()[0]);
    let mut message: Vec<u8> = bytes.take(size as usize).collect();
    let mut answer = vec![0; message.len()].into_boxed_slice();
    while !tally.stop.get() {
        // No two messages in a row are the same.
        message.rotate_right(1);
        message[0] = message[0].wrapping_add(1);
        let start = Instant::now();
        let (written, sent) = stream.write_all(message).await;
        written.context("the server hung up")?;
        let (read, came) = stream.read_exact(answer).await;
        read.context("the server hung up")?;
        let nanos = u64::try_from(start.elapsed().as_nanos())?;
        ensure!(
            *sent == *came,
            "client {number}: the echo is not what was sent"
        );
        tally.histogram.borrow_mut().record(nanos)?;
        (message, answer) = (sent, came);
    }
    Ok(())
}

/// Lets the clients work for a while. Fails as soon as one of them does, or if nothing comes back any more.
async fn watch(
    span: Duration,
    clients: &mut JoinSet<Result<()>>,
    tally: &Tally,
    mut progress: impl FnMut(Duration, u64) -> Result<()>,
) -> Result<()> {
    let start = Instant::now();
    let (mut last, mut alive) = (0, start);
    let mut beat = interval(Duration::from_millis(100));
    loop {
        let now = timeout_at(start + span, beat.tick()).await;
        if let Some(ended) = clients.try_join_next() {
            ended??;
        }
        let Ok(now) = now else { return Ok(()) };
        let round_trips = tally.histogram.borrow().len();
        if round_trips != last {
            (last, alive) = (round_trips, now);
        }
        ensure!(
            now.duration_since(alive) < PATIENCE,
            "no echo for {PATIENCE:?}"
        );
        progress(start.elapsed(), round_trips)?;
    }
}

fn tell(histogram: &Histogram<u64>, elapsed: u128) -> Result<()> {
    let at = |quantile| histogram.value_at_quantile(quantile);
    say(&format!(
        "done {} {elapsed} {} {} {} {}",
        histogram.len(),
        at(0.5),
        at(0.99),
        at(0.999),
        histogram.max()
    ))
}

/// Says a line to the process of the server. Fails if that is gone.
fn say(line: &str) -> Result<()> {
    writeln!(io::stdout(), "{line}").context("the process of the server is gone")
}
