//! Model check of the remote path: no lost wake, no double link, no missed unpark.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p camshaft-executor --release --test loom`
//!
//! The module is compiled into this file with loom's atomics in place of the real ones.
#![cfg(loom)]
#![allow(
    missing_docs,
    dead_code,
    missing_debug_implementations,
    reason = "the module is private to the crate"
)]

#[path = "../src/remote.rs"]
mod remote;
#[path = "../src/sync.rs"]
mod sync;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use remote::{Node, Remote};

/// Explores every interleaving with at most three preemptions; without a bound it takes hours.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(model);
}

/// An inbox, two nodes, and for each node a word of data that its wakes are about.
struct World {
    remote: Remote,
    nodes: [Node; 2],
    data: [AtomicUsize; 2],
}

fn world() -> Arc<World> {
    Arc::new(World {
        remote: Remote::new(),
        nodes: [Node::default(), Node::default()],
        data: [AtomicUsize::new(0), AtomicUsize::new(0)],
    })
}

impl World {
    /// Adds to the data of a node, then wakes it. The data is relaxed: only the wake orders it.
    fn wake(&self, node: usize, home: &thread::Thread) {
        self.data[node].fetch_add(1, Ordering::Relaxed);
        // SAFETY: the nodes live as long as the inbox.
        if unsafe { self.remote.push(&self.nodes[node]) } {
            home.unpark();
        }
    }

    /// Drains once; "polls" each node by reading its data.
    fn turn(&self, seen: &mut [usize; 2]) {
        self.remote.drain(|node| {
            let index = usize::from(std::ptr::eq(node, &self.nodes[1]));
            assert!(std::ptr::eq(node, &self.nodes[index]));
            seen[index] = self.data[index].load(Ordering::Relaxed);
        });
    }

    /// Runs the home thread until the data is `wanted`, parking in between. A lost wake is a deadlock of the model.
    fn run(&self, wanted: [usize; 2]) {
        let mut seen = [0; 2];
        loop {
            self.turn(&mut seen);
            if seen == wanted {
                return;
            }
            if self.remote.announce() {
                thread::park();
            }
            self.remote.unparked();
        }
    }
}

/// Runs the model: a home thread that wants `wanted`, a second thread, and this one, which both wake.
///
/// The home thread is not this one, because loom's `join` is confused by an unpark that comes late.
fn explore(wanted: [usize; 2], second: &'static [usize], third: &'static [usize]) {
    check(move || {
        let world = world();
        let other = Arc::clone(&world);
        let home = thread::spawn(move || other.run(wanted));
        let (other, thread) = (Arc::clone(&world), home.thread().clone());
        let waker = thread::spawn(move || {
            for node in second {
                other.wake(*node, &thread);
            }
        });
        for node in third {
            world.wake(*node, home.thread());
        }
        waker.join().unwrap();
        home.join().unwrap();
    });
}

#[test]
fn two_wakers_of_one_task() {
    explore([2, 0], &[0], &[0]);
}

#[test]
fn two_wakers_of_two_tasks() {
    explore([1, 1], &[0], &[1]);
}

#[test]
fn a_task_woken_again_while_it_is_drained() {
    explore([2, 1], &[], &[0, 1, 0]);
}

#[test]
fn mail_ends_a_park() {
    check(|| {
        let world = world();
        let other = Arc::clone(&world);
        let home = thread::spawn(move || {
            while !other.remote.take_mail() {
                if other.remote.announce() {
                    thread::park();
                }
                other.remote.unparked();
            }
            assert_eq!(other.data[0].load(Ordering::Relaxed), 1);
        });
        world.data[0].fetch_add(1, Ordering::Relaxed);
        if world.remote.post() {
            home.thread().unpark();
        }
        home.join().unwrap();
    });
}

#[test]
fn wakes_are_drained_in_their_order() {
    check(|| {
        let (world, home) = (world(), thread::current());
        world.wake(0, &home);
        world.wake(1, &home);
        world.wake(0, &home);
        let mut order = Vec::new();
        world
            .remote
            .drain(|node| order.push(usize::from(std::ptr::eq(node, &world.nodes[1]))));
        assert_eq!(order, [0, 1]);
        assert!(!world.remote.pending());
    });
}
