//! Paths and directories, with std as the oracle: what describes files, listings, links, copies, temporary files.

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::FileTimes;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink as std_symlink};
use std::path::Path;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use camshaft::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use common::{alone, poll_and_drop, runtime, turn};
use scratch::{Scratch, pattern};

/// Everything that both know of a file.
fn assert_same(ours: &fs::Metadata, std: &std::fs::Metadata) {
    let kind = |t: std::fs::FileType| {
        let special = [
            t.is_fifo(),
            t.is_socket(),
            t.is_char_device(),
            t.is_block_device(),
        ];
        (t.is_dir(), t.is_file(), t.is_symlink(), special)
    };
    let our_kind = |t: fs::FileType| {
        let special = [
            t.is_fifo(),
            t.is_socket(),
            t.is_char_device(),
            t.is_block_device(),
        ];
        (t.is_dir(), t.is_file(), t.is_symlink(), special)
    };
    assert_eq!(our_kind(ours.file_type()), kind(std.file_type()));
    assert_eq!(ours.file_type(), std.file_type().into());
    assert_eq!(
        (ours.is_dir(), ours.is_file(), ours.is_symlink()),
        (std.is_dir(), std.is_file(), std.is_symlink())
    );
    assert_eq!(ours.permissions(), std.permissions());
    assert_eq!(ours.modified().unwrap(), std.modified().unwrap());
    assert_eq!(ours.accessed().unwrap(), std.accessed().unwrap());
    assert_eq!(ours.created().ok(), std.created().ok());
    let numbers = |len, dev, ino, mode, nlink, rdev| (len, dev, ino, mode, nlink, rdev);
    assert_eq!(
        numbers(
            ours.len(),
            ours.dev(),
            ours.ino(),
            ours.mode(),
            ours.nlink(),
            ours.rdev()
        ),
        numbers(
            std.len(),
            std.dev(),
            std.ino(),
            std.mode(),
            std.nlink(),
            std.rdev()
        )
    );
    assert_eq!((ours.uid(), ours.gid()), (std.uid(), std.gid()));
    assert_eq!(
        (ours.size(), ours.blksize(), ours.blocks()),
        (std.size(), std.blksize(), std.blocks())
    );
    assert_eq!(
        (ours.atime(), ours.atime_nsec()),
        (std.atime(), std.atime_nsec())
    );
    assert_eq!(
        (ours.mtime(), ours.mtime_nsec()),
        (std.mtime(), std.mtime_nsec())
    );
    assert_eq!(
        (ours.ctime(), ours.ctime_nsec()),
        (std.ctime(), std.ctime_nsec())
    );
}

fn fifo(path: &Path) {
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a string that ends in zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o640) }, 0);
}

#[test]
fn metadata_is_that_of_std() {
    let _alone = alone();
    let scratch = Scratch::new();
    scratch.file("file", pattern(5000));
    std::fs::create_dir(scratch.at("directory")).unwrap();
    std_symlink("file", scratch.at("link")).unwrap();
    std_symlink("nowhere", scratch.at("dangling")).unwrap();
    fifo(&scratch.at("fifo"));
    let _socket = std::os::unix::net::UnixListener::bind(scratch.at("socket")).unwrap();
    std::fs::set_permissions(scratch.at("file"), Permissions::from_mode(0o4751)).unwrap();
    runtime().block_on(async {
        let mut paths: Vec<_> = ["file", "directory", "link", "fifo", "socket"]
            .map(|name| scratch.at(name))
            .into();
        paths.extend(["/dev/null", "/proc/self/stat", "/"].map(Into::into));
        for path in paths {
            assert_same(
                &fs::metadata(&path).await.unwrap(),
                &path.metadata().unwrap(),
            );
            assert_same(
                &fs::symlink_metadata(&path).await.unwrap(),
                &path.symlink_metadata().unwrap(),
            );
            assert!(fs::try_exists(&path).await.unwrap());
        }
        let dangling = scratch.at("dangling");
        let ours = fs::symlink_metadata(&dangling).await.unwrap();
        assert_same(&ours, &dangling.symlink_metadata().unwrap());
        let error = fs::metadata(&dangling).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(!fs::try_exists(&dangling).await.unwrap());
        let file = File::open(scratch.at("file")).await.unwrap();
        assert_same(
            &file.metadata().await.unwrap(),
            &scratch.at("file").metadata().unwrap(),
        );
        assert!(format!("{:?}", file.metadata().await.unwrap()).contains("len: 5000"));
        assert_eq!(format!("{:?}", ours.file_type()), "FileType(symbolic link)");
    });
}

#[test]
fn permissions_and_times_are_set() {
    let _alone = alone();
    let scratch = Scratch::new();
    let path = scratch.file("file", "x");
    runtime().block_on(async {
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .await
            .unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        let file = OpenOptions::new().write(true).open(&path).await.unwrap();
        file.set_permissions(Permissions::from_mode(0o444))
            .await
            .unwrap();
        assert!(file.metadata().await.unwrap().permissions().readonly());
        for time in [
            SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789),
            SystemTime::UNIX_EPOCH - Duration::new(100_000, 500_000_000),
        ] {
            file.set_modified(time).await.unwrap();
            assert_eq!(file.metadata().await.unwrap().modified().unwrap(), time);
            assert_eq!(path.metadata().unwrap().modified().unwrap(), time);
            file.set_times(FileTimes::new().set_accessed(time))
                .await
                .unwrap();
            assert_same(&file.metadata().await.unwrap(), &path.metadata().unwrap());
        }
    });
}

/// Names, with their kinds and numbers.
fn std_listing(path: &Path) -> BTreeMap<OsString, (fs::FileType, u64)> {
    std::fs::read_dir(path)
        .unwrap()
        .map(Result::unwrap)
        .map(|entry| {
            let kind = entry.file_type().unwrap().into();
            (
                entry.file_name(),
                (kind, std::os::unix::fs::DirEntryExt::ino(&entry)),
            )
        })
        .collect()
}

#[test]
fn a_directory_is_listed_as_by_std() {
    let _alone = alone();
    let scratch = Scratch::new();
    let runtime = runtime();
    runtime.block_on(async {
        for count in [0, 1, 127, 128, 129, 300] {
            let directory = scratch.at(&format!("with {count}"));
            fs::create_dir(&directory).await.unwrap();
            for n in 0..count {
                let path = directory.join(format!("{n}-{}", "long".repeat(n % 50)));
                match n % 4 {
                    0 => fs::create_dir(path).await.unwrap(),
                    1 => fs::symlink("nowhere", path).await.unwrap(),
                    2 => fifo(&path),
                    _ => fs::write(path, "x").await.unwrap(),
                }
            }
            let mut entries = fs::read_dir(&directory).await.unwrap();
            let mut listing = BTreeMap::new();
            while let Some(entry) = entries.next_entry().await.unwrap() {
                assert_eq!(entry.path(), directory.join(entry.file_name()));
                let kind = entry.file_type().await.unwrap();
                let metadata = entry.metadata().await.unwrap();
                assert_eq!((metadata.file_type(), metadata.ino()), (kind, entry.ino()));
                let former = listing.insert(entry.file_name(), (kind, entry.ino()));
                assert!(former.is_none(), "no name comes twice");
            }
            assert!(
                entries.next_entry().await.unwrap().is_none(),
                "the end stays"
            );
            assert_eq!(listing, std_listing(&directory));
        }
    });
}

#[test]
fn a_dropped_next_entry_loses_none() {
    let _alone = alone();
    let scratch = Scratch::new();
    for n in 0..1000 {
        scratch.file(&n.to_string(), "");
    }
    runtime().block_on(async {
        let mut dropped = 0;
        // A thread that is quick has each batch ready at once.
        while dropped == 0 {
            let mut entries = fs::read_dir(scratch.path()).await.unwrap();
            let mut names = BTreeSet::new();
            loop {
                match poll_and_drop(entries.next_entry()).await {
                    Poll::Ready(Ok(None)) => break,
                    Poll::Ready(entry) => {
                        assert!(names.insert(entry.unwrap().unwrap().file_name()));
                    }
                    // Dropped with a batch under way; the next may find it there, or still under way.
                    Poll::Pending => {
                        dropped += 1;
                        for _ in 0..dropped % 3 {
                            turn().await;
                        }
                    }
                }
            }
            assert_eq!(names.len(), 1000);
        }
    });
}

#[test]
fn directories_are_made_and_removed() {
    let _alone = alone();
    let scratch = Scratch::new();
    runtime().block_on(async {
        let deep = scratch.at("a/b/c");
        assert_eq!(
            fs::create_dir(&deep).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        fs::create_dir_all(&deep).await.unwrap();
        fs::create_dir_all(&deep).await.unwrap();
        assert_eq!(
            fs::create_dir(&deep).await.unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        let error = fs::remove_dir(scratch.at("a")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DirectoryNotEmpty);
        fs::remove_dir(&deep).await.unwrap();
        let mut builder = DirBuilder::new();
        builder.mode(0o700).create(&deep).await.unwrap();
        assert_eq!(deep.metadata().unwrap().mode() & 0o7777, 0o700);
        assert!(builder.create(&deep).await.is_err());
        builder.recursive(true).create(&deep).await.unwrap();
        builder.create(deep.join("d/e")).await.unwrap();
        assert_eq!(deep.join("d").metadata().unwrap().mode() & 0o7777, 0o700);
        // A link is removed, and what it leads to stays.
        let kept = scratch.at("kept");
        fs::create_dir(&kept).await.unwrap();
        fs::write(kept.join("file"), "x").await.unwrap();
        fs::symlink(&kept, deep.join("link")).await.unwrap();
        fs::remove_dir_all(scratch.at("a")).await.unwrap();
        assert!(!fs::try_exists(scratch.at("a")).await.unwrap());
        assert_eq!(fs::read(kept.join("file")).await.unwrap(), b"x");
        let error = fs::remove_file(&kept).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        let error = fs::remove_dir(kept.join("file")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
    });
}

#[test]
fn names_are_changed_and_added() {
    let _alone = alone();
    let scratch = Scratch::new();
    let one = scratch.file("one", "1");
    let two = scratch.file("two", "2");
    runtime().block_on(async {
        fs::rename(&one, &two).await.unwrap();
        assert_eq!(fs::read(&two).await.unwrap(), b"1");
        assert_eq!(
            fs::rename(&one, &two).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        fs::hard_link(&two, &one).await.unwrap();
        assert_eq!(fs::metadata(&one).await.unwrap().nlink(), 2);
        let error = fs::hard_link(&two, &one).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let link = scratch.at("link");
        fs::symlink("two", &link).await.unwrap();
        assert_eq!(fs::read_link(&link).await.unwrap(), Path::new("two"));
        let error = fs::read_link(&two).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(
            fs::canonicalize(&link).await.unwrap(),
            two.canonicalize().unwrap()
        );
        // The link itself gets another name.
        fs::hard_link(&link, scratch.at("other link"))
            .await
            .unwrap();
        assert!(
            fs::symlink_metadata(scratch.at("other link"))
                .await
                .unwrap()
                .is_symlink()
        );
        fs::remove_file(&link).await.unwrap();
        assert_eq!(fs::read_to_string(&two).await.unwrap(), "1");
    });
}

#[test]
fn whole_files_are_read_and_written() {
    let _alone = alone();
    let scratch = Scratch::new();
    runtime().block_on(async {
        for len in [0, 1, 4095, 4096, 100_000, 3 << 20] {
            let path = scratch.at("whole");
            fs::write(&path, pattern(len)).await.unwrap();
            assert!(std::fs::read(&path).unwrap() == pattern(len), "{len}");
            assert!(fs::read(&path).await.unwrap() == pattern(len), "{len}");
        }
        let path = scratch.at("text");
        fs::write(&path, "grüße").await.unwrap();
        assert_eq!(fs::read_to_string(&path).await.unwrap(), "grüße");
        fs::write(&path, b"\xff").await.unwrap();
        let error = fs::read_to_string(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        // Files that do not tell their length.
        let version = fs::read("/proc/version").await.unwrap();
        assert_eq!(version, std::fs::read("/proc/version").unwrap());
        assert_eq!(fs::read("/dev/null").await.unwrap(), b"");
    });
}

#[test]
fn a_copy_has_the_bytes_and_the_permissions() {
    let _alone = alone();
    let scratch = Scratch::new();
    // More than is copied in one step.
    let bytes: Vec<u8> = pattern(1 << 20).repeat(17);
    let len = bytes.len() as u64;
    let from = scratch.file("from", &bytes);
    std::fs::set_permissions(&from, Permissions::from_mode(0o640)).unwrap();
    let to = scratch.file("to", vec![b'x'; bytes.len() + 1]);
    // Another file system, if there is one.
    let other = Scratch::within(Path::new("/dev/shm"));
    runtime().block_on(async {
        for to in [to, other.at("to")] {
            assert_eq!(fs::copy(&from, &to).await.unwrap(), len);
            assert!(std::fs::read(&to).unwrap() == bytes);
            assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o640);
        }
        let to = scratch.at("small");
        assert_eq!(fs::copy(scratch.file("empty", ""), &to).await.unwrap(), 0);
        assert_eq!(
            fs::copy("/proc/version", &to).await.unwrap(),
            to.metadata().unwrap().len()
        );
        assert_eq!(
            std::fs::read(&to).unwrap(),
            std::fs::read("/proc/version").unwrap()
        );
        let error = fs::copy(scratch.path(), &to).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = fs::copy(scratch.at("missing"), &to).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(fs::copy(&from, "/dev/null").await.unwrap(), len);
    });
}

#[test]
fn temporary_files_have_no_name() {
    let _alone = alone();
    let scratch = Scratch::new();
    runtime().block_on(async {
        let shm = Path::new("/dev/shm");
        for directory in [scratch.path(), shm, &std::env::temp_dir()] {
            let file = fs::tempfile_in(directory).await.unwrap();
            file.write_all("temporary").await.0.unwrap();
            file.rewind().await.unwrap();
            assert_eq!(file.read_to_end(Vec::new()).await.1, b"temporary");
            let metadata = file.metadata().await.unwrap();
            assert_eq!((metadata.nlink(), metadata.mode() & 0o777), (0, 0o600));
        }
        assert!(fs::tempfile().await.is_ok());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        let error = fs::tempfile_in(scratch.at("missing")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn options_are_those_of_std() {
    let _alone = alone();
    let scratch = Scratch::new();
    let runtime = runtime();
    // Every combination, on a file that exists and on one that does not.
    for bits in 0..64_u32 {
        let option = |bit: u32| bits >> bit & 1 == 1;
        for exists in [false, true] {
            let mut results = Vec::new();
            for ours in [false, true] {
                let path = scratch.at("file");
                let _ = std::fs::remove_file(&path);
                if exists {
                    scratch.file("file", "contents");
                }
                let result = if ours {
                    let mut options = OpenOptions::new();
                    options.read(option(0)).write(option(1)).append(option(2));
                    options
                        .truncate(option(3))
                        .create(option(4))
                        .create_new(option(5));
                    let opened = runtime.block_on(options.open(&path));
                    opened.map(drop).map_err(|error| error.kind())
                } else {
                    let mut options = std::fs::OpenOptions::new();
                    options.read(option(0)).write(option(1)).append(option(2));
                    options
                        .truncate(option(3))
                        .create(option(4))
                        .create_new(option(5));
                    options.open(&path).map(drop).map_err(|error| error.kind())
                };
                results.push((result, std::fs::read(&path).ok()));
            }
            assert_eq!(results[0], results[1], "{bits:b}, exists: {exists}");
        }
    }
}
