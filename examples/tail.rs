//! Follows a file that exists as `tail -F` does: prints its last lines, and then whatever is appended to it.
//!
//! Run it with `cargo run --example tail -- FILE [LINES]` and append to the file; cut it short, or put another in its place, as
//! those do who rotate logs. Nothing is looked at before the kernel says, by inotify through an `AsyncFd`, that something
//! has happened. Ctrl-C ends it.

use std::io::SeekFrom;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use camshaft::fs::{self, File, Metadata};
use camshaft::io::{self, AsyncFd, Interest};
use camshaft::signal::ctrl_c;
use futures_lite::future::or;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// How much is read at once in search of the last lines.
const CHUNK: u64 = 64 << 10;

#[camshaft::main]
async fn main() -> Result<()> {
    let (path, lines) = arguments()?;
    let interrupted = async { Ok(ctrl_c().await?) };
    or(follow(&path, lines), interrupted).await
}

async fn follow(path: &Path, lines: usize) -> Result<()> {
    let watcher = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
        .context("cannot watch files; see the sysctl fs.inotify.max_user_instances")?;
    let watcher = AsyncFd::with_interest(watcher, Interest::READABLE)?;
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    watch(
        &watcher,
        folder.unwrap_or(Path::new(".")),
        WatchFlags::CREATE | WatchFlags::MOVED_TO,
    )?;

    let mut file = open(path, &watcher).await?;
    let start = start_of_last(lines, &file).await?;
    file.seek(SeekFrom::Start(start)).await?;
    loop {
        io::copy(&mut &file, &mut io::stdout()).await?;
        let known = file.metadata().await?;
        let is_another = |it: Metadata| (it.dev(), it.ino()) != (known.dev(), known.ino());
        // If it is gone, another one may come; until then this one is followed.
        if fs::metadata(path).await.is_ok_and(is_another) {
            io::copy(&mut &file, &mut io::stdout()).await?; // what came to the old one last
            eprintln!("{path:?} was replaced; following the new file");
            file = open(path, &watcher).await?;
        } else if known.len() < file.stream_position().await? {
            eprintln!("{path:?} was cut short; going on at its start");
            file.rewind().await?;
        } else {
            // How many events there were, and of what kind, is of no matter.
            let read = |fd: &_| Ok(rustix::io::read(fd, &mut [0; 4096])?);
            watcher.async_io(Interest::READABLE, read).await?;
        }
    }
}

fn watch(watcher: impl AsFd, path: &Path, what: WatchFlags) -> Result<()> {
    let watched = inotify::add_watch(watcher, path, what);
    watched.with_context(|| format!("cannot watch {path:?}, where the file is to be"))?;
    Ok(())
}

/// Opens the file, and has the kernel tell of its changes from then on.
async fn open(path: &Path, watcher: impl AsFd) -> Result<File> {
    let file = File::open(path).await;
    let file = file.with_context(|| format!("cannot open {path:?}"))?;
    let is_regular = file.metadata().await?.is_file();
    ensure!(
        is_regular,
        "{path:?} is a directory or a device; name a regular file"
    );
    watch(watcher, path, WatchFlags::MODIFY)?;
    Ok(file)
}

/// Where the last lines begin. It is looked for from the end, so that a long file is not read from its start.
async fn start_of_last(mut lines: usize, file: &File) -> Result<u64> {
    let len = file.metadata().await?.len();
    let mut start = if lines == 0 { 0 } else { len };
    let mut after = len;
    while start > 0 {
        start = start.saturating_sub(CHUNK);
        let room = Vec::with_capacity(usize::try_from(after - start)?);
        let (read, chunk) = file.read_exact_at(room, start).await;
        read.context("the file was cut short while its last lines were looked for")?;
        for byte in chunk.iter().rev() {
            // The very last newline belongs to the last line.
            lines -= usize::from(*byte == b'\n' && after < len);
            if lines == 0 {
                return Ok(after);
            }
            after -= 1;
        }
    }
    Ok(after)
}

fn arguments() -> Result<(PathBuf, usize)> {
    const USAGE: &str = "usage: tail FILE [LINES], such as: tail /var/log/syslog 20";
    let mut arguments = std::env::args_os().skip(1);
    let path = arguments.next().context(USAGE)?;
    let lines = arguments.next().unwrap_or_else(|| "10".into());
    let lines = lines
        .to_str()
        .and_then(|it| it.parse().ok())
        .context(USAGE)?;
    Ok((path.into(), lines))
}
