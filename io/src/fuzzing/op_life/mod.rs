//! The life of operations on a kernel that is a model: submitted, completed, cancelled, dropped and polled in any order.
//!
//! The operations are those of stream sockets, on the real table, lanes, stash and lent buffers. What is checked:
//!
//! - what a socket's reads bring is what its peer sent, in order, nothing lost or twice, whatever was dropped in between;
//! - what the peer gets is of one write after the other, and of a completed one as much as it said;
//! - no buffer is freed before the last completion of its operation, and each is freed in the end;
//! - each completion of a flow comes once, none after the last, and an error that a dropped operation met is told to the next;
//! - every future that can go on is woken.

mod acts;
mod truth;

use std::cell::Cell;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use self::acts::{Act, Flow};
use self::truth::Truth;
use super::Choices;
use super::tracked::Watch;
use crate::driver::fake::{Fake, Peer, Peers};
use crate::driver::{BufRing, Driver, Key, Request, expect_current};
use crate::socket::Socket;
use crate::stream::{Goal, Stream};

type Handle = Rc<Socket<Stream>>;

/// How many operations a history has under way at most.
const RUNNING: usize = 8;
/// How many writes a history begins at most: each has a byte of its own.
const WRITES: u8 = 200;

/// Runs a history. Panics if something is lost, freed early or forgotten.
pub fn op_life(bytes: &[u8]) {
    let choices = Rc::new(Choices::new(bytes));
    let sockets: Vec<Handle> = (0..1 + choices.below(3)).map(|_| socket()).collect();
    let truth = Rc::new(Truth::default());
    let peers = &truth.peers;
    // What the first driver leaves on the sockets, the second finds.
    for last in [false, true] {
        let fake = Fake::new(&choices, peers);
        let driver = Driver::with_fake(fake.clone()).expect("an eventfd");
        let entered = driver.enter();
        let watch = Rc::new(Watch {
            fake: fake.clone(),
            live: Cell::new(0),
            early: Cell::new(0),
        });
        let mut history = History {
            choices: choices.clone(),
            driver,
            fake,
            peers: peers.clone(),
            truth: truth.clone(),
            watch,
            sockets: sockets.clone(),
            running: Vec::new(),
            flow: None,
            steps: 0,
        };
        let pause = choices.below(400);
        while !choices.is_over() && (last || history.steps < pause) {
            history.step();
        }
        if last {
            history.finish();
            truth.let_all_go();
            let lent = expect_current().lent();
            assert!(
                lent.is_none_or(|ring| ring.is_complete()),
                "a buffer is lost"
            );
        }
        history.tear_down();
        drop(entered);
    }
    truth.check();
}

/// A socket whose descriptor only stands for itself.
fn socket() -> Handle {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    assert!(fd >= 0, "{}", io::Error::last_os_error());
    // SAFETY: a new descriptor that nobody else owns.
    Socket::new(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A future, and whether it was woken.
struct Running {
    future: Act,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct History {
    choices: Rc<Choices>,
    driver: Driver,
    fake: Rc<Fake>,
    peers: Peers,
    truth: Rc<Truth>,
    watch: Rc<Watch>,
    sockets: Vec<Handle>,
    running: Vec<Running>,
    flow: Option<(Rc<Flow>, Key)>,
    steps: usize,
}

impl History {
    fn step(&mut self) {
        self.steps += 1;
        match self.choices.below(20) {
            0..4 => self.begin(),
            4..8 => self.poll(),
            8 | 9 => self.drop_one(),
            10..13 => drop(self.fake.act()),
            13 | 14 => self.driver.turn().expect("a model"),
            15 => drop(self.driver.deliver()),
            16 => drop(self.driver.tick(self.choices.one_in(2)).expect("a model")),
            17 => self.truth.let_go(&self.choices),
            18 => self.start_or_stop_flow(),
            _ => {
                let socket = &self.sockets[self.choices.below(self.sockets.len())];
                if self.choices.one_in(2) {
                    let mut peers = self.peers.borrow_mut();
                    let peer = peers.entry(socket.raw()).or_default();
                    peer.silent = !peer.silent;
                } else {
                    socket.settle();
                }
            }
        }
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.watch.early.get(), 0, "a buffer was freed too early");
        if let Some(wrong) = self.truth.wrong.get() {
            panic!("{wrong}");
        }
    }

    /// Begins an operation. It does nothing before it is polled.
    fn begin(&mut self) {
        if self.running.len() >= RUNNING {
            return;
        }
        let socket = self.sockets[self.choices.below(self.sockets.len())].clone();
        let room = 1 + self.choices.below(80);
        let future: Act = match self.choices.below(13) {
            0 => Box::pin(self.read(socket, room, Goal::Some)),
            1 => Box::pin(self.read(socket, room, Goal::Full)),
            2 => Box::pin(self.read(socket, room, Goal::Peek)),
            3 => Box::pin(self.read_vectored(socket, room)),
            4 => Box::pin(self.read_to_end(socket)),
            5 | 6 => Box::pin(self.receive(socket)),
            11 | 12 => Box::pin(self.receive_many(socket)),
            kind => {
                if self.truth.writes.borrow().len() >= usize::from(WRITES) {
                    return;
                }
                self.write(socket, room, kind)
            }
        };
        self.running.push(Running {
            future,
            woken: Arc::new(Woken(AtomicBool::new(true))),
        });
    }

    /// Polls one that was woken, or one that was not.
    fn poll(&mut self) {
        if self.running.is_empty() {
            return;
        }
        let at = self.choices.below(self.running.len());
        let one = &mut self.running[at];
        if self.choices.one_in(4) {
            // A waker of another task: that of the last poll is not to be relied on.
            one.woken = Arc::new(Woken(AtomicBool::new(true)));
        } else if !one.woken.0.load(Ordering::Relaxed) && !self.choices.one_in(3) {
            return;
        }
        self.poll_at(at);
    }

    fn poll_at(&mut self, at: usize) {
        let one = &mut self.running[at];
        one.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(one.woken.clone());
        let polled = one.future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            drop(self.running.swap_remove(at));
        }
    }

    fn drop_one(&mut self) {
        if !self.running.is_empty() {
            let at = self.choices.below(self.running.len());
            drop(self.running.swap_remove(at));
        }
    }

    fn start_or_stop_flow(&mut self) {
        if let Some((flow, key)) = self.flow.take() {
            if !flow.over.get() {
                expect_current().stop(key);
                // It goes on until it is over.
                self.flow = Some((flow, key));
            }
            return;
        }
        let Some(ring) = expect_current().lent() else {
            return;
        };
        let fd = socket();
        let flow = Rc::new(Flow {
            keep: self.choices.one_in(2),
            socket: fd,
            ring,
            truth: self.truth.clone(),
            over: Cell::new(false),
        });
        let request = Request::RecvLentMany {
            fd: flow.socket.raw(),
            group: BufRing::GROUP,
        };
        let cx = Context::from_waker(Waker::noop());
        // SAFETY: it names no memory but the ring's.
        let key = unsafe { expect_current().flow(&request, flow.clone(), &cx) };
        self.flow = key.map(|key| (flow, key));
    }

    /// What was dropped is cancelled, what was begun comes to its end, and what is left in the sockets is read.
    fn finish(&mut self) {
        if self.steps.is_multiple_of(2) {
            self.set_peers(|peer| peer.silent = true);
            self.running.clear();
        } else {
            self.set_peers(|peer| peer.ended = true);
        }
        if let Some((_, key)) = &self.flow {
            expect_current().stop(*key);
        }
        self.run();
        self.set_peers(|peer| peer.ended = true);
        for at in 0..self.sockets.len() {
            // Each may end with an error that was stashed.
            for _ in 0..3 + self.peers.borrow()[&self.sockets[at].raw()].resets.len() {
                let future = Box::pin(self.read_to_end(self.sockets[at].clone()));
                let woken = Arc::new(Woken(AtomicBool::new(true)));
                self.running.push(Running { future, woken });
            }
        }
        self.run();
    }

    fn set_peers(&self, change: impl Fn(&mut Peer)) {
        for socket in &self.sockets {
            change(self.peers.borrow_mut().entry(socket.raw()).or_default());
        }
    }

    /// Polls what is woken, and nothing else, until all have ended.
    fn run(&mut self) {
        for _ in 0..100_000 {
            for at in (0..self.running.len()).rev() {
                if self.running[at].woken.0.load(Ordering::Relaxed) {
                    self.poll_at(at);
                }
            }
            self.check();
            if self.running.is_empty() && self.fake.is_idle() && !self.driver.wants_turn() {
                return;
            }
            self.fake.act();
            self.driver.turn().expect("a model");
            self.driver.deliver();
        }
        panic!("{} futures are never woken", self.running.len());
    }

    /// The end of the driver, before or after that of the futures.
    fn tear_down(mut self) {
        let first = self.choices.one_in(2);
        if first {
            self.running.clear();
        }
        self.driver.shutdown();
        self.running.clear();
        assert_eq!(self.driver.in_flight(), 0);
        assert!(self.fake.is_idle());
        let stats = self.driver.stats();
        assert_eq!(stats.submitted, stats.completed);
        if let Some((flow, _)) = self.flow.take() {
            assert!(flow.over.get(), "a flow has not had its last completion");
            assert_eq!(Rc::strong_count(&flow), 1, "it is kept for ever");
        }
        self.check();
        assert_eq!(self.watch.live.get(), 0, "buffers are never freed");
    }
}

#[cfg(test)]
mod tests {
    use super::op_life;
    use crate::fuzzing::tests::on_seeds;

    #[test]
    fn long_histories_lose_nothing() {
        on_seeds(0..80, 4000, op_life);
    }

    #[test]
    fn short_histories_lose_nothing() {
        on_seeds(1000..2500, 150, op_life);
    }
}
