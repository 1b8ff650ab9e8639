//! A storm of operations of every kind, dropped at random, over many connections and many runtimes, checked against an
//! oracle: the bytes of each direction of each connection, in their order.
//!
//! The seed of a failure is in its message; `CAMSHAFT_STORM_SEED` runs it alone.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use crate::common::{Random, alone, fds, poll_once, turn};
use camshaft::buf::BufGuard;
use camshaft::net::{TcpListener, TcpStream};
use camshaft::runtime::Builder;
use camshaft::task::yield_now;

const CONNECTIONS: usize = 32;
const STEPS: usize = 4000;
const SEEDS: u64 = 12;

/// What an operation of the storm came to.
enum Outcome {
    /// Bytes that were read.
    Bytes(Vec<u8>),
    /// Bytes that were only looked at.
    Peeked(Vec<u8>),
    /// A lent buffer, to be kept for a while.
    Lent(BufGuard),
    /// So many bytes were written.
    Wrote(usize),
}

type Operation<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// One direction of a connection: what was written and not yet read, and the operations on both sides.
struct Direction<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    /// The oracle.
    sent: VecDeque<u8>,
    writing: Option<Operation<'a>>,
    reading: Option<Operation<'a>>,
}

impl<'a> Direction<'a> {
    fn new(from: &'a TcpStream, to: &'a TcpStream) -> Self {
        Self {
            from,
            to,
            sent: VecDeque::new(),
            writing: None,
            reading: None,
        }
    }

    fn begin_read(&self, random: &mut Random) -> Operation<'a> {
        let to = self.to;
        let n = random.below(40) + 1;
        match random.below(6) {
            0 => Box::pin(async move { Outcome::Lent(to.recv().await.expect("bytes")) }),
            1 => Box::pin(async move {
                let (result, buf) = to.read_exact(vec![0; n].into_boxed_slice()).await;
                assert_eq!(result.expect("bytes"), n);
                Outcome::Bytes(buf.into_vec())
            }),
            2 => Box::pin(async move {
                let (result, buf) = to.peek(Vec::with_capacity(n)).await;
                assert_eq!(result.expect("bytes"), buf.len());
                Outcome::Peeked(buf)
            }),
            3 => Box::pin(async move {
                let bufs = vec![Vec::with_capacity(n), Vec::with_capacity(1)];
                let (result, bufs) = to.read_vectored(bufs).await;
                let bytes = bufs.concat();
                assert_eq!(result.expect("bytes"), bytes.len());
                Outcome::Bytes(bytes)
            }),
            4 => Box::pin(async move {
                drop(to.read_to_end(Vec::new()).await);
                unreachable!("the connection does not end")
            }),
            _ => Box::pin(async move {
                let (result, buf) = to.read(Vec::with_capacity(n)).await;
                assert_eq!(result.expect("bytes"), buf.len());
                Outcome::Bytes(buf)
            }),
        }
    }

    /// Takes bytes that were read out of the oracle.
    fn check(&mut self, bytes: &[u8], consume: bool) {
        assert!(!bytes.is_empty(), "no end was sent");
        assert!(bytes.len() <= self.sent.len(), "more than was sent");
        let expected: Vec<u8> = self.sent.range(..bytes.len()).copied().collect();
        assert_eq!(bytes, expected);
        if consume {
            self.sent.drain(..bytes.len());
        }
    }

    async fn read_step(&mut self, random: &mut Random, kept: &mut Vec<BufGuard>) {
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.begin_read(random),
        };
        match poll_once(reading.as_mut()).await {
            Poll::Pending if random.one_in(3) => drop(reading),
            Poll::Pending => self.reading = Some(reading),
            Poll::Ready(Outcome::Bytes(bytes)) => self.check(&bytes, true),
            Poll::Ready(Outcome::Peeked(bytes)) => self.check(&bytes, false),
            Poll::Ready(Outcome::Lent(guard)) => {
                self.check(&guard, true);
                kept.push(guard);
            }
            Poll::Ready(Outcome::Wrote(_)) => unreachable!("a read"),
        }
    }

    /// Writes small words, which fit in the socket and so go out whole as soon as they are submitted; then they may be
    /// dropped.
    async fn write_step(&mut self, random: &mut Random) {
        if let Some(mut writing) = self.writing.take() {
            if let Poll::Ready(Outcome::Wrote(n)) = poll_once(writing.as_mut()).await {
                assert!(n > 0);
            } else if !random.one_in(3) {
                self.writing = Some(writing);
            }
            return;
        }
        let bytes: Vec<u8> = (0..=random.below(30))
            .map(|_| random.next().to_le_bytes()[0])
            .collect();
        let from = self.from;
        let word = bytes.clone();
        let all = random.one_in(2);
        let mut writing: Operation<'a> = Box::pin(async move {
            let len = word.len();
            if all {
                from.write_all(word).await.0.expect("connected");
            } else {
                let (result, _) = from.write_vectored(vec![word]).await;
                assert_eq!(result.expect("connected"), len);
            }
            Outcome::Wrote(len)
        });
        if random.one_in(10) {
            return; // never polled: never sent
        }
        assert!(poll_once(writing.as_mut()).await.is_pending());
        turn().await; // submitted
        self.sent.extend(bytes);
        self.writing = Some(writing);
    }
}

async fn connections(
    listener: &TcpListener,
    address: SocketAddr,
    random: &mut Random,
) -> Vec<(TcpStream, TcpStream)> {
    let mut clients: VecDeque<TcpStream> = VecDeque::new();
    let mut pairs = Vec::new();
    while pairs.len() < CONNECTIONS {
        if random.one_in(2) && pairs.len() + clients.len() < CONNECTIONS {
            // One that is dropped may have connected all the same: then it is accepted, and of no use.
            let mut dropped = Box::pin(TcpStream::connect(address));
            assert!(poll_once(dropped.as_mut()).await.is_pending());
            if random.one_in(2) {
                turn().await;
            }
            drop(dropped);
            clients.push_back(TcpStream::connect(address).await.expect("it listens"));
        }
        let mut accepting = Box::pin(listener.accept());
        if let Poll::Ready(accepted) = poll_once(accepting.as_mut()).await {
            let (server, peer) = accepted.expect("no error");
            let place = clients.iter().position(|c| c.local_addr().unwrap() == peer);
            if let Some(place) = place {
                pairs.push((clients.remove(place).expect("found"), server));
            }
        } else if random.one_in(2) {
            turn().await;
        }
    }
    pairs
}

fn storm(seed: u64) {
    let mut random = Random::new(seed);
    let entries = [1, 8, 1024];
    let build = |random: &mut Random| {
        let entries = entries[random.below(entries.len())];
        Builder::new().ring_entries(entries).build().expect("built")
    };
    let runtime = build(&mut random);
    let (listener, address) = runtime.block_on(crate::common::listener());
    let pairs = runtime.block_on(connections(&listener, address, &mut random));
    let mut runtime = Some(runtime);
    let mut kept = Vec::new();
    let mut directions: Vec<_> = pairs
        .iter()
        .flat_map(|(a, b)| [Direction::new(a, b), Direction::new(b, a)])
        .collect();
    for _ in 0..STEPS / 100 {
        let current = runtime.take().unwrap_or_else(|| build(&mut random));
        current.block_on(async {
            for _ in 0..100 {
                let direction = &mut directions[random.below(2 * CONNECTIONS)];
                match random.below(8) {
                    0..3 => direction.write_step(&mut random).await,
                    3 => yield_now().await,
                    4 if random.one_in(4) => {
                        kept.clear();
                    }
                    _ => direction.read_step(&mut random, &mut kept).await,
                }
            }
            for direction in &mut directions {
                // An operation belongs to its runtime.
                direction.reading = None;
                direction.writing = None;
            }
        });
        if !random.one_in(4) {
            runtime = Some(current);
        }
    }
    // The rest comes too, to the last byte.
    let last = runtime.unwrap_or_else(|| build(&mut random));
    last.block_on(async {
        for direction in &mut directions {
            direction.from.write_all(b"end").await.0.expect("connected");
            direction.sent.extend(b"end");
            while !direction.sent.is_empty() {
                let (result, bytes) = direction.to.read(Vec::with_capacity(4096)).await;
                assert_eq!(result.expect("bytes"), bytes.len());
                direction.check(&bytes, true);
            }
        }
    });
}

#[test]
fn storms_lose_nothing() {
    let _alone = alone();
    let before = fds();
    let seeds: Vec<u64> = match std::env::var("CAMSHAFT_STORM_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (0..SEEDS).collect(),
    };
    for seed in seeds {
        println!("seed {seed}");
        storm(seed);
        assert_eq!(fds(), before, "seed {seed}");
    }
}
