//! Long random histories against the simplest timer queue there is: a `BTreeMap` from (deadline, arming) to the value.
//!
//! A failure prints the seed; `CAMSHAFT_SEED=<seed> cargo test -p camshaft-timer --test oracle` replays it.

mod pair;

use camshaft_timer::NEVER;
use pair::{BUCKET, Numbers, Pair, Step, TICK, history};
use proptest::{collection::vec, prelude::*};

/// SplitMix64: the same seed, the same history.
struct Random(u64);

impl Random {
    fn seed(default: u64) -> u64 {
        let seed = std::env::var("CAMSHAFT_SEED").ok();
        seed.map_or(default, |seed| {
            seed.parse().expect("CAMSHAFT_SEED is a u64")
        })
    }
}

impl Numbers for Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Prints the seed if the test does not come to its end.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with CAMSHAFT_SEED={}", self.0);
        }
    }
}

#[test]
fn long_random_histories_agree_with_the_oracle() {
    for round in 0..100 {
        let seed = Random::seed(round);
        let _replay = Replay(seed);
        let mut random = Random(seed);
        let starts = [
            0,
            TICK - 1,
            1 << 50,
            random.next() >> 2,
            u64::MAX - (1 << 44),
        ];
        let mut pair = Pair::new(starts[random.index(starts.len())]);
        for _ in 0..5_000 {
            let step = random.step(&pair);
            pair.step(&step);
        }
        pair.finish();
    }
}

#[test]
fn histories_made_of_bytes_agree_with_the_oracle() {
    for round in 0..500 {
        let seed = Random::seed(round);
        let _replay = Replay(seed);
        let mut random = Random(seed);
        let bytes: Vec<u8> = (0..400).flat_map(|_| random.next().to_le_bytes()).collect();
        history(&bytes);
    }
}

#[test]
fn a_million_timers_agree_with_the_oracle() {
    let seed = Random::seed(20_260_101);
    let _replay = Replay(seed);
    let mut random = Random(seed);
    let mut pair = Pair::new(BUCKET - 7);
    for _ in 0..1_000_000 {
        pair.step(&Step::Insert(random.time(BUCKET)));
    }
    for _ in 0..300_000 {
        let step = match random.below(8) {
            0 => Step::Advance(pair.now + random.below(TICK), usize::MAX),
            1 => Step::Cancel(random.index(1_000_000)),
            2 => Step::Insert(random.time(pair.now)),
            _ => Step::Reset(random.index(1_000_000), random.time(pair.now)),
        };
        pair.step(&step);
    }
    for magnitude in 21..60 {
        pair.step(&Step::Advance(
            pair.now.saturating_add(1 << magnitude),
            usize::MAX,
        ));
    }
    pair.finish();
}

fn any_time() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..8u64,
        (0..2050u64, 0..3u64).prop_map(|(tick, off)| (tick * TICK + off).saturating_sub(1)),
        (0..6u64, 0..3u64).prop_map(|(bucket, off)| (bucket * BUCKET + off).saturating_sub(1)),
        0..8 * BUCKET,
        (0..3u64).prop_map(|off| NEVER - off),
        any::<u64>(),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let limit = prop_oneof![0..4usize, Just(usize::MAX)];
    prop_oneof![
        4 => any_time().prop_map(Step::Insert),
        2 => (0..40usize).prop_map(Step::Cancel),
        3 => (0..40usize, any_time()).prop_map(|(number, deadline)| Step::Reset(number, deadline)),
        1 => (0..40usize).prop_map(Step::Exchange),
        3 => (any_time(), limit).prop_map(|(now, limit)| Step::Advance(now, limit)),
        1 => Just(Step::Follow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Short histories, which shrink to something that a person can follow. Time runs backwards in some.
    #[test]
    fn short_histories_agree_with_the_oracle(start in any_time(), steps in vec(any_step(), 0..60)) {
        let mut pair = Pair::new(start);
        for step in &steps {
            pair.step(step);
        }
        pair.finish();
    }
}
