//! A pool of threads for closures that block.
//!
//! One pool serves the whole process. It grows while closures wait and no thread is idle, to at most 512 threads; a thread
//! that was idle for ten seconds ends. Each executor keeps a group, so that it can drop its own waiting closures and wait
//! for those that have started when it is closed.
//!
//! The threads are bounded, the queue is not: a spawn that is not async can neither wait for room nor refuse. Callers bound
//! what they submit.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::bundle::Home;
use crate::join::JoinHandle;
use crate::raw::payload_of;
use crate::shared::Shared;
use crate::{JoinError, fork, lock, quietly};

/// The most threads that the pool has.
pub const MAX_THREADS: usize = 512;

/// How long a thread stays without work.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Runs a job on a thread of the pool.
///
/// Unlike [`spawn_blocking`](crate::spawn_blocking) this needs no runtime, reports nothing, and is not waited for. A panic of the
/// job is printed and otherwise ignored.
///
/// If the system grants not even one thread, the job is dropped unrun, before this returns: what may wait for ever must not
/// hold the loop up that it came from.
///
/// # Examples
///
/// ```
/// let (send, receive) = std::sync::mpsc::channel();
/// camshaft_executor::blocking::run(Box::new(move || send.send(42).unwrap()));
/// assert_eq!(receive.recv(), Ok(42));
/// ```
pub fn run(job: Box<dyn FnOnce() + Send>) {
    submit(Job {
        group: NOBODY,
        work: job,
    });
}

/// The group of jobs that no executor takes back.
const NOBODY: usize = 0;

/// A closure in the queue, with the address of the group that may take it back.
struct Job {
    group: usize,
    work: Box<dyn FnOnce() + Send>,
}

struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: usize,
}

struct Pool {
    queue: Mutex<Queue>,
    work: Condvar,
}

static POOL: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

fn pool() -> &'static Pool {
    fork::leaked(&POOL, || Pool {
        queue: Mutex::new(Queue {
            jobs: VecDeque::new(),
            idle: 0,
            threads: 0,
        }),
        work: Condvar::new(),
    })
}

/// Forgets the pool in a forked child: its threads do not exist there.
pub(crate) fn after_fork() {
    POOL.store(ptr::null_mut(), Ordering::Relaxed);
}

fn submit(job: Job) {
    fork::watch();
    let pool = pool();
    let mut queue = lock(&pool.queue);
    queue.jobs.push_back(job);
    let grow = queue.jobs.len() > queue.idle && queue.threads < MAX_THREADS;
    queue.threads += usize::from(grow);
    drop(queue);
    if !grow {
        return pool.work.notify_one();
    }
    let builder = std::thread::Builder::new().name("camshaft-blocking".into());
    if builder.spawn(move || work(pool)).is_ok() {
        return;
    }
    let mut queue = lock(&pool.queue);
    queue.threads -= 1;
    // Also those of other callers, who counted on the thread that was not granted.
    let stranded = if queue.threads == 0 {
        mem::take(&mut queue.jobs)
    } else {
        VecDeque::new()
    };
    drop(queue);
    for job in stranded {
        match job.group {
            NOBODY => quietly(|| drop(job.work)),
            _ => quietly(job.work),
        }
    }
}

/// The life of a thread of the pool.
fn work(pool: &'static Pool) {
    let mut queue = lock(&pool.queue);
    loop {
        if let Some(job) = queue.jobs.pop_front() {
            drop(queue);
            quietly(job.work);
            queue = lock(&pool.queue);
            continue;
        }
        queue.idle += 1;
        let (woken, timeout) = pool
            .work
            .wait_timeout(queue, KEEP_ALIVE)
            .unwrap_or_else(PoisonError::into_inner);
        queue = woken;
        queue.idle -= 1;
        if timeout.timed_out() && queue.jobs.is_empty() {
            queue.threads -= 1;
            return;
        }
    }
}

/// The closures of one executor.
pub(crate) struct Group {
    /// Closures whose end has not been reported yet.
    pub(crate) in_flight: AtomicUsize,
    started: Mutex<Started>,
    ended: Condvar,
}

struct Started {
    count: usize,
    closed: bool,
}

impl Group {
    fn new() -> Self {
        let started = Mutex::new(Started {
            count: 0,
            closed: false,
        });
        Self {
            in_flight: AtomicUsize::new(0),
            started,
            ended: Condvar::new(),
        }
    }

    /// Counts a closure as started; false if the executor was closed before.
    fn begin(&self) -> bool {
        let mut started = lock(&self.started);
        started.count += usize::from(!started.closed);
        !started.closed
    }

    fn end(&self) {
        lock(&self.started).count -= 1;
        self.ended.notify_all();
    }
}

/// A closure with the place for its result; dropped without a run, it is cancelled.
struct Task<F, T> {
    work: Option<F>,
    shared: Arc<Shared<T>>,
    group: Arc<Group>,
}

impl<F: FnOnce() -> T, T> Task<F, T> {
    fn run(mut self) {
        if !self.group.begin() {
            return;
        }
        if self.shared.control.begin() {
            let work = self.work.take().expect("a task runs once");
            let result = catch_unwind(AssertUnwindSafe(work));
            self.shared.complete(
                result.map_err(|panic| JoinError::panicked(self.shared.id(), payload_of(panic))),
            );
        }
        let group = Arc::clone(&self.group);
        quietly(|| drop(self));
        group.end();
    }
}

impl<F, T> Drop for Task<F, T> {
    fn drop(&mut self) {
        quietly(|| drop(self.work.take()));
        self.shared
            .complete(Err(JoinError::cancelled(self.shared.id())));
        self.group.in_flight.fetch_sub(1, Ordering::Release);
    }
}

/// Queues a closure on behalf of an executor.
pub(crate) fn spawn<F, T>(home: Home, work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if home.closing.get() {
        quietly(|| drop(work));
        return JoinHandle::from_shared(Shared::refused(home.next_id()));
    }
    let shared = Shared::waiting(home.next_id());
    let group = Arc::clone(
        home.group
            .borrow_mut()
            .get_or_insert_with(|| Arc::new(Group::new())),
    );
    group.in_flight.fetch_add(1, Ordering::Relaxed);
    let address = Arc::as_ptr(&group).addr();
    let task = Task {
        work: Some(work),
        shared: Arc::clone(&shared),
        group,
    };
    submit(Job {
        group: address,
        work: Box::new(move || task.run()),
    });
    JoinHandle::from_shared(shared)
}

/// Drops the closures of an executor that have not started, and waits for those that have.
pub(crate) fn close(home: Home) {
    let Some(group) = home.group.take() else {
        return;
    };
    lock(&group.started).closed = true;
    let address = Arc::as_ptr(&group).addr();
    let mut queue = lock(&pool().queue);
    let (ours, others) = mem::take(&mut queue.jobs)
        .into_iter()
        .partition(|job| job.group == address);
    queue.jobs = others;
    drop(queue);
    let ours: VecDeque<Job> = ours;
    quietly(|| drop(ours));
    let mut started = lock(&group.started);
    while started.count > 0 {
        started = group
            .ended
            .wait(started)
            .unwrap_or_else(PoisonError::into_inner);
    }
}
