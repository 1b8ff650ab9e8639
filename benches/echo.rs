//! A 64-byte echo over loopback TCP, both sides on one thread.
//!
//! | line | what one iteration is |
//! |---|---|
//! | `camshaft/N` | one round trip of one of N connections: two tasks, two writes, two reads |
//! | `floor/N` | the same by a loop over epoll, `read` and `write`, with no tasks and no owned buffers |
//!
//! N is 1, 64, 512 and 4000 connections, each with one message under way. With both sides on the thread, wall time is CPU
//! time, nothing waits for another process, and a busy neighbour disturbs little. Left out: connecting, and all waiting:
//! parking and spinning are what the example `echo` measures.

mod common;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{self, SocketAddr};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft::net::TcpStream;
use camshaft::runtime::Builder;
use camshaft::task::JoinSet;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const SIZE: usize = 64;
const CONNECTIONS: [usize; 4] = [1, 64, 512, 4000];

/// Connections over loopback: clients and servers.
fn connect(count: usize) -> io::Result<Vec<(net::TcpStream, net::TcpStream)>> {
    let listener = net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.local_addr()?;
    (0..count)
        .map(|_| {
            let client = net::TcpStream::connect(address)?;
            let (server, _) = listener.accept()?;
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            Ok((client, server))
        })
        .collect()
}

async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut buf = Vec::with_capacity(SIZE);
    loop {
        let (read, filled) = stream.read(buf).await;
        if read? == 0 {
            return Ok(());
        }
        let (written, mut sent) = stream.write_all(filled).await;
        written?;
        sent.clear();
        buf = sent;
    }
}

async fn ask(stream: Rc<TcpStream>, rounds: u64) -> io::Result<()> {
    let mut message = vec![7; SIZE];
    let mut answer = vec![0; SIZE].into_boxed_slice();
    for _ in 0..rounds {
        let (written, sent) = stream.write_all(message).await;
        written?;
        let (read, came) = stream.read_exact(answer).await;
        read?;
        (message, answer) = (sent, came);
    }
    Ok(())
}

async fn ask_all(clients: &[Rc<TcpStream>], rounds: u64) -> Duration {
    let mut set = JoinSet::new();
    let start = Instant::now();
    for client in clients {
        set.spawn(ask(client.clone(), rounds));
    }
    while let Some(asked) = set.join_next().await {
        asked.expect("no panic").expect("the echo comes back");
    }
    start.elapsed()
}

/// The floor: an epoll of all sockets, clients at even places and servers at odd ones.
struct Poll {
    epoll: i32,
    sockets: Vec<net::TcpStream>,
}

impl Poll {
    fn new(pairs: Vec<(net::TcpStream, net::TcpStream)>) -> io::Result<Self> {
        // SAFETY: a system call without pointers.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let sockets: Vec<_> = pairs.into_iter().flat_map(|(c, s)| [c, s]).collect();
        for (place, socket) in sockets.iter().enumerate() {
            socket.set_nonblocking(true)?;
            let mut event = libc::epoll_event {
                events: (libc::EPOLLIN | libc::EPOLLET).cast_unsigned(),
                u64: place as u64,
            };
            // SAFETY: the event is valid for reads.
            let added = unsafe {
                libc::epoll_ctl(
                    epoll,
                    libc::EPOLL_CTL_ADD,
                    socket.as_raw_fd(),
                    &raw mut event,
                )
            };
            if added != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self { epoll, sockets })
    }

    fn round_trips(&self, rounds: u64) -> io::Result<Duration> {
        let mut left = vec![rounds - 1; self.sockets.len()];
        let mut busy = self.sockets.len() / 2;
        let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
        let mut ready: VecDeque<usize> = VecDeque::new();
        let mut buf = [7; SIZE];
        let start = Instant::now();
        for client in self.sockets.iter().step_by(2) {
            (&*client).write_all(&buf)?;
        }
        while busy > 0 {
            // SAFETY: the events are valid for writes, and as many as is said.
            let count = unsafe { libc::epoll_wait(self.epoll, events.as_mut_ptr(), 256, -1) };
            let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
            ready.extend(
                events[..count]
                    .iter()
                    .filter_map(|event| usize::try_from(event.u64).ok()),
            );
            while let Some(place) = ready.pop_front() {
                let mut socket = &self.sockets[place];
                socket.read_exact(&mut buf)?;
                if place % 2 == 1 {
                    socket.write_all(&buf)?;
                } else if left[place] == 0 {
                    busy -= 1;
                } else {
                    left[place] -= 1;
                    socket.write_all(&buf)?;
                }
            }
        }
        Ok(start.elapsed())
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        // SAFETY: the descriptor is this value's own.
        unsafe { libc::close(self.epoll) };
    }
}

/// What `iterations` round trips took, if `rounds` of each of `connections` took `elapsed`.
fn scale(elapsed: Duration, iterations: u64, connections: usize, rounds: u64) -> Duration {
    elapsed.mul_f64(iterations as f64 / (connections as u64 * rounds) as f64)
}

fn echo(c: &mut Criterion) {
    let descriptors = common::descriptors();
    let mut group = common::group(c, "echo");
    for connections in CONNECTIONS {
        if descriptors < 2 * connections + 64 {
            println!(
                "echo/{connections} skipped: it needs {} file descriptors, and {descriptors} are allowed (ulimit -Hn)",
                2 * connections + 64
            );
            continue;
        }
        group.bench_function(BenchmarkId::new("camshaft", connections), |b| {
            let runtime = Builder::new().build().expect("io_uring is available");
            let mut clients = Vec::new();
            for (client, server) in connect(connections).expect("loopback connects") {
                let client = TcpStream::from_std(client).expect("a socket can block");
                clients.push(Rc::new(client));
                let server = TcpStream::from_std(server).expect("a socket can block");
                drop(runtime.spawn(serve(server)));
            }
            b.iter_custom(|iterations| {
                let rounds = iterations.div_ceil(connections as u64);
                let elapsed = runtime.block_on(ask_all(&clients, rounds));
                scale(elapsed, iterations, connections, rounds)
            });
        });
        group.bench_function(BenchmarkId::new("floor", connections), |b| {
            let pairs = connect(connections).expect("loopback connects");
            let poll = Poll::new(pairs).expect("epoll takes sockets");
            b.iter_custom(|iterations| {
                let rounds = iterations.div_ceil(connections as u64);
                let elapsed = poll.round_trips(rounds).expect("the echo comes back");
                scale(elapsed, iterations, connections, rounds)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, echo);
criterion_main!(benches);
