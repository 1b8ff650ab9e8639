//! Linux's two ways to read from files without waiting, aio and io_uring, beside those that wait.
//!
//! The file has 16 MiB and lies in the directory for temporary files (`TMPDIR`); a read takes 4 KiB from a random place.

mod loops;
mod readers;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::{env, process};

use crate::experiment::{Axis, Expectation, Experiment, Model, Outcome, Setting, Subject};
use crate::measure::{Metric, Sample};
use crate::random::Random;

/// Bytes of a read, where they must be aligned to, and what offsets are multiples of.
const BLOCK: usize = 4096;
/// Blocks of the file.
const BLOCKS: usize = 4096;

/// Makes subjects: where the file is read from, and then a model, a name and a reader each.
macro_rules! rows {
    ($from:expr) => {
        &[
            Subject::new("pread", Model::Floor, |at| {
                read($from, at, readers::one_after_another)
            })
            .up_to(1, "one thread reads one block at a time"),
            Subject::new("threads", Model::Thread, |at| {
                read($from, at, readers::threads)
            }),
            Subject::new("linux aio", Model::Historic, |at| {
                read($from, at, loops::aio)
            }),
            Subject::new("ring loop", Model::Ring, |at| read($from, at, loops::ring)),
            Subject::new("tasks", Model::Task, |at| read($from, at, readers::tasks)),
            Subject::new("fibers", Model::Fiber, |at| {
                read($from, at, readers::fibers)
            }),
        ]
    };
}

pub(crate) const EXPERIMENTS: &[Experiment] = &[DIRECT, CACHED];

const DIRECT: Experiment = Experiment {
    name: "aio_direct",
    workload: 6,
    title: "Linux aio against io_uring: reads from the disk",
    question: "Does io_uring read faster than aio where aio works as it was meant to, past the page cache (O_DIRECT)?",
    operation: "4 KiB from a random place of a file of 16 MiB",
    axis: Axis {
        label: "reads under way",
        smoke: &[16],
        quick: &[1, 16],
        full: &[1, 4, 16, 64, 256],
    },
    metric: Metric::Wall,
    also: &[Metric::Cpu],
    expectations: &[
        Expectation::ratio(
            "The disk takes its time, whoever asks: aio and io_uring tie.",
            Metric::Wall,
            "ring loop",
            "linux aio",
            None,
            (0.9, 1.1),
        ),
        Expectation::ratio(
            "Sixteen threads keep a disk as busy as one that need not wait.",
            Metric::Wall,
            "threads",
            "linux aio",
            Some(16),
            (0.9, 1.3),
        ),
        Expectation::ratio(
            "Fibers and tasks tie.",
            Metric::Wall,
            "fibers",
            "tasks",
            None,
            (0.9, 1.1),
        ),
    ],
    control: "linux aio",
    subjects: rows!(Source::Disk),
};

const CACHED: Experiment = Experiment {
    name: "aio_cached",
    title: "Linux aio against io_uring: reads from the page cache",
    question: "And where aio was not meant to work, with what is in memory already?",
    axis: Axis {
        label: "reads under way",
        smoke: &[1, 16],
        quick: &[1, 16],
        full: &[1, 4, 16, 64, 256],
    },
    expectations: &[
        Expectation::ratio(
            "Two calls instead of one, and io_submit does the reading itself.",
            Metric::Wall,
            "linux aio",
            "pread",
            Some(1),
            (1.3, 2.5),
        ),
        Expectation::ratio(
            "io_uring needs one call for a batch, aio needs two; the copying is the same.",
            Metric::Wall,
            "ring loop",
            "linux aio",
            Some(16),
            (0.7, 1.0),
        ),
        Expectation::ratio(
            "Our runtime tries what is cached without the ring, and that costs a call for each read.",
            Metric::Wall,
            "tasks",
            "ring loop",
            Some(16),
            (0.8, 1.2),
        ),
        Expectation::ratio(
            "Fibers and tasks tie.",
            Metric::Wall,
            "fibers",
            "tasks",
            None,
            (0.95, 1.1),
        ),
        Expectation::ratio(
            "A thread that finds everything in memory never waits, and never switches.",
            Metric::Wall,
            "threads",
            "linux aio",
            Some(16),
            (0.5, 1.0),
        ),
    ],
    subjects: rows!(Source::Cache),
    ..DIRECT
};

/// Where the bytes come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    Disk,
    Cache,
}

/// Reads for the time of the setting, with so many reads under way.
type Reader = fn(&Blocks, Setting) -> anyhow::Result<Sample>;

fn read(from: Source, setting: Setting, reader: Reader) -> anyhow::Result<Outcome> {
    let file = match Blocks::filled(from) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let why = format!("no O_DIRECT in {}", env::temp_dir().display());
            return Ok(Outcome::Skipped(why));
        }
        file => file?,
    };
    Ok(reader(&file, setting)?.into())
}

/// A file that is removed when this is dropped.
#[derive(Debug)]
struct Blocks {
    path: PathBuf,
    from: Source,
}

impl Blocks {
    /// With blocks that begin with their offset, on the disk.
    fn filled(from: Source) -> io::Result<Self> {
        let path = env::temp_dir().join(format!("camshaft-compare-{}", process::id()));
        let this = Self { path, from };
        let mut file = File::create(&this.path)?;
        let mut bytes = vec![0; BLOCK * BLOCKS];
        for (number, block) in bytes.chunks_exact_mut(BLOCK).enumerate() {
            block[..8].copy_from_slice(&offset(number).to_le_bytes());
        }
        file.write_all(&bytes)?;
        file.sync_all()?;
        this.open()?;
        Ok(this)
    }

    /// The flags to open it with.
    fn flags(&self) -> i32 {
        match self.from {
            Source::Disk => libc::O_DIRECT,
            Source::Cache => 0,
        }
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .custom_flags(self.flags())
            .open(&self.path)
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // It is in a directory for what nobody misses.
        let _ = fs::remove_file(&self.path);
    }
}

fn offset(block: usize) -> u64 {
    (block * BLOCK) as u64
}

/// Places that look random, other ones for each seed.
#[derive(Debug)]
struct Places(Random);

impl Places {
    fn new(seed: usize) -> Self {
        Self(Random::new(seed as u64))
    }

    /// The offset of a block.
    fn next(&mut self) -> u64 {
        self.0.below(BLOCKS as u64) * BLOCK as u64
    }
}

/// Fails unless a block is the one at an offset.
fn check(block: &[u8], count: usize, offset: u64) -> io::Result<()> {
    if count == BLOCK && block.starts_with(&offset.to_le_bytes()) {
        return Ok(());
    }
    Err(io::Error::other(format!("{count} bytes of another block")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Scale;

    #[test]
    fn every_reader_reads_blocks() {
        let readers: [(&str, Reader); 5] = [
            ("threads", readers::threads),
            ("aio", loops::aio),
            ("ring", loops::ring),
            ("tasks", readers::tasks),
            ("fibers", readers::fibers),
        ];
        let file = Blocks::filled(Source::Cache).unwrap();
        let setting = Setting {
            at: 4,
            scale: Scale::Smoke,
        };
        for (name, reader) in readers {
            let sample = reader(&file, setting);
            let ops = sample
                .unwrap_or_else(|error| panic!("{name}: {error:#}"))
                .ops;
            assert!(ops >= 4, "{name}: {ops}");
        }
    }
}
