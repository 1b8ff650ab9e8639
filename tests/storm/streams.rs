//! Streams: connections of TCP and of Unix sockets, and pipes. Sends without a copy are not among the operations: they last
//! until the peer has read, and here it may never.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use camshaft::buf::{BufGuard, IoBuf};
use camshaft::io::{PipeReader, PipeWriter, pipe};
use camshaft::net::{TcpStream, UnixStream};
use camshaft::task::yield_now;
use socket2::{Domain, Socket, Type};

use crate::Doing;
use crate::common::tracked::Tracked;
use crate::common::{Random, poll_once, shrink, sockets, std_pair};
use crate::oracle::{Oracle, Shared, Writing};
use crate::work::wrapped;

/// Lent buffers that are kept for a while.
pub(crate) type Kept = Rc<RefCell<Vec<BufGuard>>>;

/// An end that is read from.
pub(crate) trait Source {
    /// One read of any kind, which tells the oracle what it brought.
    fn reading(self: Rc<Self>, oracle: Shared, kept: Kept, random: &mut Random) -> Doing;
}

/// An end that is written to.
pub(crate) trait Sink {
    /// One write of any kind.
    fn writing(self: Rc<Self>, bytes: Vec<u8>, writing: Writing, random: &mut Random) -> Doing;
    /// No more is written.
    fn finish(self: Rc<Self>) -> Doing;
}

/// What a read brought, in one buffer or several.
fn note<B: IoBuf>(oracle: &Shared, (result, bufs): (io::Result<usize>, Vec<B>)) {
    let bytes = bufs
        .iter()
        .map(IoBuf::as_slice)
        .collect::<Vec<_>>()
        .concat();
    let mut oracle = oracle.borrow_mut();
    oracle.take(&bytes);
    match result {
        Ok(0) => oracle.end(),
        Ok(n) => assert_eq!(n, bytes.len()),
        Err(error) => oracle.fail(&error),
    }
}

fn one<T, B>((result, buf): (T, B)) -> (T, Vec<B>) {
    (result, vec![buf])
}

fn lent(oracle: &Shared, kept: &Kept, guard: io::Result<BufGuard>) {
    let mut oracle = oracle.borrow_mut();
    match guard {
        Ok(guard) if guard.is_empty() => oracle.end(),
        Ok(guard) => {
            oracle.take(&guard);
            let mut kept = kept.borrow_mut();
            kept.push(guard);
            if kept.len() > 100 {
                kept.clear();
            }
        }
        Err(error) => oracle.fail(&error),
    }
}

/// The kinds of reads that everything has.
macro_rules! plain_reading {
    ($from:ident, $oracle:ident, $random:ident) => {{
        let n = if $random.one_in(8) {
            20_000
        } else {
            $random.below(40) + 1
        };
        match $random.below(5) {
            0 => Box::pin(async move {
                note(&$oracle, one($from.read_exact(Tracked::room(n)).await));
            }),
            1 => Box::pin(async move {
                let bufs = vec![Tracked::room(n), Tracked::room(0), Tracked::room(3)];
                note(&$oracle, $from.read_vectored(bufs).await);
            }),
            2 => Box::pin(async move {
                note(&$oracle, one($from.read_to_end(Vec::new()).await));
            }),
            _ => Box::pin(async move {
                note(&$oracle, one($from.read(Tracked::room(n)).await));
            }),
        }
    }};
}

macro_rules! writing {
    ($to:ident, $bytes:ident, $writing:ident, $random:ident) => {{
        let kind = $random.below(4);
        Box::pin(async move {
            $writing.begin();
            let len = $bytes.len();
            let sent = match kind {
                0 => $to.write(Tracked::full($bytes)).await.0,
                1 => {
                    let rest = $bytes[len / 2..].to_vec();
                    let bufs = vec![Tracked::full(&$bytes[..len / 2]), Tracked::full(rest)];
                    $to.write_vectored(bufs).await.0
                }
                _ => $to.write_all(Tracked::full($bytes)).await.0.map(|()| len),
            };
            match sent {
                Ok(n) => $writing.sent(n),
                Err(error) => $writing.failed(&error),
            }
        })
    }};
}

macro_rules! socket {
    ($type:ty, |$with_fds:ident, $their_oracle:ident| $rights:expr) => {
        impl Source for $type {
            fn reading(self: Rc<Self>, oracle: Shared, kept: Kept, random: &mut Random) -> Doing {
                let n = random.below(40) + 1;
                match random.below(9) {
                    0 => Box::pin(async move { lent(&oracle, &kept, self.recv().await) }),
                    1 => Box::pin(async move {
                        let mut stream = self.recv_stream();
                        for _ in 0..n {
                            match sockets::next(&mut stream).await {
                                Some(guard) => lent(&oracle, &kept, guard),
                                None => return oracle.borrow_mut().end(),
                            }
                        }
                    }),
                    2 => Box::pin(async move {
                        let (result, buf) = self.peek(Tracked::room(n)).await;
                        if result.is_ok_and(|peeked| peeked > 0) {
                            oracle.borrow().peek(buf.as_slice());
                        }
                    }),
                    3 => Box::pin(async move {
                        let _ = self.readable().await;
                    }),
                    4 => {
                        let ($with_fds, $their_oracle) = (self, oracle);
                        Box::pin(async move { $rights })
                    }
                    _ => plain_reading!(self, oracle, random),
                }
            }
        }

        impl Sink for $type {
            fn writing(
                self: Rc<Self>,
                bytes: Vec<u8>,
                mut writing: Writing,
                random: &mut Random,
            ) -> Doing {
                if random.one_in(8) {
                    return Box::pin(async move {
                        let _ = self.writable().await;
                    });
                }
                writing!(self, bytes, writing, random)
            }

            fn finish(self: Rc<Self>) -> Doing {
                Box::pin(async move {
                    let _ = self.shutdown().await;
                })
            }
        }
    };
}

socket!(TcpStream, |from, oracle| {
    note(&oracle, one(from.read(Tracked::room(7)).await));
});

socket!(UnixStream, |from, oracle| {
    let (result, buf) = from.recv_with_fds(Tracked::room(50)).await;
    if result.as_ref().is_err_and(is_starved) {
        return; // the bytes come with the next read
    }
    note(&oracle, one((result.map(|(n, _)| n), buf)));
});

/// Whether there was no descriptor left.
pub(crate) fn is_starved(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMFILE) || error.to_string().contains("RLIMIT_NOFILE")
}

/// Sends descriptors along with its bytes, now and then.
struct Passing(Rc<UnixStream>);

impl Sink for Passing {
    fn writing(self: Rc<Self>, bytes: Vec<u8>, mut writing: Writing, random: &mut Random) -> Doing {
        if bytes.is_empty() || !random.one_in(3) {
            return self.0.clone().writing(bytes, writing, random);
        }
        let stream = self.0.clone();
        Box::pin(async move {
            let Ok(file) = File::open("/dev/null") else {
                return; // there is none left
            };
            writing.begin();
            match stream.send_with_fds(Tracked::full(bytes), [file]).await.0 {
                Ok(n) => writing.sent(n),
                Err(error) if is_starved(&error) => writing.sent(0),
                Err(error) => writing.failed(&error),
            }
        })
    }

    fn finish(self: Rc<Self>) -> Doing {
        self.0.clone().finish()
    }
}

impl Source for PipeReader {
    fn reading(self: Rc<Self>, oracle: Shared, _: Kept, random: &mut Random) -> Doing {
        plain_reading!(self, oracle, random)
    }
}

impl Sink for PipeWriter {
    fn writing(self: Rc<Self>, bytes: Vec<u8>, mut writing: Writing, random: &mut Random) -> Doing {
        writing!(self, bytes, writing, random)
    }

    fn finish(self: Rc<Self>) -> Doing {
        Box::pin(async move {
            self.shutdown().await.expect("a pipe");
        })
    }
}

/// One direction.
struct Flow {
    sink: Option<Rc<dyn Sink>>,
    source: Option<Rc<dyn Source>>,
    oracle: Shared,
    writing: Option<Doing>,
    reading: Option<Doing>,
}

impl Flow {
    fn new(sink: Rc<dyn Sink>, source: Rc<dyn Source>) -> Self {
        Self {
            sink: Some(sink),
            source: Some(source),
            oracle: Oracle::new(),
            writing: None,
            reading: None,
        }
    }

    fn begin_write(&self, random: &mut Random) -> Option<Doing> {
        let len = match random.below(12) {
            0 => random.below(30_000),
            1 => 0,
            _ => random.below(40) + 1,
        };
        // A write of nothing is no write.
        let bytes: Vec<u8> = (0..len).map(|_| random.next().to_le_bytes()[0]).collect();
        let writing = Writing::new(&self.oracle, &bytes);
        let sink = self.sink.clone()?;
        let doing = sink.writing(bytes, writing, random);
        Some(wrapped(doing, random))
    }

    fn begin_read(&self, kept: &Kept, random: &mut Random) -> Option<Doing> {
        if self.oracle.borrow().ended {
            return None;
        }
        let source = self.source.clone()?;
        let doing = source.reading(self.oracle.clone(), kept.clone(), random);
        Some(wrapped(doing, random))
    }

    async fn step(&mut self, kept: &Kept, random: &mut Random) {
        let write = random.one_in(2);
        let doing = if write {
            self.writing.take()
        } else {
            self.reading.take()
        };
        let doing = doing.or_else(|| match write {
            true => self.begin_write(random),
            false => self.begin_read(kept, random),
        });
        let Some(mut doing) = doing else {
            return;
        };
        let unpolled = random.one_in(12);
        if unpolled || poll_once(doing.as_mut()).await.is_ready() || random.one_in(5) {
            return;
        }
        *if write {
            &mut self.writing
        } else {
            &mut self.reading
        } = Some(doing);
    }

    fn drop_operations(&mut self) {
        self.reading = None;
        self.writing = None;
    }

    /// Reads to the end.
    async fn drain(&mut self, kept: &Kept, random: &mut Random) {
        while let Some(source) = self.source.clone().filter(|_| !self.oracle.borrow().ended) {
            let mut doing = source.reading(self.oracle.clone(), kept.clone(), random);
            // Some waits are for what does not come; only reads are sure to end.
            while poll_once(doing.as_mut()).await.is_pending() && !random.one_in(10) {
                yield_now().await;
                camshaft::time::sleep(Duration::from_micros(1)).await;
            }
        }
    }
}

/// The ends of a connection that may take only a few bytes at a time. It then has small segments too, for a window that has
/// no room for one opens only by and by.
fn tcp_pair(is_small: bool) -> (std::net::TcpStream, std::net::TcpStream) {
    if !is_small {
        return std_pair();
    }
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let (listener, client) = (socket(), socket());
    for socket in [&listener, &client] {
        socket.set_tcp_mss(500).expect("a socket");
        shrink(socket);
    }
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).expect("a free port");
    listener.listen(1).expect("a bound socket");
    let address = listener.local_addr().expect("a bound socket");
    // Not to be interrupted by a signal.
    client.set_nonblocking(true).expect("a socket");
    let begun = client
        .connect(&address)
        .map_err(|error| error.raw_os_error());
    assert!(matches!(begun, Ok(()) | Err(Some(libc::EINPROGRESS))));
    client.set_tcp_nodelay(true).expect("a socket");
    let listener = std::net::TcpListener::from(listener);
    let (server, _) = listener.accept().expect("a connection");
    (client.into(), server)
}

/// A connection or a pipe.
pub(crate) struct Link {
    flows: Vec<Flow>,
    tcp: Option<Rc<TcpStream>>,
}

impl Link {
    pub(crate) fn new(random: &mut Random) -> Self {
        let (flows, tcp) = match random.below(4) {
            0 => {
                let (reader, writer) = pipe().expect("a pipe");
                (vec![Flow::new(Rc::new(writer), Rc::new(reader))], None)
            }
            1 => {
                let (a, b) = UnixStream::pair().expect("a pair");
                if random.one_in(2) {
                    [&a, &b].into_iter().for_each(shrink);
                }
                let (a, b) = (Rc::new(a), Rc::new(b));
                let there = Flow::new(Rc::new(Passing(a.clone())), b.clone());
                (vec![there, Flow::new(b, a)], None)
            }
            _ => {
                let (a, b) = tcp_pair(random.one_in(2));
                let [a, b] = [a, b].map(|it| Rc::new(TcpStream::from_std(it).expect("a socket")));
                let flows = vec![Flow::new(a.clone(), b.clone()), Flow::new(b, a.clone())];
                (flows, Some(a))
            }
        };
        Self { flows, tcp }
    }

    pub(crate) async fn step(&mut self, kept: &Kept, random: &mut Random) {
        let at = random.below(self.flows.len());
        self.flows[at].step(kept, random).await;
    }

    /// Everything that goes on is dropped.
    pub(crate) fn drop_operations(&mut self) {
        self.flows.iter_mut().for_each(Flow::drop_operations);
    }

    /// What was written arrives to the last byte, and then the end; or the connection is reset, and what arrived before was
    /// right.
    pub(crate) async fn end(mut self, kept: &Kept, random: &mut Random) {
        let breaks = random.one_in(3);
        self.drop_operations();
        yield_now().await; // tasks that were aborted are dropped
        if breaks && self.flows.len() == 2 {
            return self.break_off(kept, random).await;
        }
        for flow in &mut self.flows {
            if let Some(sink) = flow.sink.take() {
                sink.finish().await;
            }
            flow.drain(kept, random).await;
        }
    }

    async fn break_off(mut self, kept: &Kept, random: &mut Random) {
        for flow in &self.flows {
            flow.oracle.borrow_mut().may_break = true;
        }
        if let Some(tcp) = self.tcp.take().filter(|_| random.one_in(2)) {
            let reset = socket2::SockRef::from(&*tcp).set_linger(Some(Duration::ZERO));
            reset.expect("a socket");
        }
        let mut there = self.flows.remove(0);
        let mut back = self.flows.remove(0);
        let waiting = random
            .one_in(2)
            .then(|| there.begin_read(kept, random))
            .flatten();
        if let Some(mut waiting) = waiting {
            let _: Poll<()> = poll_once(Pin::new(&mut waiting)).await;
            there.reading = Some(waiting);
        }
        there.sink = None;
        back.source = None;
        for _ in 0..random.below(4) {
            back.step(kept, random).await;
        }
        there.drop_operations();
        there.drain(kept, random).await;
    }
}
