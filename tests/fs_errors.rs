//! What the system refuses: paths that lead nowhere, rights, limits, full and broken disks. The buffer comes back each time.

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::ffi::CString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use camshaft::fs::{self, DirBuilder, File, OpenOptions};
use common::{alone, fds, isolated, limit_fds, runtime, turn};
use scratch::{Scratch, pattern};

/// A small file system in memory; `None` where this process may not mount one.
struct Small(PathBuf);

impl Small {
    fn new(scratch: &Scratch, size: &str) -> Option<Self> {
        let path = scratch.at("small");
        std::fs::create_dir(&path).unwrap();
        let target = CString::new(path.as_os_str().as_bytes()).unwrap();
        let options = CString::new(format!("size={size}")).unwrap();
        let tmpfs = c"tmpfs".as_ptr();
        // SAFETY: strings that end in zero.
        let mounted =
            unsafe { libc::mount(tmpfs, target.as_ptr(), tmpfs, 0, options.as_ptr().cast()) };
        if mounted != 0 {
            eprintln!(
                "no file system can be mounted here: {}",
                std::io::Error::last_os_error()
            );
            return None;
        }
        Some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let target = CString::new(self.0.as_os_str().as_bytes()).unwrap();
        // SAFETY: a string that ends in zero.
        unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) };
    }
}

#[test]
fn paths_that_lead_nowhere() {
    let _alone = alone();
    let scratch = Scratch::new();
    let file = scratch.file("file", "x");
    std::os::unix::fs::symlink("loop", scratch.at("loop")).unwrap();
    runtime().block_on(async {
        let long = scratch.at(&"n".repeat(300));
        for (path, kind) in [
            (scratch.at("missing"), ErrorKind::NotFound),
            (scratch.at("missing/file"), ErrorKind::NotFound),
            (PathBuf::new(), ErrorKind::NotFound),
            (file.join("below"), ErrorKind::NotADirectory),
            (long, ErrorKind::InvalidFilename),
            (PathBuf::from("a\0b"), ErrorKind::InvalidInput),
        ] {
            let before = fds();
            let errors = [
                File::open(&path).await.map(drop),
                OpenOptions::new().append(true).open(&path).await.map(drop),
                fs::read(&path).await.map(drop),
                fs::read_to_string(&path).await.map(drop),
                fs::copy(&path, scratch.at("copy")).await.map(drop),
                fs::metadata(&path).await.map(drop),
                fs::symlink_metadata(&path).await.map(drop),
                fs::rename(&path, scratch.at("renamed")).await,
                fs::remove_file(&path).await,
                fs::remove_dir(&path).await,
                fs::remove_dir_all(&path).await,
                fs::hard_link(&path, scratch.at("link")).await,
                fs::read_dir(&path).await.map(drop),
                fs::read_link(&path).await.map(drop),
                fs::canonicalize(&path).await.map(drop),
                fs::tempfile_in(&path).await.map(drop),
                DirBuilder::new().create(path.join("a/b")).await,
            ];
            for (n, error) in errors.into_iter().enumerate() {
                let error = error.unwrap_err();
                assert_eq!(error.kind(), kind, "{n}: {} {error}", path.display());
            }
            assert_eq!(fds(), before);
        }
        let error = fs::symlink("somewhere", "a\0b").await.unwrap_err();
        assert!(error.to_string().contains("zero byte"));
        let around = scratch.at("loop");
        assert_eq!(
            fs::read(&around).await.unwrap_err().raw_os_error(),
            Some(libc::ELOOP)
        );
        let nofollow = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW)
            .clone();
        assert_eq!(
            nofollow.open(&around).await.unwrap_err().raw_os_error(),
            Some(libc::ELOOP)
        );
    });
}

#[test]
fn rights_that_even_root_lacks() {
    let _alone = alone();
    runtime().block_on(async {
        let error = fs::write("/proc/version", "x").await.unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error}");
        assert!(fs::create_dir("/proc/directory").await.is_err());
        assert!(fs::remove_file("/proc/version").await.is_err());
        // A descriptor for one direction.
        let reader = File::open("/dev/zero").await.unwrap();
        let (result, buf) = reader.write_all("kept").await;
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
        assert_eq!(buf, "kept");
        let scratch = Scratch::new();
        let writer = File::create(scratch.at("written")).await.unwrap();
        for _ in 0..3 {
            let (result, buf) = writer.read(Vec::with_capacity(8)).await;
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
            assert_eq!(buf.capacity(), 8);
        }
        let file = File::open(scratch.at("written")).await.unwrap();
        let error = file.set_len(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn without_descriptors_nothing_is_opened_and_nothing_lost() {
    isolated(
        "without_descriptors_nothing_is_opened_and_nothing_lost",
        || {
            let scratch = Scratch::new();
            let path = scratch.file("file", "contents");
            runtime().block_on(async {
                let file = File::open(&path).await.unwrap();
                turn().await;
                let before = fds();
                let former = limit_fds(before as u64);
                // The next free numbers may lie below the limit.
                let mut filled = Vec::new();
                while let Ok(fd) = std::fs::File::open("/dev/null") {
                    filled.push(fd);
                }
                for _ in 0..3 {
                    let error = File::open(&path).await.unwrap_err();
                    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                    assert!(fs::read(&path).await.is_err());
                    assert!(fs::read_dir(scratch.path()).await.is_err());
                    assert!(fs::tempfile_in(scratch.path()).await.is_err());
                    assert!(file.try_clone().await.is_err());
                }
                // What is open works on.
                assert_eq!(file.read_to_end(Vec::new()).await.1, b"contents");
                // To go back to std takes no other one.
                let file = file.into_std().unwrap();
                filled.clear();
                limit_fds(former);
                assert_eq!(fds(), before);
                assert_eq!(fs::read(&path).await.unwrap(), b"contents");
                drop(file);
            });
        },
    );
}

#[test]
fn a_full_disk() {
    let _alone = alone();
    let scratch = Scratch::new();
    runtime().block_on(async {
        let full = OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .await
            .unwrap();
        for _ in 0..3 {
            let (result, buf) = full.write_all("kept").await;
            assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
            assert_eq!(buf, "kept");
        }
        let Some(small) = Small::new(&scratch, "256k") else {
            return;
        };
        let path = small.0.join("file");
        let error = fs::write(&path, pattern(300 << 10)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let written = std::fs::metadata(&path).unwrap().len();
        fs::remove_file(&path).await.unwrap();
        let file = File::create_new(&path).await.unwrap();
        let (result, buf) = file.write_all(pattern(300 << 10)).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(buf == pattern(300 << 10));
        // The position lies behind what was written.
        assert_eq!(file.stream_position().await.unwrap(), written);
        let (result, _) = file.write("more").await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
        file.set_len(100_000).await.unwrap();
        file.rewind().await.unwrap();
        // A part that fits is written, and counted.
        file.seek(std::io::SeekFrom::Start(100_000)).await.unwrap();
        let (result, _) = file.write(pattern(300 << 10)).await;
        let n = result.unwrap();
        assert!(n > 0 && n < 300 << 10, "{n}");
        assert_eq!(file.stream_position().await.unwrap(), 100_000 + n as u64);
        let error = file.allocate(0, 1 << 20).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        let error = fs::copy(&path, small.0.join("copy")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    });
}

#[test]
fn reads_that_fail_for_a_broken_device() {
    let _alone = alone();
    runtime().block_on(async {
        // The first page of this process is not there, and the kernel says so as of a broken device.
        let memory = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/self/mem")
            .await
            .unwrap();
        for _ in 0..3 {
            let (result, buf) = memory.read_at(Vec::with_capacity(8), 0).await;
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EIO));
            assert_eq!(buf.capacity(), 8);
            let (result, buf) = memory.write_all_at("kept", 0).await;
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EIO));
            assert_eq!(buf, "kept");
            let (result, buf) = memory.read_exact(Box::new([7; 8])).await;
            assert_eq!(
                (result.unwrap_err().raw_os_error(), *buf),
                (Some(libc::EIO), [7; 8])
            );
        }
        assert_eq!(memory.stream_position().await.unwrap(), 0);
    });
}

/// A block device on a file, until it is dropped; `None` where this process may not make one.
struct Loop(PathBuf);

impl Loop {
    fn new(backing: &Path) -> Option<Self> {
        let output = std::process::Command::new("losetup")
            .args(["--find", "--show"])
            .arg(backing)
            .output()
            .ok()?;
        let path = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| Self(path.trim().into()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let mut detach = std::process::Command::new("losetup");
        let _ = detach.arg("--detach").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_breaks() {
    let _alone = alone();
    let scratch = Scratch::new();
    let backing = scratch.file("backing", pattern(1 << 20));
    let Some(disk) = Loop::new(&backing) else {
        eprintln!("no block device can be made here");
        return;
    };
    runtime().block_on(async {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true);
        let file = options.open(&disk.0).await.unwrap();
        assert_eq!(file.seek(std::io::SeekFrom::End(0)).await.unwrap(), 1 << 20);
        file.rewind().await.unwrap();
        let (result, buf) = file.read_exact(vec![0; 8192].into_boxed_slice()).await;
        assert_eq!(result.unwrap(), 8192);
        assert!(*buf == pattern(8192));
        // The second half of the disk is gone.
        std::fs::OpenOptions::new()
            .write(true)
            .open(&backing)
            .unwrap()
            .set_len(1 << 19)
            .unwrap();
        let direct = options
            .custom_flags(libc::O_DIRECT)
            .open(&disk.0)
            .await
            .unwrap();
        for n in 0..8 {
            let block = camshaft::buf::AlignedBuf::zeroed(65536);
            let (result, block) = direct.read_at(block, (1 << 19) + n * 65536).await;
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EIO));
            assert_eq!(block.len(), 65536);
        }
        let (result, _) = file.read_at(Vec::with_capacity(4096), 3 << 18).await;
        assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EIO));
        let (result, _) = file.read_at(Vec::with_capacity(4096), 0).await;
        assert_eq!(result.unwrap(), 4096);
    });
}
