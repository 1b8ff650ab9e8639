//! Who hands reads over to the kernel and takes what is done: bare loops on aio and on io_uring.
//!
//! Invariant **IN FLIGHT**: a loop returns only when nothing is under way any more, or fails and lets its process end; until
//! then buffers and blocks neither move nor are freed.

use std::io;
use std::mem::forget;
use std::os::fd::AsRawFd;

use camshaft::buf::AlignedBuf;
use io_uring::types::Fd;
use io_uring::{IoUring, opcode};

use super::{BLOCK, Blocks, Places, check};
use crate::experiment::Setting;
use crate::measure::{Meter, Sample};
use crate::models::aio::{Block, Queue};
use crate::net::no_ring;

/// Reads between two looks at the clock.
const BATCH: u64 = 32;

/// Places for reads, each with a buffer.
struct Slots {
    buffers: Vec<AlignedBuf>,
    offsets: Vec<u64>,
    places: Places,
    /// Slots whose read is to be handed over.
    free: Vec<usize>,
    under_way: usize,
    done: u64,
    meter: Meter,
    setting: Setting,
}

impl Slots {
    fn new(setting: Setting) -> Self {
        let count = setting.count();
        Self {
            buffers: (0..count).map(|_| AlignedBuf::zeroed(BLOCK)).collect(),
            offsets: vec![0; count],
            places: Places::new(0),
            free: (0..count).collect(),
            under_way: 0,
            done: 0,
            meter: Meter::start(),
            setting,
        }
    }

    /// The next slot, and the offset to read at; `None` if all are under way, or the time is over.
    fn next(&mut self, over: bool) -> Option<(usize, u64)> {
        if over {
            return None;
        }
        let slot = self.free.pop()?;
        self.offsets[slot] = self.places.next();
        self.under_way += 1;
        Some((slot, self.offsets[slot]))
    }

    fn finish(&mut self, slot: usize, count: usize) -> io::Result<()> {
        check(&self.buffers[slot], count, self.offsets[slot])?;
        self.free.push(slot);
        self.under_way -= 1;
        self.done += 1;
        Ok(())
    }

    /// Hands over and takes back, turn by turn, until the time is over and nothing is under way.
    fn run(
        mut self,
        mut turn: impl FnMut(&mut Self, bool) -> io::Result<()>,
    ) -> anyhow::Result<Sample> {
        let (mut over, mut look) = (false, BATCH);
        loop {
            if self.done >= look {
                over = self.meter.is_over(self.setting);
                look += BATCH;
            }
            if over && self.under_way == 0 {
                return Ok(self.meter.stop(self.done));
            }
            if let Err(error) = turn(&mut self, over) {
                // IN FLIGHT.
                forget(self);
                return Err(error.into());
            }
        }
    }
}

/// On Linux's older asynchronous I/O.
pub(super) fn aio(blocks: &Blocks, setting: Setting) -> anyhow::Result<Sample> {
    let file = blocks.open()?;
    let slots = Slots::new(setting);
    let mut requests: Vec<Box<Block>> = (0..setting.count()).map(|_| Box::default()).collect();
    let mut queue = Queue::new(u32::try_from(setting.at)?)?;
    let mut next = Vec::new();
    slots.run(|slots, over| {
        while let Some((slot, offset)) = slots.next(over) {
            let buffer = &raw mut slots.buffers[slot][..];
            *requests[slot] = Block::read(slot, file.as_raw_fd(), buffer, offset);
            next.push(&raw mut *requests[slot]);
        }
        // SAFETY: IN FLIGHT. The queue is dropped before the requests are, and waits for what is under way then.
        unsafe { queue.submit(&next) }?;
        next.clear();
        for event in queue.wait()? {
            let count = usize::try_from(event.result()?).map_err(io::Error::other)?;
            slots.finish(event.token(), count)?;
        }
        Ok(())
    })
}

/// On a ring.
pub(super) fn ring(blocks: &Blocks, setting: Setting) -> anyhow::Result<Sample> {
    let file = blocks.open()?;
    let slots = Slots::new(setting);
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all();
    let mut ring: IoUring = builder
        .build(u32::try_from(setting.at)?)
        .map_err(|error| no_ring(&error))?;
    let length = u32::try_from(BLOCK)?;
    slots.run(|slots, over| {
        while let Some((slot, offset)) = slots.next(over) {
            let buffer = slots.buffers[slot].as_mut_ptr();
            let read = opcode::Read::new(Fd(file.as_raw_fd()), buffer, length).offset(offset);
            let entry = read.build().user_data(slot as u64);
            // SAFETY: IN FLIGHT.
            unsafe { ring.submission().push(&entry) }.map_err(io::Error::other)?;
        }
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            let slot = usize::try_from(completion.user_data()).map_err(io::Error::other)?;
            let count = usize::try_from(completion.result())
                .map_err(|_| io::Error::from_raw_os_error(-completion.result()))?;
            slots.finish(slot, count)?;
        }
        Ok(())
    })
}
