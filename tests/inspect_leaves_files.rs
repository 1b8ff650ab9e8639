//! What leaves tell of operations on files and their names, word for word, the same on the ring and on epoll.

#![cfg(feature = "inspect")]

mod common;
use common::*;
#[path = "common/scratch.rs"]
mod scratch;
use scratch::Scratch;
#[path = "common/leaves.rs"]
mod leaves;
use leaves::{fd, on_each, told};

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::pin::pin;

use camshaft::buf::AlignedBuf;
use camshaft::fs::{File, OpenOptions};

#[test]
fn files_tell_their_paths_and_offsets() {
    on_each(async || {
        let scratch = Scratch::new();
        let path = scratch.at("file");
        let name = path.display();
        fs::write(&path, vec![0; 8192]).expect("there is room");
        let mut open = pin!(File::open(&path));
        assert_eq!(told(open.as_mut()).await, format!("openat, {name}"));
        open.await.expect("it is there");
        let mut metadata = pin!(camshaft::fs::metadata(&path));
        assert_eq!(told(metadata.as_mut()).await, format!("statx, {name}"));
        metadata.await.expect("it is there");
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .await
            .expect("it is there");
        let at = format!("fd {}, {name}", fd(&file));
        let mut sync = pin!(file.sync_all());
        assert_eq!(told(sync.as_mut()).await, format!("fsync, {at}"));
        sync.await.expect("a disk");
        let mut sync = pin!(file.sync_data());
        assert_eq!(told(sync.as_mut()).await, format!("fdatasync, {at}"));
        sync.await.expect("a disk");
        let mut cut = pin!(file.set_len(6000));
        assert_eq!(
            told(cut.as_mut()).await,
            format!("ftruncate, {at}, 6000 bytes")
        );
        cut.await.expect("a file");
        let mut write = pin!(file.write_all_at_durable(b"four", 4096));
        assert_eq!(
            told(write.as_mut()).await,
            format!("write, {at}, 4 bytes at 4096")
        );
        write.await.0.expect("a file");
        let direct = fs::File::options()
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(&path);
        let Ok(direct) = direct else { return }; // a file system in memory
        let file = File::from_std(direct);
        let at = format!("fd {}, {name}", fd(&file));
        let mut read = pin!(file.read_at(AlignedBuf::zeroed(4096), 4096));
        assert_eq!(
            told(read.as_mut()).await,
            format!("read, {at}, 4096 bytes at 4096")
        );
        assert_eq!(read.await.0.expect("a file"), 6000 - 4096);
    });
}

#[test]
fn changes_of_names_tell_both() {
    on_each(async || {
        let scratch = Scratch::new();
        let (one, two) = (scratch.at("one"), scratch.at("two"));
        let both = format!("{} to {}", one.display(), two.display());
        let mut make = pin!(camshaft::fs::create_dir(&one));
        assert_eq!(
            told(make.as_mut()).await,
            format!("mkdirat, {}", one.display())
        );
        make.await.expect("a free name");
        let mut rename = pin!(camshaft::fs::rename(&one, &two));
        assert_eq!(told(rename.as_mut()).await, format!("renameat2, {both}"));
        rename.await.expect("it is there");
        let mut remove = pin!(camshaft::fs::remove_dir(&two));
        assert_eq!(
            told(remove.as_mut()).await,
            format!("rmdir, {}", two.display())
        );
        remove.await.expect("it is empty");
        fs::write(&one, "").expect("a free name");
        let mut link = pin!(camshaft::fs::hard_link(&one, &two));
        assert_eq!(told(link.as_mut()).await, format!("linkat, {both}"));
        link.await.expect("a file system with links");
        let mut remove = pin!(camshaft::fs::remove_file(&two));
        assert_eq!(
            told(remove.as_mut()).await,
            format!("unlink, {}", two.display())
        );
        remove.await.expect("it is there");
    });
}
