//! Children that are dropped, waited for in vain, or many: none stays a zombie, no status is lost.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::thread;

use camshaft::process::{Child, Command};
use common::filter::refuse;
use common::{alone, fds, isolated, poll_once, runtime, turn, until};

/// A child that ends with a status when its standard input is closed.
fn child(status: i32) -> Child {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("read line; exit {status}"));
    command.stdin(Stdio::piped());
    command.spawn().expect("a child")
}

/// What the system knows of a process: its state and its parent.
fn stat(id: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// The children of this process, with their states.
fn children() -> Vec<(u32, char)> {
    let ids = fs::read_dir("/proc").expect("procfs").filter_map(|entry| {
        let name = entry.expect("an entry").file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    let me = std::process::id();
    ids.filter_map(|id| match stat(id)? {
        (state, parent) if parent == me => Some((id, state)),
        _ => None,
    })
    .collect()
}

/// Children of this process that have ended and were not reaped.
fn zombies() -> usize {
    let all = children();
    all.iter().filter(|(_, state)| *state == 'Z').count()
}

fn is_gone(id: u32) -> bool {
    stat(id).is_none_or(|(_, parent)| parent != std::process::id())
}

#[test]
fn a_hundred_children_at_once_all_tell_their_status() {
    let _alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        // Those that earlier tests dropped are reaped a moment after their end.
        until(|| children().is_empty()).await;
        let before = fds();
        let tasks: Vec<_> = (0..100)
            .map(|status| {
                let mut child = child(status);
                camshaft::spawn(async move { child.wait().await.expect("it ends").code() })
            })
            .collect();
        for (status, task) in (0..).zip(tasks) {
            assert_eq!(task.await.expect("the task"), Some(status));
        }
        assert_eq!(zombies(), 0);
        assert_eq!(fds(), before);
    });
}

#[test]
fn a_dropped_wait_loses_no_status() {
    let _alone = alone();
    loses_no_status();
}

#[test]
fn a_dropped_wait_loses_no_status_without_descriptors_of_processes_too() {
    let _alone = alone();
    isolated(
        "a_dropped_wait_loses_no_status_without_descriptors_of_processes_too",
        || {
            refuse(libc::SYS_pidfd_open, libc::ENOSYS);
            loses_no_status();
            assert_eq!(zombies(), 0);
        },
    );
}

fn loses_no_status() {
    let mut number = 1;
    for entered in [false, true] {
        for ended in [false, true] {
            let first = runtime();
            let mut child = child(number);
            first.block_on(async {
                drop(child.wait());
                let stdin = child.stdin.take();
                for _ in 0..2 {
                    let mut waiting = Box::pin(child.wait());
                    assert!(poll_once(waiting.as_mut()).await.is_pending());
                    if entered {
                        turn().await;
                    }
                    drop(waiting);
                }
                let id = child.id().expect("it runs");
                let mut waiting = Box::pin(child.wait());
                assert!(poll_once(waiting.as_mut()).await.is_pending());
                if ended {
                    drop(stdin);
                    until(|| stat(id).is_some_and(|(state, _)| state == 'Z')).await;
                }
                drop(waiting);
            });
            drop(first);
            // On another runtime.
            let status = runtime().block_on(child.wait()).expect("it ends");
            assert_eq!(status.code(), Some(number), "{entered} {ended}");
            number += 1;
        }
    }
}

#[test]
fn a_wait_in_flight_at_the_end_of_its_runtime_leaves_no_zombie() {
    let _alone = alone();
    let first = runtime();
    let mut running = child(0);
    let id = running.id().expect("it runs");
    first.spawn(async move { running.wait().await.map(drop) });
    first.block_on(turn());
    drop(first);
    runtime().block_on(until(|| is_gone(id)));
}

#[test]
fn a_dropped_child_runs_on_and_is_reaped_when_it_ends() {
    let _alone = alone();
    runs_on_and_is_reaped();
}

fn runs_on_and_is_reaped() {
    runtime().block_on(async {
        let mut ids = Vec::new();
        let mut inputs = Vec::new();
        for _ in 0..20 {
            let mut child = child(3);
            ids.push(child.id().expect("it runs"));
            inputs.push(child.stdin.take());
        }
        turn().await;
        assert!(ids.iter().all(|id| !is_gone(*id)), "they run on");
        drop(inputs);
        until(|| {
            // Without a thread that watches them, the next child has them reaped.
            drop(child(0));
            ids.iter().all(|id| is_gone(*id))
        })
        .await;
    });
}

#[test]
fn dropped_children_are_reaped_without_descriptors_of_processes_too() {
    let _alone = alone();
    isolated(
        "dropped_children_are_reaped_without_descriptors_of_processes_too",
        || {
            refuse(libc::SYS_pidfd_open, libc::EPERM);
            runs_on_and_is_reaped();
        },
    );
}

#[test]
fn the_reaper_needs_nobody() {
    let _alone = alone();
    let mut running = child(0);
    let id = running.id().expect("it runs");
    let stdin = running.stdin.take();
    drop(running);
    assert!(!is_gone(id));
    drop(stdin);
    // No runtime, no other child: a thread of its own does it.
    while !is_gone(id) {
        thread::yield_now();
    }
}

#[test]
fn a_child_that_has_ended_is_reaped_by_its_drop() {
    let _alone = alone();
    runtime().block_on(async {
        let mut ended = child(0);
        let id = ended.id().expect("it runs");
        drop(ended.stdin.take());
        until(|| stat(id).is_some_and(|(state, _)| state == 'Z')).await;
        drop(ended);
        assert!(is_gone(id));
    });
}

#[test]
fn kill_on_drop_kills_and_reaps() {
    let _alone = alone();
    for refused in [false, true] {
        isolated("kill_on_drop_kills_and_reaps", || {
            if refused {
                refuse(libc::SYS_pidfd_open, libc::ENOSYS);
            }
            runtime().block_on(async {
                let mut command = Command::new("sleep");
                command.arg("1000").kill_on_drop(true);
                let child = command.spawn().expect("a child");
                let id = child.id().expect("it runs");
                drop(child);
                until(|| {
                    drop(self::child(0));
                    is_gone(id)
                })
                .await;
                // And if the future that owns it is dropped.
                command.stdout(Stdio::null());
                let mut output = Box::pin(command.output());
                assert!(poll_once(output.as_mut()).await.is_pending());
                drop(output);
                drop(command);
                until(|| {
                    drop(self::child(0));
                    let is_sleep = |(id, _)| {
                        let name = fs::read_to_string(format!("/proc/{id}/comm"));
                        name.is_ok_and(|name| name.trim() == "sleep")
                    };
                    !children().into_iter().any(is_sleep)
                })
                .await;
            });
        });
    }
}

#[test]
fn a_kill_hits_no_process_that_got_the_same_number() {
    let _alone = alone();
    runtime().block_on(async {
        // Processes that others start may be faster, and keep the number.
        for _ in 0..100 {
            let mut first = child(5);
            let id = first.id().expect("it runs");
            drop(first.stdin.take());
            // Somebody else takes the status, so that the number is free.
            let mut status = 0;
            // SAFETY: the kernel writes one integer.
            let waited = unsafe { libc::waitpid(id.cast_signed(), &raw mut status, 0) };
            assert_eq!(waited, id.cast_signed());
            assert_eq!(ExitStatus::from_raw(status).code(), Some(5));
            if fs::write("/proc/sys/kernel/ns_last_pid", (id - 1).to_string()).is_err() {
                eprintln!("skipped: only who is privileged can choose the next number");
                return;
            }
            let mut other = child(6);
            if other.id() == Some(id) {
                first.start_kill().expect("as if it had just ended");
                drop(other.stdin.take());
                until(|| stat(id).is_some_and(|(state, _)| state == 'Z')).await;
                drop(first);
                let status = other.wait().await.expect("it was left alone");
                assert_eq!(status.code(), Some(6));
                return;
            }
        }
        panic!("no other process ever got the number of one that had ended");
    });
}
