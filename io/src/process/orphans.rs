//! Children that nobody waits for any more, which are reaped when they end.
//!
//! ```text
//!   Child dropped ──> has it ended? ── yes ──> reaped
//!                          │ no
//!                          v
//!        epoll of pidfds <── the reaper, one thread of the process ──> reaped when it ends
//! ```
//!
//! Where there is no pidfd, or no thread, those that have ended are reaped when the next child is spawned or dropped.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::exit::try_wait;
use crate::descriptor;
use crate::fork::Own;

/// The most events that the reaper takes at once.
const EVENTS: usize = 64;

/// Neither children nor threads are inherited by a forked child, only their descriptors, which it closes.
static ORPHANS: Own<Mutex<Option<Orphans>>> = Own::new(|parent| {
    if let Some(mut theirs) = parent.and_then(|parent| parent.try_lock().ok()) {
        *theirs = None;
    }
    Mutex::new(None)
});

struct Orphans {
    /// The epoll of the reaper, if there is one.
    epoll: Option<Arc<OwnedFd>>,
    /// By the number that the epoll knows them by.
    watched: HashMap<u64, (Child, Arc<OwnedFd>)>,
    next: u64,
    unwatched: Vec<(Child, Option<Arc<OwnedFd>>)>,
}

fn lock() -> MutexGuard<'static, Option<Orphans>> {
    ORPHANS.get().lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reaps a child when it ends.
pub(super) fn adopt(mut child: Child, pidfd: Option<Arc<OwnedFd>>) {
    if has_ended(&mut child, pidfd.as_ref()) {
        return;
    }
    let mut orphans = lock();
    let orphans = orphans.get_or_insert_with(Orphans::new);
    orphans.add(child, pidfd);
    orphans.sweep();
}

/// Reaps those that have ended and that no reaper watches.
pub(super) fn sweep() {
    if let Some(orphans) = &mut *lock() {
        orphans.sweep();
    }
}

/// Whether it has ended; then it has been reaped, by this call or by somebody else.
fn has_ended(child: &mut Child, pidfd: Option<&Arc<OwnedFd>>) -> bool {
    !matches!(try_wait(child, pidfd), Ok(None))
}

impl Orphans {
    fn new() -> Self {
        Self {
            epoll: start().ok(),
            watched: HashMap::new(),
            next: 0,
            unwatched: Vec::new(),
        }
    }

    fn add(&mut self, child: Child, pidfd: Option<Arc<OwnedFd>>) {
        let (Some(epoll), Some(fd)) = (&self.epoll, &pidfd) else {
            return self.unwatched.push((child, pidfd));
        };
        let number = self.next;
        self.next += 1;
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLONESHOT).cast_unsigned(),
            u64: number,
        };
        let (epoll, fd) = (epoll.as_raw_fd(), fd.as_raw_fd());
        // SAFETY: the kernel reads one event.
        let added = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        match pidfd {
            Some(pidfd) if added == 0 => drop(self.watched.insert(number, (child, pidfd))),
            pidfd => self.unwatched.push((child, pidfd)),
        }
    }

    fn sweep(&mut self) {
        self.unwatched
            .retain_mut(|(child, pidfd)| !has_ended(child, pidfd.as_ref()));
    }
}

/// Starts the reaper.
fn start() -> io::Result<Arc<OwnedFd>> {
    let epoll = Arc::new(descriptor::epoll()?);
    let ours = epoll.clone();
    std::thread::Builder::new()
        .name("camshaft-reaper".into())
        .stack_size(64 * 1024)
        .spawn(move || reap(&ours))?;
    Ok(epoll)
}

/// The life of the reaper.
fn reap(epoll: &OwnedFd) {
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    loop {
        let most = EVENTS.try_into().unwrap_or(i32::MAX);
        // SAFETY: the kernel writes as many events as there is room for.
        let count = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), most, -1) };
        let count = usize::try_from(count).unwrap_or(0);
        for event in &events[..count] {
            let ended = lock()
                .as_mut()
                .and_then(|orphans| orphans.watched.remove(&{ event.u64 }));
            if let Some((mut child, pidfd)) = ended {
                has_ended(&mut child, Some(&pidfd));
            }
        }
    }
}
