//! The completion floor on files: a raw ring that is entered once for a batch of completions, without tasks or futures.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;

use io_uring::types::{Fd, FsyncFlags};
use io_uring::{IoUring, opcode};

use crate::files::{
    BLOCK, DEPTH, FILLING, PIECE, Places, SPAN, Temporary, check_block, check_written, open_filled,
    stamp,
};
use crate::measure::{Meter, Sample};
use crate::workload::{Scale, Workload};

const READ: u16 = 4096;
const WRITTEN: u32 = 64 << 10;
/// Reads between two looks at the clock.
const BATCH: u64 = 256;

const _: () = assert!(READ as usize == BLOCK && WRITTEN as usize == PIECE);

/// Runs a workload on files; `None` if `workload` is another.
pub(super) fn measure(workload: Workload, scale: Scale) -> Option<io::Result<Sample>> {
    Some(match workload {
        Workload::CachedRead1 => read(1, scale),
        Workload::CachedRead32 => read(DEPTH, scale),
        Workload::BufferedWrite => write(scale),
        _ => return None,
    })
}

fn ring() -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_no_sqarray();
    builder.build(64)
}

fn read(depth: usize, scale: Scale) -> io::Result<Sample> {
    let (file, mut ring) = (open_filled()?, ring()?);
    let mut bufs = vec![vec![0_u8; BLOCK]; depth];
    let (mut places, mut offsets) = (Places::new(1), vec![0; depth]);
    let mut free: Vec<usize> = (0..depth).collect();
    let (mut done, mut look) = (0, BATCH);
    let meter = Meter::start();
    loop {
        if done >= look {
            if meter.is_over(scale) {
                return Ok(meter.stop(done));
            }
            look = done + BATCH;
        }
        for place in free.drain(..) {
            let (memory, len) = (bufs[place].as_mut_ptr(), u32::from(READ));
            offsets[place] = places.next();
            let read = opcode::Read::new(Fd(file.as_raw_fd()), memory, len).offset(offsets[place]);
            // SAFETY: the buffers outlive the ring's last completion, or the process ends.
            unsafe {
                ring.submission()
                    .push(&read.build().user_data(place as u64))
            }
            .map_err(io::Error::other)?;
        }
        ring.submit_and_wait(1)?;
        for completion in ring.completion() {
            if completion.result() != i32::from(READ) {
                return Err(io::Error::other("a read of a cached block was short"));
            }
            let place = usize::try_from(completion.user_data()).map_err(io::Error::other)?;
            check_block(&bufs[place], offsets[place])?;
            free.push(place);
            done += 1;
        }
    }
}

fn write(scale: Scale) -> io::Result<Sample> {
    let (temporary, mut ring) = (Temporary::new(), ring()?);
    let mut buf = vec![FILLING; PIECE];
    let meter = Meter::start();
    let mut written = 0;
    while !meter.is_over(scale) {
        let file = fs::File::create(&temporary.0)?;
        let fd = Fd(file.as_raw_fd());
        for offset in (0..SPAN as u64).step_by(PIECE) {
            stamp(&mut buf, offset);
            let write = opcode::Write::new(fd, buf.as_ptr(), WRITTEN).offset(offset);
            one(&mut ring, &write.build())?;
        }
        let sync = opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC);
        one(&mut ring, &sync.build())?;
        written += SPAN >> 10;
    }
    let sample = meter.stop(written as u64);
    check_written(&temporary)?;
    Ok(sample)
}

/// Hands over one entry and waits for it.
fn one(ring: &mut IoUring, entry: &io_uring::squeue::Entry) -> io::Result<()> {
    // SAFETY: what the entry points to outlives this call, which waits for it.
    unsafe { ring.submission().push(entry) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    match ring
        .completion()
        .next()
        .map(|completion| completion.result())
    {
        Some(0..) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(-errno)),
        None => Err(io::Error::other("nothing was completed")),
    }
}
