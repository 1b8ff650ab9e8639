//! A kernel made of decisions: what becomes of a request, and when, is chosen by a history (see [`crate::fuzzing`]).
//!
//! It keeps the rules that the driver relies on, and uses all the freedom that they leave: a completion comes at once, late, or
//! after the cancellation; transfers are short; a cancellation is in time or not; the queue is not taken at once; a worker
//! takes the rest of a lent buffer. It touches the memory of a request until its last completion, so that freed memory shows.

mod act;
mod peer;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use self::act::vectors;
pub(crate) use self::peer::{Peer, Peers, sent_at};
use super::backend::Pushed;
use super::completion::Completion;
use super::lend::{BufRing, Take};
use super::request::Request;
use crate::fuzzing::Choices;

const BUFFER: u32 = 1;

#[derive(Clone)]
enum Stage {
    /// Nothing has happened.
    Begun,
    /// A worker has taken the rest of a lent buffer for it.
    AtWorker { address: u64, len: u32, id: u16 },
    /// Sent from its memory, which shows these bytes until the notice.
    Sent(Vec<u8>),
}

struct Flying {
    user_data: u64,
    request: Request,
    stage: Stage,
    /// Its cancellation has come, but did not end it at once.
    doomed: bool,
}

impl Flying {
    /// The flags that name the buffer it has to give back.
    fn buffer(&self) -> u32 {
        match self.stage {
            Stage::AtWorker { id, .. } => BUFFER | u32::from(id) << 16,
            Stage::Begun | Stage::Sent(_) => 0,
        }
    }
}

/// The ring of lent buffers, as the kernel knows it.
struct Offers {
    address: u64,
    take: Take,
    head: u16,
}

pub(crate) struct Fake {
    choices: Rc<Choices>,
    capacity: usize,
    peers: Peers,
    queue: RefCell<VecDeque<(u64, Request)>>,
    flying: RefCell<Vec<Flying>>,
    done: RefCell<VecDeque<(u64, Completion)>>,
    offers: RefCell<Option<Offers>>,
    enters: Cell<u64>,
    /// Whether it takes nothing of the queue now.
    busy: Cell<bool>,
}

impl Fake {
    pub(crate) fn new(choices: &Rc<Choices>, peers: &Peers) -> Rc<Self> {
        Rc::new(Self {
            choices: choices.clone(),
            capacity: 1 + choices.small(6),
            peers: peers.clone(),
            queue: RefCell::default(),
            flying: RefCell::default(),
            done: RefCell::default(),
            offers: RefCell::default(),
            enters: Cell::new(0),
            busy: Cell::new(false),
        })
    }

    /// Makes the lent buffers, and learns where they are. A small pool of whole buffers, or one that is taken by the piece.
    pub(in crate::driver) fn open_lent(&self) -> Option<Rc<BufRing>> {
        let take = [Take::Piecewise, Take::Whole][self.choices.below(2)];
        let ring = BufRing::new(take).ok()?;
        *self.offers.borrow_mut() = Some(Offers {
            address: ring.address(),
            take,
            head: 0,
        });
        Some(ring)
    }

    pub(in crate::driver) fn push(&self, user_data: u64, request: &Request) -> Pushed {
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= self.capacity {
            return Pushed::Full;
        }
        queue.push_back((user_data, *request));
        Pushed::Taken
    }

    pub(in crate::driver) fn queued(&self) -> usize {
        self.queue.borrow().len()
    }

    pub(in crate::driver) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(in crate::driver) fn has_completions(&self) -> bool {
        !self.done.borrow().is_empty()
    }

    pub(in crate::driver) fn enters(&self) -> u64 {
        self.enters.get()
    }

    /// Takes the queue, unless it is busy; then something may happen, and does if it is waited for.
    pub(in crate::driver) fn enter(&self, wait: bool) {
        self.enters.set(self.enters.get() + 1);
        let busy = if self.busy.get() {
            self.choices.below(3) > 0
        } else {
            self.choices.one_in(8)
        };
        self.busy.set(busy && !wait);
        if self.busy.get() {
            return;
        }
        loop {
            let next = self.queue.borrow_mut().pop_front();
            match next {
                None => break,
                Some((user_data, Request::Cancel { target })) => {
                    let errno = if self.cancel(target) { 0 } else { libc::ENOENT };
                    self.post(user_data, -errno, 0);
                }
                Some((user_data, request)) => self.flying.borrow_mut().push(Flying {
                    user_data,
                    request,
                    stage: Stage::Begun,
                    doomed: false,
                }),
            }
        }
        if self.choices.below(3) == 0 {
            self.act();
        }
        // A few times, for what is silent does not end.
        let mut left = 4 * self.flying.borrow().len();
        while wait && !self.has_completions() && left > 0 {
            self.act();
            left -= 1;
        }
    }

    pub(in crate::driver) fn reap(&self, mut each: impl FnMut(u64, Completion)) {
        let done = std::mem::take(&mut *self.done.borrow_mut());
        for (user_data, completion) in done {
            each(user_data, completion);
        }
    }

    /// Whether a request that has not had its last completion uses any of this memory.
    pub(crate) fn uses(&self, memory: &Range<usize>) -> bool {
        let overlaps = |start: usize, len: usize| start < memory.end && memory.start < start + len;
        let uses = |request: &Request| match *request {
            Request::Recv { memory, len, .. } => overlaps(memory.addr(), len as usize),
            Request::Send { memory, len, .. } | Request::SendZeroCopy { memory, len, .. } => {
                overlaps(memory.addr(), len as usize)
            }
            Request::RecvMsg { message, .. } => {
                vectors(message).any(|it| overlaps(it.iov_base.addr(), it.iov_len))
            }
            Request::SendMsg { message, .. } => {
                vectors(message).any(|it| overlaps(it.iov_base.addr(), it.iov_len))
            }
            _ => false,
        };
        self.queue.borrow().iter().any(|(_, request)| uses(request))
            || self.flying.borrow().iter().any(|it| uses(&it.request))
    }

    /// Whether it has nothing left to do but to look for what has ended.
    pub(crate) fn is_idle(&self) -> bool {
        let queue = self.queue.borrow();
        let cancels = (queue.iter()).all(|(_, request)| matches!(request, Request::Cancel { .. }));
        cancels && self.flying.borrow().is_empty()
    }

    /// Something happens to a request. `false` if there is none.
    pub(crate) fn act(&self) -> bool {
        let mut flying = self.flying.borrow_mut();
        if flying.is_empty() {
            return false;
        }
        let at = self.choices.below(flying.len());
        // To the end of the list if it goes on, so that everything has its turn when there are no more choices.
        let mut one = flying.remove(at);
        if self.advance(&mut one) {
            flying.push(one);
        }
        true
    }

    /// A cancellation comes in time, or too late, or the request had ended before, or is between two tries and not found.
    fn cancel(&self, target: u64) -> bool {
        let mut flying = self.flying.borrow_mut();
        let Some(at) = flying.iter().position(|it| it.user_data == target) else {
            return false;
        };
        let choice = self.choices.below(5);
        if choice == 4 {
            return false;
        }
        flying[at].doomed = true;
        match choice {
            3 => {}
            2 => {
                let mut one = flying.remove(at);
                if self.advance(&mut one) {
                    flying.push(one);
                }
            }
            _ if matches!(flying[at].stage, Stage::Sent(_)) => {}
            _ => {
                let one = flying.remove(at);
                self.post(target, -libc::ECANCELED, one.buffer());
            }
        }
        true
    }

    fn post(&self, user_data: u64, result: i32, flags: u32) {
        let completion = Completion::new(result, flags);
        self.done.borrow_mut().push_back((user_data, completion));
    }
}
