//! Signals, with the names of tokio.
//!
//! ```text
//!   signal ──> the one handler of the process (signal-hook-registry) ──┬──> eventfd of a Signal ──> its runtime
//!                                                                      ├──> eventfd of a Signal ──> its runtime
//!                                                                      └──> the handler that was there before
//! ```
//!
//! Each [`Signal`] has an eventfd of its own, so any number of them, on any threads and runtimes, hear of the same signal.
//! No signal mask is changed: threads and child processes keep theirs.

mod kind;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use signal_hook_registry::SigId;

pub use self::kind::SignalKind;
use crate::descriptor::{count_up, eventfd};
use crate::fork;
use crate::op::Op;
use crate::readiness::{Wait, wait};

/// Listens to a kind of signal.
///
/// The listener hears of every signal that arrives after it was made, also while nobody waits. Signals that arrive before
/// the last one was taken count as one, as signals do everywhere in Unix.
///
/// From the first listener on, and for the rest of the process, a signal of that kind no longer does what it does by
/// default: once somebody has listened to [`SignalKind::interrupt`], Ctrl-C ends the program only if it decides so.
/// Handlers that were there before are still called.
///
/// # Errors
///
/// `InvalidInput` for a kind that can't be caught (`SIGKILL`, `SIGSTOP`), that reports a fault of the program itself
/// (`SIGSEGV`, `SIGILL`, `SIGFPE`), or that does not exist. And what `eventfd` and `sigaction` report.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn reload() -> std::io::Result<()> {
/// use camshaft::signal::{SignalKind, signal};
///
/// let mut hangups = signal(SignalKind::hangup())?;
/// while hangups.recv().await.is_some() {
///     println!("reading the configuration again");
/// }
/// # Ok(())
/// # }
/// ```
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let number = kind.check()?;
    fork::watch();
    let event = Arc::new(eventfd()?);
    let home = fork::generation();
    let heard = event.clone();
    let action = move || {
        // A forked child shares the eventfd; what it hears is not the parent's business.
        if fork::generation() == home {
            count_up(&heard);
        }
    };
    // SAFETY: the action loads an atomic and writes to a descriptor, both of which a signal handler may do.
    let id = unsafe { signal_hook_registry::register(number, action) }?;
    Ok(Signal {
        kind,
        event,
        id,
        waiting: None,
    })
}

/// Completes when the process gets the next Ctrl-C (`SIGINT`).
///
/// It listens from its first poll on. To miss none in between, make a [`Signal`] of [`SignalKind::interrupt`] and keep it.
///
/// # Errors
///
/// As [`signal`].
///
/// # Panics
///
/// If polled outside of a camshaft runtime.
///
/// # Cancellation
///
/// A Ctrl-C that arrived before the drop is forgotten; later ones do nothing, unless somebody else listens.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn run() -> std::io::Result<()> {
/// camshaft::signal::ctrl_c().await?;
/// println!("going down");
/// # Ok(())
/// # }
/// ```
pub async fn ctrl_c() -> io::Result<()> {
    match signal(SignalKind::interrupt())?.recv().await {
        Some(()) => Ok(()),
        None => Err(io::Error::other("the runtime can't wait for signals")),
    }
}

/// A listener to a kind of signal; see [`signal`].
///
/// It is also a `Stream`, which does not end by itself.
pub struct Signal {
    kind: SignalKind,
    event: Arc<OwnedFd>,
    id: SigId,
    waiting: Option<Op<Wait<Arc<OwnedFd>>>>,
}

impl Signal {
    /// Waits until at least one signal has come since the last call, or since the listener was made.
    ///
    /// `None` only if the runtime can't wait for it: it is ending, or the system has no memory left.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: a signal that comes meanwhile is there for the next call.
    pub async fn recv(&mut self) -> Option<()> {
        // An operation that is left in flight would tie the listener to this runtime.
        struct Forget<'a>(&'a mut Signal);
        impl Drop for Forget<'_> {
            fn drop(&mut self) {
                self.0.waiting = None;
            }
        }
        let this = Forget(self);
        poll_fn(|cx| this.0.poll_recv(cx)).await
    }

    /// The poll of [`recv`](Self::recv), for hand-written futures. The last waker is the one that is called.
    ///
    /// # Panics
    ///
    /// Outside of a camshaft runtime.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        let mut retried = self.waiting.is_none();
        loop {
            if take_count(&self.event) {
                self.waiting = None;
                return Poll::Ready(Some(()));
            }
            let waiting = self
                .waiting
                .get_or_insert_with(|| wait(self.event.clone(), libc::POLLIN));
            let Poll::Ready((result, _)) = Pin::new(waiting).poll(cx) else {
                return Poll::Pending;
            };
            self.waiting = None;
            // An error of a wait that was begun by an earlier call may be that of a runtime which has ended since.
            if result.is_err() && retried {
                return Poll::Ready(None);
            }
            retried |= result.is_err();
        }
    }
}

impl Stream for Signal {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.poll_recv(cx)
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        signal_hook_registry::unregister(self.id);
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Sets an eventfd to zero; whether it was not.
fn take_count(event: &OwnedFd) -> bool {
    let mut count = 0_u64;
    let memory = (&raw mut count).cast();
    // SAFETY: the kernel writes eight bytes.
    let read = unsafe { libc::read(event.as_raw_fd(), memory, size_of_val(&count)) };
    read > 0
}
