//! The workloads on files, generic over the system, and the plain system calls as their floor.
//!
//! The file lies in the directory for temporary files (`TMPDIR`), and in the page cache.
//!
//! - **A read** takes 4 KiB from a random place of 64 MiB, alone or with 32 tasks at it, each with a handle of its own. Each block
//!   consists of its offset, and both its ends are checked.
//! - **A write** appends 64 KiB that begin with their offset. After 16 MiB the file is synced (`fdatasync`) and begun anew; that
//!   is part of it. At the end of the window the file is looked at.
//!
//! Each system has the calls that take an offset, if it has any; else it seeks. CPU time is that of the process: what the
//! kernel's own threads do for a sync is left out, for all systems alike.

use std::cell::Cell;
use std::env;
use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process;
use std::rc::Rc;

use crate::measure::{Meter, Sample};
use crate::tasks::{Tasks, in_task};
use crate::workload::{Scale, Workload};

/// Bytes of one read.
pub(crate) const BLOCK: usize = 4096;
/// Bytes of the file that is read.
const LENGTH: usize = 64 << 20;
/// Tasks of the workload with several.
pub(crate) const DEPTH: usize = 32;
/// Bytes of one write.
pub(crate) const PIECE: usize = 64 << 10;
/// Bytes between two syncs.
pub(crate) const SPAN: usize = 16 << 20;
/// What is written.
pub(crate) const FILLING: u8 = 7;
/// Reads between two looks at the clock.
const BATCH: u64 = 256;

/// What a system must offer for these workloads.
pub(crate) trait Files: Tasks {
    /// An open file.
    type File: 'static;
    /// Opens a file for reading.
    fn open(path: PathBuf) -> impl Future<Output = io::Result<Self::File>>;
    /// Makes or empties a file, and opens it for writing.
    fn create(path: PathBuf) -> impl Future<Output = io::Result<Self::File>>;
    /// Reads as much as `buf` has capacity for from an offset.
    fn read_at(
        file: &mut Self::File,
        buf: Vec<u8>,
        offset: u64,
    ) -> impl Future<Output = io::Result<Vec<u8>>>;
    /// Writes all of `buf` at an offset that is the end of the file.
    fn append(
        file: &mut Self::File,
        buf: Vec<u8>,
        offset: u64,
    ) -> impl Future<Output = io::Result<Vec<u8>>>;
    /// Waits for the disk.
    fn sync(file: &mut Self::File) -> impl Future<Output = io::Result<()>>;
}

/// Whether a workload is one of these.
pub(crate) fn is_files(workload: Workload) -> bool {
    matches!(
        workload,
        Workload::CachedRead1 | Workload::CachedRead32 | Workload::BufferedWrite
    )
}

/// Runs one of these workloads; `None` if `workload` is another.
pub(crate) fn measure<S: Files>(workload: Workload, scale: Scale) -> Option<io::Result<Sample>> {
    Some(match workload {
        Workload::CachedRead1 => in_task::<S, _>(read::<S>(1, scale)).flatten(),
        Workload::CachedRead32 => in_task::<S, _>(read::<S>(DEPTH, scale)).flatten(),
        Workload::BufferedWrite => in_task::<S, _>(write::<S>(scale)).flatten(),
        _ => return None,
    })
}

/// The same by system calls that wait, one at a time.
pub(crate) fn measure_calls(workload: Workload, scale: Scale) -> Option<io::Result<Sample>> {
    Some(match workload {
        Workload::CachedRead1 | Workload::CachedRead32 => read_calls(scale),
        Workload::BufferedWrite => write_calls(scale),
        _ => return None,
    })
}

/// A file that is removed when this is dropped, if not before.
pub(crate) struct Temporary(pub(crate) PathBuf);

impl Temporary {
    /// A path where nothing is yet.
    pub(crate) fn new() -> Self {
        Self(env::temp_dir().join(format!("camshaft-peers-{}", process::id())))
    }

    /// With the blocks that are read.
    pub(crate) fn filled() -> io::Result<Self> {
        let file = Self::new();
        let blocks = (0..LENGTH as u64).step_by(BLOCK);
        let words = blocks.flat_map(|offset| offset.to_le_bytes().repeat(BLOCK / 8));
        fs::write(&file.0, words.collect::<Vec<u8>>())?;
        Ok(file)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Places that look random, other ones for each seed.
pub(crate) struct Places(u64);

impl Places {
    /// The seed is not zero.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The offset of a block.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % (LENGTH / BLOCK) as u64 * BLOCK as u64
    }
}

/// Fails unless it is the whole block at `offset`.
pub(crate) fn check_block(block: &[u8], offset: u64) -> io::Result<()> {
    let word = offset.to_le_bytes();
    if block.len() == BLOCK && block.starts_with(&word) && block.ends_with(&word) {
        return Ok(());
    }
    Err(io::Error::other(
        "a read of a cached block brought something else",
    ))
}

/// Has a piece begin with its offset.
pub(crate) fn stamp(piece: &mut [u8], offset: u64) {
    let word = offset.to_le_bytes();
    piece[..word.len()].copy_from_slice(&word);
}

/// Fails unless all pieces were written where they belong.
pub(crate) fn check_written(temporary: &Temporary) -> io::Result<()> {
    let written = fs::read(&temporary.0)?;
    let mut pieces = (0..).step_by(PIECE).zip(written.chunks(PIECE));
    let right = |(offset, piece): (u64, &[u8])| {
        let (word, rest) = piece.split_at(8);
        word == offset.to_le_bytes() && rest.iter().all(|byte| *byte == FILLING)
    };
    if written.len() == SPAN && pieces.all(right) {
        return Ok(());
    }
    Err(io::Error::other("something else was written"))
}

async fn read<S: Files>(depth: usize, scale: Scale) -> io::Result<Sample> {
    let temporary = Temporary::filled()?;
    let mut files = Vec::new();
    for _ in 0..depth {
        files.push(S::open(temporary.0.clone()).await?);
    }
    drop(temporary);
    let mut readers = Vec::new();
    for (seed, file) in (1..).zip(files) {
        readers.push(Reader::<S>::new(file, seed));
    }
    for reader in &mut readers {
        reader.read(1000 / depth as u64).await?;
    }
    let over = Rc::new(Cell::new(false));
    let meter = Rc::new(Meter::start());
    let mut tasks = Vec::new();
    for mut reader in readers {
        let (meter, over) = (meter.clone(), over.clone());
        tasks.push(S::spawn(async move {
            let mut count = 0;
            while !over.get() {
                reader.read(BATCH / depth as u64).await?;
                count += BATCH / depth as u64;
                over.set(over.get() || meter.is_over(scale));
            }
            Ok::<_, io::Error>(count)
        }));
    }
    let mut count = 0;
    for task in tasks {
        count += task.await?;
    }
    Ok(meter.stop(count))
}

struct Reader<S: Files> {
    file: S::File,
    places: Places,
    buf: Vec<u8>,
}

impl<S: Files> Reader<S> {
    fn new(file: S::File, seed: u64) -> Self {
        Self {
            file,
            places: Places::new(seed),
            buf: Vec::with_capacity(BLOCK),
        }
    }

    async fn read(&mut self, count: u64) -> io::Result<()> {
        for _ in 0..count {
            let mut buf = std::mem::take(&mut self.buf);
            buf.clear();
            let offset = self.places.next();
            self.buf = S::read_at(&mut self.file, buf, offset).await?;
            check_block(&self.buf, offset)?;
        }
        Ok(())
    }
}

async fn write<S: Files>(scale: Scale) -> io::Result<Sample> {
    let temporary = Temporary::new();
    let mut buf = vec![FILLING; PIECE];
    let meter = Meter::start();
    let mut written = 0;
    while !meter.is_over(scale) {
        let mut file = S::create(temporary.0.clone()).await?;
        for offset in (0..SPAN).step_by(PIECE) {
            stamp(&mut buf, offset as u64);
            buf = S::append(&mut file, buf, offset as u64).await?;
        }
        S::sync(&mut file).await?;
        written += SPAN;
    }
    let sample = meter.stop((written >> 10) as u64);
    check_written(&temporary)?;
    Ok(sample)
}

fn read_calls(scale: Scale) -> io::Result<Sample> {
    let file = open_filled()?;
    let (mut places, mut buf) = (Places::new(1), vec![0; BLOCK]);
    let meter = Meter::start();
    let mut count = 0;
    while !meter.is_over(scale) {
        for _ in 0..BATCH {
            let offset = places.next();
            let read = file.read_at(&mut buf, offset)?;
            check_block(&buf[..read], offset)?;
        }
        count += BATCH;
    }
    Ok(meter.stop(count))
}

fn write_calls(scale: Scale) -> io::Result<Sample> {
    let temporary = Temporary::new();
    let mut buf = vec![FILLING; PIECE];
    let meter = Meter::start();
    let mut written = 0;
    while !meter.is_over(scale) {
        let file = fs::File::create(&temporary.0)?;
        for offset in (0..SPAN).step_by(PIECE) {
            stamp(&mut buf, offset as u64);
            file.write_all_at(&buf, offset as u64)?;
        }
        file.sync_data()?;
        written += SPAN;
    }
    let sample = meter.stop((written >> 10) as u64);
    check_written(&temporary)?;
    Ok(sample)
}

/// Opens what floors read.
pub(crate) fn open_filled() -> io::Result<fs::File> {
    let temporary = Temporary::filled()?;
    fs::File::open(&temporary.0)
}
