//! Child processes: their settings, their streams, their end.

mod common;

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use camshaft::process::{Child, Command};
use camshaft::signal::{SignalKind, signal};
use common::{alone, fds, isolated, runtime, turn};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// A child that copies what it reads until the end.
fn cat() -> Child {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("a child")
}

#[test]
fn output_is_collected_and_the_status_told() {
    let _alone = alone();
    runtime().block_on(async {
        let output = shell("echo out; echo err >&2; exit 7").output().await;
        let output = output.expect("a child");
        assert_eq!(output.status.code(), Some(7));
        assert_eq!(text(output.stdout), "out\n");
        assert_eq!(text(output.stderr), "err\n");
        assert!(
            Command::new("true")
                .status()
                .await
                .expect("a child")
                .success()
        );
        let status = shell("kill -KILL $$").status().await.expect("a child");
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn settings_reach_the_program() {
    let _alone = alone();
    runtime().block_on(async {
        let mut command = shell("echo $0 $1 $A $B $C; pwd; echo $(ps -o pgid= -p $$) $$; umask");
        command
            .arg("zero")
            .arg("one")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("a path"))
            .envs([("A", "a"), ("B", "b")])
            .env("C", "c")
            .env_remove("B")
            .current_dir("/")
            .process_group(0);
        // SAFETY: the call is one that a signal handler may make.
        let set_mask = || unsafe { libc::umask(0o57) };
        // SAFETY: as above.
        unsafe {
            command.pre_exec(move || {
                set_mask();
                Ok(())
            })
        };
        let output = command.output().await.expect("a child");
        let lines = text(output.stdout);
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines[..2], ["zero one a c", "/"]);
        let group: Vec<_> = lines[2].split_whitespace().collect();
        assert_eq!(group[0], group[1], "a group of its own");
        assert_eq!(lines[3], "0057");
        let mut command = Command::new("sh");
        command
            .arg0("other")
            .args(["-c", "tr '\\0' ' ' </proc/$$/cmdline"]);
        let output = command.output().await.expect("a child");
        assert!(text(output.stdout).starts_with("other -c "));
        let command = Command::from(std::process::Command::new("true")).into_std();
        assert_eq!(command.get_program(), "true");
    });
}

#[test]
fn a_child_runs_as_who_was_asked_for() {
    let _alone = alone();
    // SAFETY: no memory is passed.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: only root may start children of others");
        return;
    }
    runtime().block_on(async {
        let mut command = shell("id -u; id -g");
        let output = command.uid(65534).gid(65533).output().await;
        assert_eq!(text(output.expect("a child").stdout), "65534\n65533\n");
    });
}

#[test]
fn a_command_can_be_used_again() {
    let _alone = alone();
    isolated("a_command_can_be_used_again", || {
        runtime().block_on(async {
            let mut command = shell("readlink /proc/self/fd/1");
            let piped = command.output().await.expect("a child");
            assert!(text(piped.stdout).starts_with("pipe:"));
            // What was not set is again that of this process.
            let mut command = shell("cat");
            assert!(command.output().await.expect("a child").stdout.is_empty());
            command.stdin(Stdio::piped()).stdout(Stdio::null());
            let output = command.output().await.expect("a child");
            assert!(output.stdout.is_empty() && output.status.success());
        });
    });
}

#[test]
fn a_program_that_does_not_exist_is_an_error_and_leaves_nothing() {
    let _alone = alone();
    runtime().block_on(async {
        turn().await;
        let before = fds();
        let mut command = Command::new("/nowhere/at/all");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        assert_eq!(
            command.spawn().expect_err("no program").kind(),
            ErrorKind::NotFound
        );
        assert!(command.output().await.is_err() && command.status().await.is_err());
        assert_eq!(fds(), before);
    });
}

#[test]
fn streams_are_written_and_read_while_the_child_runs() {
    let _alone = alone();
    runtime().block_on(async {
        let mut child = cat();
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = child.stdout.take().expect("it is piped");
        for line in ["one\n", "two\n"] {
            stdin.write_all(line).await.0.expect("it reads");
            let (result, echo) = stdout.read_exact(Box::new([0; 4])).await;
            result.expect("it writes");
            assert_eq!(*echo, *line.as_bytes());
        }
        stdin.shutdown().await.expect("closed");
        assert_eq!(
            stdout.read(Vec::with_capacity(9)).await.0.expect("the end"),
            0
        );
        assert!(child.wait().await.expect("it ends").success());
        // Waiting closes standard input by itself.
        assert!(cat().wait().await.expect("it ends").success());
        assert!(
            cat()
                .wait_with_output()
                .await
                .expect("it ends")
                .stdout
                .is_empty()
        );
    });
}

#[test]
fn a_mebibyte_on_both_outputs_does_not_stick() {
    let _alone = alone();
    runtime().block_on(async {
        for script in [
            "head -c 1048576 /dev/zero; head -c 1048576 /dev/zero >&2",
            "head -c 1048576 /dev/zero >&2; head -c 1048576 /dev/zero",
            "head -c 1048576 /dev/zero & head -c 1048576 /dev/zero >&2; wait",
        ] {
            let output = shell(script).output().await.expect("a child");
            assert_eq!(
                (output.stdout.len(), output.stderr.len()),
                (1 << 20, 1 << 20)
            );
        }
    });
}

#[test]
fn children_form_a_pipeline() {
    let _alone = alone();
    runtime().block_on(async {
        let mut first = shell("printf 'b\\na\\nb\\n'");
        let mut first = first.stdout(Stdio::piped()).spawn().expect("a child");
        let between: Stdio = first
            .stdout
            .take()
            .expect("it is piped")
            .try_into()
            .expect("an end");
        let mut second = Command::new("sort");
        let second = second.arg("-u").stdin(between).output().await;
        assert_eq!(text(second.expect("a child").stdout), "a\nb\n");
        assert!(first.wait().await.expect("it ends").success());
    });
}

#[test]
fn a_child_that_has_ended_is_not_killed() {
    let _alone = alone();
    runtime().block_on(async {
        let mut child = cat();
        let id = child.id().expect("it runs");
        assert!(child.try_wait().expect("it runs").is_none());
        assert!(std::fs::exists(format!("/proc/{id}")).expect("procfs"));
        let status = child.wait().await.expect("it ends");
        assert_eq!(child.wait().await.expect("as before"), status);
        assert_eq!(child.try_wait().expect("as before"), Some(status));
        assert_eq!(child.id(), None);
        let error = child.start_kill().expect_err("it has ended");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(child.kill().await.is_err());
    });
}

#[test]
fn a_child_that_ignores_a_termination_is_killed() {
    let _alone = alone();
    runtime().block_on(async {
        let mut command = shell("trap '' TERM; echo ready; while read line; do echo $line; done");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a child");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (stdin, stdout) = (stdin.expect("piped"), stdout.expect("piped"));
        let (_, line) = stdout.read_exact(Box::new([0; 6])).await;
        assert_eq!(&*line, b"ready\n");
        let id = child.id().expect("it runs").cast_signed();
        // SAFETY: no memory is passed.
        assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0);
        stdin.write_all("alive\n").await.0.expect("it reads");
        let (_, line) = stdout.read_exact(Box::new([0; 6])).await;
        assert_eq!(&*line, b"alive\n");
        child.kill().await.expect("killed");
        let status = child.wait().await.expect("it has ended");
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn children_inherit_no_descriptor() {
    let _alone = alone();
    // What this process itself has inherited, its children inherit.
    let mut bare = std::process::Command::new("ls");
    let bare = bare.arg("/proc/self/fd").output().expect("a child").stdout;
    runtime().block_on(async {
        let _others = [cat(), cat()];
        let _listener = signal(SignalKind::user_defined1()).expect("a listener");
        let output = Command::new("ls").arg("/proc/self/fd").output().await;
        let output = output.expect("a child");
        assert_eq!(text(output.stdout), text(bare));
    });
}

#[test]
fn somebody_else_may_listen_to_sigchld() {
    let _alone = alone();
    runtime().block_on(async {
        let mut listener = signal(SignalKind::child()).expect("a listener");
        for _ in 0..5 {
            let status = Command::new("true").status().await.expect("a child");
            assert!(status.success());
            assert_eq!(listener.recv().await, Some(()));
        }
    });
}

#[test]
fn a_status_that_somebody_else_took_is_an_error_and_no_hang() {
    let _alone = alone();
    isolated(
        "a_status_that_somebody_else_took_is_an_error_and_no_hang",
        || {
            runtime().block_on(async {
                let mut child = cat();
                let mut stdin = child.stdin.take();
                let waiting = camshaft::spawn(async move {
                    let error = child.wait().await.expect_err("taken");
                    assert!(error.to_string().contains("SIGCHLD"), "{error}");
                    assert_eq!(child.id(), None, "the number may be another's");
                    child.start_kill().expect_err("nothing to kill");
                    child.wait().await.expect_err("still");
                });
                turn().await;
                // SAFETY: the handler is a constant of the system.
                unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
                drop(stdin.take());
                waiting.await.expect("the task");
            });
        },
    );
}
