//! Storms: operations of every kind, begun, polled, dropped and finished at random, checked against oracles.
//!
//! `CAMSHAFT_STORM_SEED=n` runs the storm of one seed alone, and the seed of a failure is in what it prints.
//! `CAMSHAFT_STORM_SECONDS=n` goes on with fresh seeds for so long.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/scratch.rs"]
mod scratch;

mod accepts;
mod datagrams;
mod files;
mod oracle;
mod streams;
mod words;
mod work;

use std::pin::Pin;
use std::time::{Duration, Instant};

use camshaft::runtime::{Builder, Runtime};
use camshaft::task::yield_now;
use camshaft::time::sleep;
use common::interrupts::Interrupts;
use common::{Random, alone, fds, limit_fds, tracked};
use datagrams::Messages;
use files::Disk;
use streams::{Kept, Link};
use work::Other;

/// Anything that goes on.
pub(crate) type Doing = Pin<Box<dyn Future<Output = ()>>>;

const SEEDS: u64 = 6;
const LIVES: usize = 8;
const STEPS: usize = 1200;
const LINKS: usize = 10;
const MESSAGES: usize = 4;

/// Everything that a storm goes over.
struct Sea {
    links: Vec<Link>,
    messages: Vec<Messages>,
    disk: Disk,
    door: accepts::Door,
    other: Other,
    kept: Kept,
}

impl Sea {
    async fn new(random: &mut Random) -> Self {
        Self {
            links: (0..LINKS).map(|_| Link::new(random)).collect(),
            messages: (0..MESSAGES).map(|_| Messages::new(random)).collect(),
            disk: Disk::new().await,
            door: accepts::Door::new().await,
            other: Other::new(),
            kept: Kept::default(),
        }
    }

    async fn step(&mut self, random: &mut Random) {
        match random.below(24) {
            0..11 => {
                let at = random.below(LINKS);
                self.links[at].step(&self.kept, random).await;
            }
            11..14 => {
                let at = random.below(MESSAGES);
                self.messages[at].step(random).await;
            }
            14..16 => self.disk.step(random).await,
            16..18 => self.door.step(random).await,
            18 => self.other.step(random).await,
            19 if random.one_in(4) => self.kept.borrow_mut().clear(),
            20 if random.one_in(4) => sleep(Duration::from_micros(random.next() % 100)).await,
            21 if random.one_in(10) => {
                let at = random.below(LINKS);
                let old = std::mem::replace(&mut self.links[at], Link::new(random));
                old.end(&self.kept, random).await;
            }
            _ => yield_now().await,
        }
    }

    fn drop_operations(&mut self) {
        self.links.iter_mut().for_each(Link::drop_operations);
        self.messages.iter_mut().for_each(Messages::drop_operations);
        self.disk.drop_operations();
        self.door.drop_operations();
        self.other.drop_operations();
    }

    async fn end(self, random: &mut Random) -> Disk {
        for link in self.links {
            link.end(&self.kept, random).await;
        }
        for messages in self.messages {
            messages.end().await;
        }
        self.door.end().await;
        self.disk
    }
}

fn build(random: &mut Random) -> Runtime {
    let entries = [1, 8, 8, 64, 1024];
    let entries = entries[random.below(entries.len())];
    Builder::new()
        .ring_entries(entries)
        .build()
        .expect("a runtime")
}

/// Waits until nothing is in flight any more.
async fn settle(runtime: &Runtime) {
    for _ in 0..100_000 {
        let metrics = runtime.metrics();
        if metrics.ops_submitted == metrics.ops_completed {
            return;
        }
        sleep(Duration::from_micros(20)).await;
    }
    panic!("what was dropped is not cancelled: {:?}", runtime.metrics());
}

/// Steps while no descriptor can be made.
async fn starve(sea: &mut Sea, random: &mut Random) {
    let former = limit_fds(3); // which are open
    for _ in 0..random.below(20) {
        match random.below(3) {
            0 => sea.disk.step(random).await,
            1 => sea.door.step(random).await,
            _ => {
                let at = random.below(LINKS);
                sea.links[at].step(&sea.kept, random).await;
            }
        }
    }
    limit_fds(former);
}

fn storm(seed: u64) {
    let mut random = Random::new(seed);
    let interrupts = random.one_in(2).then(Interrupts::start);
    let starving = random.one_in(2);
    let mut runtime = build(&mut random);
    let mut sea = runtime.block_on(Sea::new(&mut random));
    for _ in 0..LIVES {
        if let Some(interrupts) = &interrupts {
            interrupts.refresh();
        }
        runtime.block_on(async {
            for _ in 0..STEPS {
                if starving && random.one_in(200) {
                    starve(&mut sea, &mut random).await;
                }
                sea.step(&mut random).await;
            }
            if random.one_in(2) {
                sea.drop_operations();
                settle(&runtime).await;
            }
        });
        if random.one_in(2) {
            // With operations in flight, which are dropped before or after.
            if random.one_in(2) {
                sea.drop_operations();
            }
            drop(runtime);
            sea.drop_operations();
            runtime = build(&mut random);
        }
    }
    let disk = runtime.block_on(async {
        let mut sea = sea;
        sea.drop_operations();
        let disk = sea.end(&mut random).await;
        settle(&runtime).await;
        disk
    });
    disk.end();
    drop(runtime);
}

/// Says which seed it was if the storm fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to replay it: CAMSHAFT_STORM_SEED={}", self.0);
        }
    }
}

/// The seeds that the environment asks for.
fn seeds() -> Box<dyn Iterator<Item = u64>> {
    let number = |name| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().expect("a number"))
    };
    if let Some(seed) = number("CAMSHAFT_STORM_SEED") {
        return Box::new(std::iter::once(seed));
    }
    let Some(seconds) = number("CAMSHAFT_STORM_SECONDS") else {
        return Box::new(0..SEEDS);
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    let first = now.as_secs() % 1_000_000 * 1000;
    Box::new((first..).take_while(move |_| Instant::now() < end))
}

#[test]
fn storms_over_everything_lose_nothing() {
    for seed in seeds() {
        let _alone = alone();
        println!("seed {seed}");
        let _seed = Seed(seed);
        let before = fds();
        storm(seed);
        assert_eq!(tracked::live(), 0, "buffers that were not freed");
        // A worker thread may still be about to close what it was given.
        while fds() != before {
            std::thread::yield_now();
        }
    }
}
