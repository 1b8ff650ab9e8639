//! Servers that read a request, pause, answer, and close.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use camshaft::net::TcpStream;
use camshaft::runtime::Backend;
use camshaft::time::sleep;

use crate::models::native::{self as fibers_without_futures, Policy};
use crate::models::stacks;
use crate::net::process::{Family, ignore_children};
use crate::net::work::Work;
use crate::net::{native, serve_by_fibers, serve_by_tasks};
use crate::twice::twice;

/// Bytes of a request, and of its answer.
pub(super) const REQUEST: usize = 64;

/// What a handler does before it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pause {
    /// It waits, as for a database.
    Wait(Duration),
    /// It computes.
    Work(Work),
}

/// What a server does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(super) pause: Pause,
    /// In a pool of threads.
    pub(super) threads: usize,
}

/// What serves until its process is ended.
pub(super) type Server = fn(TcpListener, Job, &'static Family) -> anyhow::Result<()>;

twice! {
    /// Answers one request.
    fn answer(stream: TcpStream, job: Job) -> io::Result<()> {
        let (result, request) = wait!(stream.read_exact(Vec::with_capacity(REQUEST)));
        result?;
        match job.pause {
            Pause::Wait(Duration::ZERO) => {}
            Pause::Wait(time) => wait!(sleep(time)),
            Pause::Work(work) => work.run(),
        }
        wait!(stream.write_all(request)).0
    }
}

/// The same for models that block, or seem to.
fn answer_std<S: Read + Write>(mut stream: S, job: Job, sleep: fn(Duration)) -> io::Result<()> {
    let mut request = [0; REQUEST];
    stream.read_exact(&mut request)?;
    match job.pause {
        Pause::Wait(Duration::ZERO) => {}
        Pause::Wait(time) => sleep(time),
        Pause::Work(work) => work.run(),
    }
    stream.write_all(&request)
}

/// One connection after another, on one thread.
pub(super) fn inline(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        // A connection that fails is over.
        let _ = answer_std(stream, job, thread::sleep);
    }
}

/// Tasks whose handler calls what blocks the thread.
pub(super) fn tasks_blocking(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    serve_by_tasks(Backend::Auto, listener, move |stream| async move {
        let (result, request) = stream.read_exact(Vec::with_capacity(REQUEST)).await;
        result?;
        match job.pause {
            Pause::Wait(time) => thread::sleep(time),
            Pause::Work(work) => work.run(),
        }
        stream.write_all(request).await.0
    })
}

/// Eight threads, each with one connection at a time.
pub(super) fn pool_of_8(
    listener: TcpListener,
    job: Job,
    family: &'static Family,
) -> anyhow::Result<()> {
    pool(listener, Job { threads: 8, ..job }, family)
}

/// Threads that take connections from a queue, each one at a time.
pub(super) fn pool(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    let (sender, receiver) = mpsc::channel();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..job.threads {
        let receiver = receiver.clone();
        let next = move || {
            let receiver = receiver.lock().unwrap_or_else(PoisonError::into_inner);
            receiver.recv()
        };
        thread::Builder::new()
            .stack_size(stacks::SIZE)
            .spawn(move || {
                while let Ok(stream) = next() {
                    // A connection that fails is over.
                    let _ = answer_std(stream, job, thread::sleep);
                }
            })?;
    }
    loop {
        sender.send(listener.accept()?.0)?;
    }
}

/// A thread for each connection.
pub(super) fn threads(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let thread = thread::Builder::new().stack_size(stacks::SIZE);
        thread.spawn(move || answer_std(stream, job, thread::sleep))?;
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
        family.fork(|| drop(answer_std(&stream, job, thread::sleep)))?;
    }
}

/// A loop on epoll, with a queue of what waits.
pub(super) fn epoll(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    Ok(super::epoll::serve(&listener, job.pause)?)
}

/// Tasks.
pub(super) fn tasks(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    serve_by_tasks(Backend::Auto, listener, move |stream| {
        answer::task(stream, job)
    })
}

/// Fibers.
pub(super) fn fibers(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    serve_by_fibers(Backend::Auto, listener, answer::fiber, job)
}

/// Native fibers.
pub(super) fn native_fibers(listener: TcpListener, job: Job, _: &Family) -> anyhow::Result<()> {
    let answer = |stream, job| answer_std(stream, job, fibers_without_futures::sleep);
    native::serve(Policy::Edge, listener, answer, job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::listen;

    #[test]
    fn every_server_answers_and_closes() {
        let servers: [(&str, Server); 8] = [
            ("inline", inline),
            ("tasks_blocking", tasks_blocking),
            ("pool_of_8", pool_of_8),
            ("threads", threads),
            ("epoll", epoll),
            ("tasks", tasks),
            ("fibers", fibers),
            ("native_fibers", native_fibers),
        ];
        for (name, server) in servers {
            for time in [Duration::ZERO, Duration::from_millis(2)] {
                let listener = listen().unwrap();
                let address = listener.local_addr().unwrap();
                let job = Job {
                    pause: Pause::Wait(time),
                    threads: 0,
                };
                let family = Family::new().unwrap();
                // It serves until the test is over.
                thread::spawn(move || server(listener, job, family));
                let connect = |_| std::net::TcpStream::connect(address).unwrap();
                let mut streams: Vec<_> = (0..20).map(connect).collect();
                for stream in &mut streams {
                    // In two parts: not all of a request comes at once.
                    stream.write_all(&[b'x'; 1]).unwrap();
                    stream.write_all(&[b'y'; REQUEST - 1]).unwrap();
                }
                for mut stream in streams {
                    let mut answer = Vec::new();
                    stream.read_to_end(&mut answer).unwrap();
                    assert_eq!(answer.len(), REQUEST, "{name} after {time:?}");
                }
            }
        }
    }
}
