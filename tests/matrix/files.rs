//! Files and what lies around them. `cancel_fs` looks closer at those that wait for a disk.

use std::fs::{FileTimes, Permissions};
use std::io::SeekFrom;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::SystemTime;

use camshaft::buf::{FixedBuf, IoBuf};
use camshaft::fs::{self, DirBuilder, File, OpenOptions};

use crate::common::tracked::Tracked;
use crate::scratch::{Scratch, pattern};
use crate::{Case, Doing, Row, rows};

struct Stage {
    scratch: Scratch,
    file: File,
}

/// A file that nobody changes but by writing what it has already, so it reads as before.
fn on_a_file(begin: fn(Rc<Stage>) -> Doing) -> Case {
    // In memory, where syncs cost nothing.
    let memory = Path::new("/dev/shm");
    let scratch = if memory.is_dir() {
        Scratch::within(memory)
    } else {
        Scratch::new()
    };
    let path = scratch.file("file", pattern(9000));
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("a file");
    let file = File::from_std(file);
    let stage = Rc::new(Stage { scratch, file });
    let begun = stage.clone();
    Case {
        begin: Box::new(move || begin(begun.clone())),
        provoke: Box::new(|| {}),
        check: Box::new(move || {
            Box::pin(async move {
                stage.file.unlock().await.expect("a file");
                let (result, buf) = stage.file.read_exact(Tracked::room(9000)).await;
                assert_eq!(result.expect("a whole file"), 9000, "from the start");
                assert!(buf.as_slice() == pattern(9000));
            })
        }),
    }
}

fn start() -> Tracked {
    Tracked::full(&pattern(9000)[..100])
}

/// Transfers at the position of the file: those that are ready are taken back.
fn at_the_position() -> Vec<Row> {
    rows! { on_a_file:
        "fs/surface::read" => |it| async move {
            drop(it.file.read(Tracked::room(100)).await);
            it.file.rewind().await
        };
        "fs/surface::read_exact" => |it| async move {
            drop(it.file.read_exact(Tracked::room(9000)).await);
            it.file.rewind().await
        };
        "fs/surface::read_to_end" => |it| async move {
            drop(it.file.read_to_end(Vec::new()).await);
            it.file.rewind().await
        };
        "fs/surface::read_vectored" => |it| async move {
            drop(it.file.read_vectored(vec![Tracked::room(10), Tracked::room(20)]).await);
            it.file.rewind().await
        };
        "fs/surface::write" => |it| async move {
            drop(it.file.write(start()).await);
            it.file.rewind().await
        };
        "fs/surface::write_all" => |it| async move {
            drop(it.file.write_all(start()).await);
            it.file.rewind().await
        };
        "fs/surface::write_vectored" => |it| async move {
            drop(it.file.write_vectored(vec![start()]).await);
            it.file.rewind().await
        };
        "fs/file::seek" => |it| async move { it.file.seek(SeekFrom::Start(0)).await };
        "fs/file::stream_position" => |it| async move { it.file.stream_position().await };
        "fs/file::rewind" => |it| async move { it.file.rewind().await };
    }
}

fn at_offsets() -> Vec<Row> {
    rows! { on_a_file:
        "fs/surface::read_at" => |it| it.file.read_at(Tracked::room(100), 50);
        "fs/surface::read_at" => |it| async move { it.file.read_at(FixedBuf::zeroed(4096), 0).await };
        "fs/surface::read_exact_at" => |it| it.file.read_exact_at(Tracked::room(9000), 0);
        "fs/surface::read_vectored_at" => |it| it.file.read_vectored_at(vec![Tracked::room(9)], 1);
        "fs/surface::write_at" => |it| it.file.write_at(start(), 0);
        "fs/surface::write_all_at" => |it| it.file.write_all_at(start(), 0);
        "fs/surface::write_all_at_durable" => |it| it.file.write_all_at_durable(start(), 0);
        "fs/surface::write_vectored_at" => |it| it.file.write_vectored_at(vec![start()], 0);
    }
}

/// What else can be done with a file.
fn whole_files() -> Vec<Row> {
    rows! { on_a_file:
        "fs/surface::flush" => |it| it.file.flush();
        "fs/surface::shutdown" => |it| it.file.shutdown();
        "fs/control::sync_all" => |it| async move { it.file.sync_all().await };
        "fs/control::sync_data" => |it| async move { it.file.sync_data().await };
        "fs/control::set_len" => |it| async move { it.file.set_len(9000).await };
        "fs/control::allocate" => |it| async move { it.file.allocate(0, 9000).await };
        "fs/control::fallocate" => |it| async move { it.file.fallocate(libc::FALLOC_FL_KEEP_SIZE, 0, 9000).await };
        "fs/control::metadata" => |it| async move { it.file.metadata().await };
        "fs/control::set_permissions" => |it| async move { it.file.set_permissions(Permissions::from_mode(0o600)).await };
        "fs/control::set_modified" => |it| async move { it.file.set_modified(SystemTime::now()).await };
        "fs/control::set_times" => |it| async move {
            it.file.set_times(FileTimes::new().set_modified(SystemTime::now())).await
        };
        "fs/file::try_clone" => |it| async move { it.file.try_clone().await };
        "fs/lock::lock" => |it| async move { it.file.lock().await };
        "fs/lock::lock_shared" => |it| async move { it.file.lock_shared().await };
        "fs/lock::try_lock" => |it| async move { it.file.try_lock().await };
        "fs/lock::try_lock_shared" => |it| async move { it.file.try_lock_shared().await };
        "fs/lock::unlock" => |it| async move { it.file.unlock().await };
        "fs/open::open" => |it| OpenOptions::new().read(true).open(it.scratch.at("file"));
        "fs/file::open" => |it| File::open(it.scratch.at("file"));
        "fs/file::create" => |it| File::create(it.scratch.at("created"));
        "fs/file::create_new" => |it| File::create_new(it.scratch.at("new"));
        "fs/temporary::tempfile" => |_it| fs::tempfile();
        "fs/temporary::tempfile_in" => |it| async move { fs::tempfile_in(it.scratch.path()).await };
        "fs/whole::read" => |it| async move { fs::read(it.scratch.at("file")).await };
        "fs/whole::read_to_string" => |it| async move { fs::read_to_string(it.scratch.at("file")).await };
        "fs/whole::write" => |it| async move { fs::write(it.scratch.at("written"), start()).await };
        "fs/whole::copy" => |it| async move { fs::copy(it.scratch.at("file"), it.scratch.at("copy")).await };
    }
}

fn paths() -> Vec<Row> {
    rows! { on_a_file:
        "fs/path::rename" => |it| async move {
            let (from, to) = (it.scratch.file("old", "1"), it.scratch.at("new"));
            fs::rename(from, to).await
        };
        "fs/path::remove_file" => |it| async move { fs::remove_file(it.scratch.file("gone", "")).await };
        "fs/path::remove_dir" => |it| async move {
            drop(std::fs::create_dir(it.scratch.at("gone")));
            fs::remove_dir(it.scratch.at("gone")).await
        };
        "fs/path::remove_dir_all" => |it| async move {
            drop(std::fs::create_dir_all(it.scratch.at("gone/deep/deeper")));
            fs::remove_dir_all(it.scratch.at("gone")).await
        };
        "fs/path::create_dir" => |it| async move { fs::create_dir(it.scratch.at("made")).await };
        "fs/path::create_dir_all" => |it| async move { fs::create_dir_all(it.scratch.at("made/deep/deeper")).await };
        "fs/dir_builder::create" => |it| async move { DirBuilder::new().create(it.scratch.at("built")).await };
        "fs/path::hard_link" => |it| async move { fs::hard_link(it.scratch.at("file"), it.scratch.at("hard")).await };
        "fs/path::symlink" => |it| async move { fs::symlink("file", it.scratch.at("symbolic")).await };
        "fs/path::read_link" => |it| async move {
            drop(std::os::unix::fs::symlink("file", it.scratch.at("symbolic")));
            fs::read_link(it.scratch.at("symbolic")).await
        };
        "fs/path::canonicalize" => |it| async move { fs::canonicalize(it.scratch.at("file")).await };
        "fs/path::set_permissions" => |it| async move {
            fs::set_permissions(it.scratch.at("file"), Permissions::from_mode(0o600)).await
        };
        "fs/path::metadata" => |it| async move { fs::metadata(it.scratch.at("file")).await };
        "fs/path::symlink_metadata" => |it| async move { fs::symlink_metadata(it.scratch.at("file")).await };
        "fs/path::try_exists" => |it| async move { fs::try_exists(it.scratch.at("file")).await };
        "fs/read_dir::read_dir" => |it| async move { fs::read_dir(it.scratch.path()).await };
        "fs/read_dir::next_entry" => |it| async move {
            let mut entries = fs::read_dir(it.scratch.path()).await.expect("a directory");
            entries.next_entry().await
        };
        "fs/read_dir::file_type" => |it| async move {
            let mut entries = fs::read_dir(it.scratch.path()).await.expect("a directory");
            entries.next_entry().await.expect("entries").expect("one").file_type().await
        };
        "fs/read_dir::metadata" => |it| async move {
            let mut entries = fs::read_dir(it.scratch.path()).await.expect("a directory");
            entries.next_entry().await.expect("entries").expect("one").metadata().await
        };
    }
}

pub(crate) fn rows() -> Vec<Row> {
    [at_the_position(), at_offsets(), whole_files(), paths()].concat()
}
