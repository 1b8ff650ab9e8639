//! A dump where something is not to be had: descriptors, the file of the program, its debug information, system calls, `/proc`. It says
//! what it lacks, and does no harm. And what looking leaves behind: nothing.

#![cfg(feature = "inspect")]

mod common;
use common::filter::refuse;
use common::*;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use camshaft::inspect::{self, Catalog, Dump, Missing, Standing};
use camshaft::task::yield_now;
use camshaft::time::sleep;

/// Knows how many bytes are on the heap, whichever thread has put them there.
struct Weighing;

#[global_allocator]
static ALLOCATOR: Weighing = Weighing;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the calls are those of `System`.
unsafe impl GlobalAlloc for Weighing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }
}

async fn patient() {
    sleep(Duration::from_secs(3600)).await;
}

/// A dump of a runtime with one task that waits.
fn dump() -> Dump {
    paused().block_on(async {
        drop(camshaft::spawn(patient()));
        yield_now().await;
        inspect::dump()
    })
}

/// The one task that waits is told as far as the program is described.
fn assert_told(dump: &Dump) {
    let task = dump.tasks.last().expect("there is a task");
    assert!(task.root.name.contains("patient"), "{dump}");
    match &dump.missing[..] {
        [] => assert_eq!(task.root.standing, Standing::Suspended, "{dump}"),
        // As these tests were built.
        [Missing::Types] => {}
        _ => panic!("{dump}"),
    }
}

/// There is nothing to be read, for a reason that is said.
fn assert_unreadable(dump: &Dump, why: &str) {
    let text = dump.to_string();
    assert!(
        matches!(dump.missing[..], [Missing::Unreadable(_)]),
        "{text}"
    );
    assert!(text.contains(why), "{text}");
    assert!(text.contains("patient"), "{text}");
    assert!(text.contains("its state is not known"), "{text}");
}

#[test]
fn without_descriptors_it_says_so_and_looks_the_next_time() {
    isolated(
        "without_descriptors_it_says_so_and_looks_the_next_time",
        || {
            let runtime = paused();
            drop(runtime.spawn(patient()));
            runtime.block_on(yield_now());
            let former = limit_fds(0);
            let without = runtime.dump();
            limit_fds(former);
            assert_unreadable(&without, "Too many open files");
            assert_told(&runtime.dump());
        },
    );
}

#[test]
fn without_a_thread_it_says_so() {
    isolated("without_a_thread_it_says_so", || {
        let runtime = paused();
        drop(runtime.spawn(patient()));
        runtime.block_on(yield_now());
        // The system's library tries the second when it is told that there is no first.
        refuse(libc::SYS_clone, libc::EAGAIN);
        refuse(libc::SYS_clone3, libc::EAGAIN);
        assert_unreadable(&runtime.dump(), "no thread to look from");
    });
}

#[test]
fn where_memory_must_not_be_copied_the_file_of_the_process_says_the_same() {
    isolated(
        "where_memory_must_not_be_copied_the_file_of_the_process_says_the_same",
        || {
            refuse(libc::SYS_process_vm_readv, libc::EPERM);
            assert_told(&dump());
        },
    );
}

#[test]
fn without_proc_it_says_so() {
    let missing = Catalog::open("/nowhere/at/all").expect_err("there is no such file");
    assert!(
        missing
            .to_string()
            .starts_with("/nowhere/at/all: No such file"),
        "{missing}"
    );
    let missing = Catalog::open(file!()).expect_err("it is no program");
    assert!(missing.to_string().starts_with(file!()), "{missing}");
    isolated("without_proc_it_says_so", || {
        let outside = std::env::temp_dir();
        let name = format!("camshaft-root-{}", std::process::id());
        let folder = outside.join(&name);
        fs::create_dir(&folder).expect("a new folder");
        let outside = fs::File::open(outside).expect("it was just written to");
        let runtime = paused();
        drop(runtime.spawn(patient()));
        runtime.block_on(yield_now());
        let changed = std::os::unix::fs::chroot(&folder);
        if changed.is_ok() {
            assert_unreadable(&runtime.dump(), "/proc/self/exe: No such file");
        }
        // Seen from inside, it has another name.
        rustix::fs::unlinkat(outside, name, rustix::fs::AtFlags::REMOVEDIR).expect("it is empty");
    });
}

#[test]
fn a_forked_process_looks_for_itself() {
    isolated("a_forked_process_looks_for_itself", || {
        let runtime = paused();
        drop(runtime.spawn(patient()));
        runtime.block_on(yield_now());
        assert_told(&runtime.dump());
        let (told, ready) = std::sync::mpsc::channel();
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let looker = std::thread::spawn(move || {
            camshaft_inspect_lock(move || {
                told.send(()).expect("somebody listens");
                let _ = finished.recv();
            });
        });
        ready.recv().expect("it looks");
        // SAFETY: the child is the only one with its memory. What other threads may have locked, it does not use: the
        // allocator takes care of itself.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // It must not return into the harness.
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                assert_told(&runtime.dump());
            }));
            // SAFETY: it ends this process.
            unsafe { libc::_exit(i32::from(told.is_err())) };
        }
        let mut status = 0;
        // SAFETY: the kernel writes one number.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0));
        drop(finish);
        looker.join().expect("it does not panic");
    });
}

/// Holds the lock that everybody who looks takes.
fn camshaft_inspect_lock(work: impl FnOnce() + Send) {
    camshaft_inspect::with_program(|_| work()).expect("the program can be read");
}

/// Runs one test of a copy of this program in a folder of its own, after something was done to the copy. Says what it printed.
fn in_copy(test: &str, change: impl FnOnce(&Path) -> bool) -> Option<String> {
    let folder = std::env::temp_dir().join(format!("camshaft-{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a new folder");
    let copy = folder.join("copy");
    fs::copy(std::env::current_exe().expect("a path"), &copy).expect("there is room");
    let said = change(&copy).then(|| {
        let output = Command::new(&copy)
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env("CAMSHAFT_TEST_CHILD", "1")
            .output()
            .expect("the copy can be started");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{error}");
        said
    });
    fs::remove_dir_all(folder).expect("it is there");
    said
}

#[test]
fn a_program_may_be_deleted_or_replaced_while_it_runs() {
    let test = "a_program_may_be_deleted_or_replaced_while_it_runs";
    if !is_child() {
        assert!(in_copy(test, |_| true).is_some());
        return;
    }
    let path: PathBuf = std::env::current_exe().expect("a path");
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, "no program at all").expect("there is room");
    assert_told(&dump());
    fs::remove_file(&path).expect("it is there");
}

/// Calls a tool of the system.
fn tool(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_stripped_program_names_its_tasks_and_says_what_it_needs() {
    let test = "a_stripped_program_names_its_tasks_and_says_what_it_needs";
    if is_child() {
        return print!("{}", dump());
    }
    for option in ["--strip-all", "--strip-debug"] {
        let said = in_copy(test, |copy| {
            tool("strip", &[option, &copy.display().to_string()])
        });
        let Some(said) = said else {
            return println!("skipped: there is no strip on PATH");
        };
        assert!(said.contains("set `"), "{said}");
        assert!(said.contains("`debug = \"full\"`"), "{said}");
        assert!(said.contains("patient"), "{said}");
    }
}

#[test]
fn debug_information_in_a_file_of_its_own_is_found_beside_the_program() {
    let test = "debug_information_in_a_file_of_its_own_is_found_beside_the_program";
    if is_child() {
        return assert_told(&dump());
    }
    let said = in_copy(test, |copy| {
        let debug = copy.with_extension("debug").display().to_string();
        let copy = copy.display().to_string();
        tool("objcopy", &["--only-keep-debug", &copy, &debug])
            && tool(
                "objcopy",
                &[
                    "--strip-all",
                    &format!("--add-gnu-debuglink={debug}"),
                    &copy,
                ],
            )
    });
    if said.is_none() {
        println!("skipped: there is no objcopy on PATH");
    }
}

#[test]
fn a_thousand_dumps_leave_nothing_behind() {
    isolated("a_thousand_dumps_leave_nothing_behind", || {
        let runtime = paused();
        runtime.block_on(async {
            for _ in 0..10 {
                drop(camshaft::spawn(patient()));
            }
            let (_client, server) = half_std();
            drop(camshaft::spawn(async move {
                drop(server.read(Vec::with_capacity(8)).await);
            }));
            turn().await;
        });
        for _ in 0..10 {
            drop(runtime.dump());
        }
        let metrics = counters(&runtime);
        let (descriptors, live) = (fds(), LIVE.load(Ordering::Relaxed));
        for _ in 0..1000 {
            let dump = runtime.dump();
            assert_eq!(dump.tasks.len(), 11);
            drop((dump.to_string(), dump.to_json()));
        }
        assert_eq!(counters(&runtime), metrics);
        assert_eq!(fds(), descriptors);
        // Not a byte for each of them.
        let grown = LIVE.load(Ordering::Relaxed).saturating_sub(live);
        assert!(grown < 1000, "{grown} bytes");
    });
}

/// What a runtime has done, without what the clock does.
fn counters(runtime: &camshaft::runtime::Runtime) -> [u64; 8] {
    let metrics = runtime.metrics();
    [
        metrics.tasks,
        metrics.polls,
        metrics.wakes_local,
        metrics.wakes_remote,
        metrics.enters,
        metrics.ops_submitted,
        metrics.ops_completed,
        metrics.timers_fired,
    ]
}
