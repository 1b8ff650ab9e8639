//! A set of tasks whose results are awaited in the order in which they end.
//!
//! Every member has a waker of its own that puts the member's place on a list of those to look at, so joining costs
//! nothing for members that sleep. Places and their wakers are used again: a steady set allocates nothing.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::join::{AbortHandle, JoinHandle};
use crate::{Id, JoinError, coop, lock};

/// A collection of tasks that return `T`. Dropping it aborts them.
///
/// # Examples
///
/// ```
/// # use camshaft_executor::{JoinSet, block_on};
/// block_on(async {
///     let mut set = JoinSet::new();
///     for number in 0..10 {
///         set.spawn(async move { number });
///     }
///     let mut total = 0;
///     while let Some(result) = set.join_next().await {
///         total += result.unwrap();
///     }
///     assert_eq!(total, 45);
/// });
/// ```
pub struct JoinSet<T> {
    members: Vec<Member<T>>,
    vacant: Vec<usize>,
    board: Arc<Board>,
}

struct Member<T> {
    handle: Option<JoinHandle<T>>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Where members report.
struct Board {
    notes: Mutex<Notes>,
}

struct Notes {
    /// Places to look at, each at most once (`Bell::rung`).
    ready: VecDeque<usize>,
    waker: Option<Waker>,
}

/// The waker of one place.
struct Bell {
    place: usize,
    rung: AtomicBool,
    board: Arc<Board>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.rung.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut notes = lock(&self.board.notes);
        notes.ready.push_back(self.place);
        let waker = notes.waker.take();
        drop(notes);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> JoinSet<T> {
    /// Creates an empty set. Allocates once.
    #[must_use]
    pub fn new() -> Self {
        let notes = Mutex::new(Notes {
            ready: VecDeque::new(),
            waker: None,
        });
        Self {
            members: Vec::new(),
            vacant: Vec::new(),
            board: Arc::new(Board { notes }),
        }
    }

    /// Returns how many tasks are in the set, ended ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len() - self.vacant.len()
    }

    /// Whether no task is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Spawns a task onto the executor that the thread is running and adds it to the set.
    ///
    /// # Panics
    ///
    /// Panics outside of a camshaft runtime.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        self.insert(crate::spawn(future))
    }

    /// Runs a closure on the blocking pool, as [`spawn_blocking`](crate::spawn_blocking) does, and adds it to the set.
    ///
    /// # Panics
    ///
    /// Panics outside of a camshaft runtime.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, work: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.insert(crate::spawn_blocking(work))
    }

    /// Waits for the next task to end, takes it out of the set and returns its result. `None` if the set is empty.
    ///
    /// # Cancellation
    ///
    /// Strict: a result is in the set until it is returned.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx))
            .await
            .map(|(_, result)| result)
    }

    /// Does what [`join_next`](Self::join_next) does and returns the task's id as well.
    ///
    /// # Cancellation
    ///
    /// Strict: a result is in the set until it is returned.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        let (id, result) = poll_fn(|cx| self.poll_join_next(cx)).await?;
        Some(result.map(|output| (id, output)))
    }

    /// Takes a task that has ended out of the set and returns its result, if there is one.
    ///
    /// It is not charged to the budget of [`coop`](crate::coop): there is no context that could make the task give way.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        let mut looks = usize::MAX;
        while let Some(place) = self.next_ready(&mut looks, None) {
            if let Some((_, result)) = self.look_at(place) {
                return Some(result);
            }
        }
        None
    }

    /// Aborts every task. They stay in the set until they are joined.
    pub fn abort_all(&self) {
        for handle in self
            .members
            .iter()
            .filter_map(|member| member.handle.as_ref())
        {
            handle.abort();
        }
    }

    /// Aborts every task and waits until all have ended. Their results are dropped.
    ///
    /// # Cancellation
    ///
    /// The tasks are aborted at the first poll; those not yet joined stay in the set.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Takes every task out of the set without aborting it.
    pub fn detach_all(&mut self) {
        for place in 0..self.members.len() {
            if let Some(handle) = self.members[place].handle.take() {
                self.vacant.push(place);
                drop(handle);
            }
        }
    }

    fn insert(&mut self, handle: JoinHandle<T>) -> AbortHandle {
        let abort = handle.abort_handle();
        let place = self.vacant.pop().unwrap_or_else(|| self.add_place());
        let member = &mut self.members[place];
        member.handle = Some(handle);
        // Looked at once, so that the handle knows whom to wake.
        member.bell.wake_by_ref();
        abort
    }

    fn add_place(&mut self) -> usize {
        let place = self.members.len();
        let bell = Arc::new(Bell {
            place,
            rung: AtomicBool::new(false),
            board: Arc::clone(&self.board),
        });
        let waker = Waker::from(Arc::clone(&bell));
        self.members.push(Member {
            handle: None,
            bell,
            waker,
        });
        place
    }

    fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Id, Result<T, JoinError>)>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        let mut looks = usize::MAX;
        while let Some(place) = self.next_ready(&mut looks, Some(cx)) {
            // Charged when the result is there and before it is taken, as `poll_proceed` wants it.
            let ended = self.members[place]
                .handle
                .as_ref()
                .is_some_and(JoinHandle::is_finished);
            if ended && coop::poll_proceed(cx).is_pending() {
                // Its bell is still rung, so nobody else has put the place back.
                lock(&self.board.notes).ready.push_front(place);
                return Poll::Pending;
            }
            if let Some(joined) = self.look_at(place) {
                return Poll::Ready(Some(joined));
            }
        }
        Poll::Pending
    }

    /// The next place to look at; with none, sees to it that `cx` is woken when there is one.
    ///
    /// `looks` is how many a call may still look at: at first without a bound, then as many as had rung when it began.
    /// A place that rings while it is looked at is therefore left to the next call.
    fn next_ready(&self, looks: &mut usize, cx: Option<&Context<'_>>) -> Option<usize> {
        let waker = cx.map(|cx| cx.waker().clone());
        let mut notes = lock(&self.board.notes);
        *looks = notes.ready.len().min(*looks);
        if let Some(left) = looks.checked_sub(1) {
            *looks = left;
            let place = notes.ready.pop_front();
            drop(notes);
            drop(waker); // user code: not under the lock
            return place;
        }
        let rung = !notes.ready.is_empty();
        let unused = if rung || waker.is_none() {
            waker
        } else {
            std::mem::replace(&mut notes.waker, waker)
        };
        drop(notes);
        if let (true, Some(cx)) = (rung, cx) {
            cx.waker().wake_by_ref();
        }
        drop(unused);
        None
    }

    /// Polls the member at `place` and takes it out if it has ended. Charges nothing: the member's waker would only ring
    /// again for want of budget, and whoever calls may have no task to give way with.
    fn look_at(&mut self, place: usize) -> Option<(Id, Result<T, JoinError>)> {
        let member = &mut self.members[place];
        // Before the poll, so that what ends after it rings again.
        member.bell.rung.swap(false, Ordering::AcqRel);
        let handle = member.handle.as_mut()?;
        let mut cx = Context::from_waker(&member.waker);
        let Poll::Ready(result) = coop::uncharged(|| Pin::new(&mut *handle).poll(&mut cx)) else {
            return None;
        };
        let id = handle.id();
        drop(member.handle.take());
        self.vacant.push(place);
        Some((id, result))
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet").field("len", &self.len()).finish()
    }
}

impl<T: 'static> FromIterator<JoinHandle<T>> for JoinSet<T> {
    /// Collects tasks that were spawned before.
    fn from_iter<I: IntoIterator<Item = JoinHandle<T>>>(handles: I) -> Self {
        let mut set = Self::new();
        for handle in handles {
            set.insert(handle);
        }
        set
    }
}
