//! The echo servers: who waits for what, and how.
//!
//! There are two echoes, each with all who can run it:
//!
//! ```text
//! echo       takes buffers and gives them back   tasks and fibers on our executor: one text, see `twice!`
//! echo_std   borrows, over Read and Write        threads, processes, native fibers, and our fibers with `StdIo`
//! ```
//!
//! A third one lets the runtime lend its buffers. A fourth polls, and copies what it received, because a write that is
//! polled owns a vector; the state machine that is written by hand does the same.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::thread;

use camshaft::compat::{PollRead, PollWrite};
use camshaft::fiber::StdIo;
use camshaft::net::TcpStream;
use camshaft::runtime::Backend;
use camshaft_probe::bare::epoll::Registration;
use camshaft_probe::bare::{self, Service};
use io_uring::IoUring;

use super::machine::Machine;
use crate::models::native::Policy;
use crate::models::stacks;
use crate::net::process::{Family, ignore_children};
use crate::net::work::Work;
use crate::net::{native, no_ring, serve_by_fibers, serve_by_tasks};
use crate::twice::twice;

/// What a server does with a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// Room for what one read gets.
    pub(crate) room: usize,
    /// What is done for each message.
    pub(crate) work: Work,
}

impl Job {
    /// For messages of so many bytes. There is room for more than one: a read that gets less than it has room for has got
    /// all there is, and the loops and native fibers that look at that spare a call a message.
    pub(crate) fn for_messages(bytes: usize, work: Work) -> Self {
        // Whole cache lines.
        let room = (bytes + 1).next_multiple_of(64);
        Self { room, work }
    }
}

/// What serves until its process is ended.
pub(crate) type Server = fn(TcpListener, Job, &'static Family) -> anyhow::Result<()>;

twice! {
    /// Sends back what comes, until the peer closes.
    fn echo(stream: TcpStream, job: Job) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(job.room);
        loop {
            let (result, filled) = wait!(stream.read(buffer));
            if result? == 0 {
                return Ok(());
            }
            job.work.run();
            let (result, written) = wait!(stream.write_all(filled));
            result?;
            buffer = written;
            buffer.clear();
        }
    }
}

/// Sends back what comes, until the peer closes.
fn echo_std<S: Read + Write>(mut stream: S, job: Job) -> io::Result<()> {
    let mut buffer = vec![0; job.room];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        job.work.run();
        stream.write_all(&buffer[..count])?;
    }
}

/// Sends back what comes, in buffers of the runtime, until the peer closes.
async fn echo_lent(stream: TcpStream, job: Job) -> io::Result<()> {
    loop {
        let lent = stream.recv().await?;
        if lent.is_empty() {
            return Ok(());
        }
        job.work.run();
        stream.write_all(lent).await.0?;
    }
}

/// Sends back what comes, by the calls of the machine that is written by hand.
async fn echo_polled(stream: TcpStream, job: Job) -> io::Result<()> {
    let (mut reader, mut writer) = (stream.polled_read(), stream.polled_write());
    let mut buffer = Vec::new();
    loop {
        let lent = poll_fn(|cx| reader.poll_recv(cx)).await?;
        if lent.is_empty() {
            return Ok(());
        }
        job.work.run();
        buffer.extend_from_slice(&lent);
        drop(lent);
        poll_fn(|cx| writer.poll_begin(&mut buffer, cx)).await;
        let (result, written) = poll_fn(|cx| writer.poll_end(cx)).await;
        result?;
        buffer = written;
        buffer.clear();
    }
}

fn service(job: Job) -> Service {
    Service {
        buffer: job.room,
        once: false,
    }
}

fn epoll_loop(registration: Registration, listener: &TcpListener, job: Job) -> anyhow::Result<()> {
    let work = |_: &[u8]| job.work.run();
    Ok(bare::epoll::serve(
        listener,
        service(job),
        registration,
        work,
    )?)
}

/// A loop on epoll that is told of changes.
pub(super) fn epoll_edge(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    epoll_loop(Registration::Edge, &listener, job)
}

/// A loop on epoll that is told of changes, and sends all replies of a turn at its end.
pub(super) fn epoll_late(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    epoll_loop(Registration::EdgeSendLate, &listener, job)
}

/// A loop on epoll that is told of states.
pub(super) fn epoll_level(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    epoll_loop(Registration::Level, &listener, job)
}

/// A loop on epoll that asks again each time.
pub(super) fn epoll_one_shot(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    epoll_loop(Registration::OneShot, &listener, job)
}

/// A loop on Linux's older asynchronous I/O.
pub(super) fn aio(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    super::aio::serve(listener, job)
}

/// A loop on a ring.
pub(super) fn ring(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    IoUring::new(2).map_err(|error| no_ring(&error))?;
    Ok(bare::ring::serve(&listener, service(job), |_: &[u8]| {
        job.work.run();
    })?)
}

/// Tasks on the ring.
pub(super) fn tasks(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    serve_by_tasks(Backend::IoUring, listener, move |stream| {
        echo::task(stream, job)
    })
}

/// Tasks on epoll.
pub(super) fn tasks_epoll(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    serve_by_tasks(Backend::Epoll, listener, move |stream| {
        echo::task(stream, job)
    })
}

/// Tasks on the ring, with buffers of the runtime.
pub(super) fn tasks_lent(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    serve_by_tasks(Backend::IoUring, listener, move |stream| {
        echo_lent(stream, job)
    })
}

/// Tasks on the ring that poll.
pub(super) fn tasks_polled(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    serve_by_tasks(Backend::IoUring, listener, move |stream| {
        echo_polled(stream, job)
    })
}

/// Machines written by hand on the ring that poll.
pub(super) fn machines(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    serve_by_tasks(Backend::IoUring, listener, move |stream| {
        Machine::new(stream, job)
    })
}

/// Fibers on the ring.
pub(super) fn fibers(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    serve_by_fibers(Backend::IoUring, listener, echo::fiber, job)
}

/// Fibers on epoll.
pub(super) fn fibers_epoll(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    serve_by_fibers(Backend::Epoll, listener, echo::fiber, job)
}

/// Fibers on the ring that run what was written for threads.
pub(super) fn fibers_std(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    let echo = |stream, job| echo_std(StdIo::new(stream), job);
    serve_by_fibers(Backend::IoUring, listener, echo, job)
}

/// Native fibers that are told of changes.
pub(super) fn native_edge(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    native::serve(Policy::Edge, listener, echo_std, job)
}

/// Native fibers that ask again each time.
pub(super) fn native_one_shot(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    native::serve(Policy::OneShot, listener, echo_std, job)
}

/// Native fibers that add and remove a descriptor around each wait, as NtyCo does.
pub(super) fn native_add_remove(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    native::serve(Policy::AddRemove, listener, echo_std, job)
}

/// A thread for each connection.
pub(super) fn threads(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        thread::Builder::new()
            .stack_size(stacks::SIZE)
            .spawn(move || echo_std(stream, job))?;
    }
}

/// A process for each connection.
pub(super) fn processes(
    listener: TcpListener,
    job: Job,
    family: &'static Family,
) -> anyhow::Result<()> {
    ignore_children();
    loop {
        let (stream, _) = listener.accept()?;
        // A connection that fails is over.
        family.fork(|| drop(echo_std(&stream, job)))?;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use super::*;
    use crate::net::listen;

    /// All but the one that forks, which a test of many threads must not.
    const SERVERS: [(&str, Server); 18] = [
        ("epoll_edge", epoll_edge),
        ("epoll_late", epoll_late),
        ("epoll_level", epoll_level),
        ("epoll_one_shot", epoll_one_shot),
        ("aio", aio),
        ("ring", ring),
        ("tasks", tasks),
        ("tasks_epoll", tasks_epoll),
        ("tasks_lent", tasks_lent),
        ("tasks_polled", tasks_polled),
        ("machines", machines),
        ("fibers", fibers),
        ("fibers_epoll", fibers_epoll),
        ("fibers_std", fibers_std),
        ("native_edge", native_edge),
        ("native_one_shot", native_one_shot),
        ("native_add_remove", native_add_remove),
        ("threads", threads),
    ];

    #[test]
    fn a_read_of_a_message_is_short() {
        for bytes in [0, 1, 63, 64, 1023, 1024, 4096, 16384] {
            let room = Job::for_messages(bytes, Work::NONE).room;
            assert!(bytes < room && room <= bytes + 64, "{room} for {bytes}");
        }
    }

    #[test]
    fn every_server_sends_all_back_and_closes() {
        for (name, server) in SERVERS {
            let listener = listen().unwrap();
            let address = listener.local_addr().unwrap();
            let job = Job {
                room: 1000,
                work: Work::lasting(std::time::Duration::from_nanos(100)),
            };
            let family = Family::new().unwrap();
            // It serves until the test is over.
            thread::spawn(move || server(listener, job, family));
            // More than sockets hold, so that servers find no room.
            let sent: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
            let stream = std::net::TcpStream::connect(address).unwrap();
            let got = thread::scope(|scope| {
                scope.spawn(|| {
                    (&stream).write_all(&sent).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                });
                let mut got = Vec::new();
                (&stream).read_to_end(&mut got).unwrap();
                got
            });
            assert!(got == sent, "{name}: {} of {} bytes", got.len(), sent.len());
        }
    }
}
