//! Who reads one block after another, and waits for each: a thread, a task, a fiber.

use std::cell::Cell;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use camshaft::buf::AlignedBuf;
use camshaft::fs::File;
use camshaft::runtime::Backend;
use camshaft::task::JoinHandle;

use super::{BLOCK, Blocks, Places, check};
use crate::experiment::Setting;
use crate::measure::{Meter, Sample, repeat};
use crate::models::stacks;
use crate::net::block_on;
use crate::twice::twice;

/// Reads between two looks at the clock.
const BATCH: u64 = 32;

/// One thread that waits for each block.
pub(super) fn one_after_another(blocks: &Blocks, setting: Setting) -> anyhow::Result<Sample> {
    let file = blocks.open()?;
    let mut buffer = AlignedBuf::zeroed(BLOCK);
    let (mut places, mut result) = (Places::new(0), Ok(()));
    let sample = repeat(setting, || {
        for _ in 0..BATCH {
            let offset = places.next();
            let read = file.read_at(&mut buffer, offset);
            result = read.and_then(|count| check(&buffer, count, offset));
            if result.is_err() {
                break;
            }
        }
        BATCH
    });
    result?;
    Ok(sample)
}

/// As many threads as there are to be reads under way.
pub(super) fn threads(blocks: &Blocks, setting: Setting) -> anyhow::Result<Sample> {
    let file = blocks.open()?;
    let ops = AtomicU64::new(0);
    let meter = Meter::start();
    thread::scope(|scope| -> io::Result<()> {
        let start = |seed| {
            let (file, ops, meter) = (&file, &ops, &meter);
            let read = move || -> io::Result<()> {
                let (mut buffer, mut places) = (AlignedBuf::zeroed(BLOCK), Places::new(seed));
                while !meter.is_over(setting) {
                    for _ in 0..BATCH {
                        let offset = places.next();
                        let count = file.read_at(&mut buffer, offset)?;
                        check(&buffer, count, offset)?;
                    }
                    ops.fetch_add(BATCH, Ordering::Relaxed);
                }
                Ok(())
            };
            thread::Builder::new()
                .stack_size(stacks::SIZE)
                .spawn_scoped(scope, read)
        };
        let threads: Vec<_> = (0..setting.count()).map(start).collect::<io::Result<_>>()?;
        threads.into_iter().try_for_each(|thread| {
            let panicked = |_| Err(io::Error::other("a reader panicked"));
            thread.join().unwrap_or_else(panicked)
        })
    })?;
    Ok(meter.stop(ops.into_inner()))
}

/// What readers on one thread share.
pub(super) struct Shared {
    file: File,
    meter: Meter,
    ops: Cell<u64>,
    setting: Setting,
}

twice! {
    /// Reads until the time is over.
    fn read(shared: Rc<Shared>, seed: usize) -> io::Result<()> {
        let (mut buffer, mut places) = (AlignedBuf::zeroed(BLOCK), Places::new(seed));
        while !shared.meter.is_over(shared.setting) {
            for _ in 0..BATCH {
                let offset = places.next();
                let (result, filled) = wait!(shared.file.read_at(buffer, offset));
                check(&filled, result?, offset)?;
                buffer = filled;
            }
            shared.ops.set(shared.ops.get() + BATCH);
        }
        Ok(())
    }
}

/// As many tasks as there are to be reads under way.
pub(super) fn tasks(blocks: &Blocks, setting: Setting) -> anyhow::Result<Sample> {
    all(blocks, setting, |shared, seed| {
        camshaft::spawn(read::task(shared, seed))
    })
}

/// As many fibers as there are to be reads under way.
pub(super) fn fibers(blocks: &Blocks, setting: Setting) -> anyhow::Result<Sample> {
    all(blocks, setting, |shared, seed| {
        camshaft::fiber::spawn(move || read::fiber(shared, seed))
    })
}

fn all(
    blocks: &Blocks,
    setting: Setting,
    spawn: impl Fn(Rc<Shared>, usize) -> JoinHandle<io::Result<()>>,
) -> anyhow::Result<Sample> {
    let file = File::from_std(blocks.open()?);
    block_on(Backend::IoUring, async {
        let shared = Rc::new(Shared {
            file,
            meter: Meter::start(),
            ops: Cell::new(0),
            setting,
        });
        let start = |seed| spawn(shared.clone(), seed);
        let handles: Vec<_> = (0..setting.count()).map(start).collect();
        for handle in handles {
            handle.await??;
        }
        Ok(shared.meter.stop(shared.ops.get()))
    })
}
