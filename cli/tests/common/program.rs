//! A program that is asked: this test again, in a process of its own.

#![allow(dead_code, reason = "each test uses some of it")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use camshaft::runtime::Builder;
use camshaft::{task, time};

/// What the program does.
const DOES: &str = "CAMSHAFT_TEST_PROGRAM";

/// A process, which ends with this.
pub(crate) struct Program {
    child: Child,
    /// What it is called from here.
    pid: u32,
    /// The directory of its user's session, which is the test's own.
    session: PathBuf,
}

impl Program {
    /// Starts it, and waits until it can be asked. The test that is named has to call [`play`].
    pub(crate) fn start(test: &str, does: &str) -> Self {
        let program = std::env::current_exe().expect("this is a program");
        Self::run(Command::new(program), test, does)
    }

    /// The same where it has numbers of its own for processes, and sees another directory as that of its session; none where
    /// that is not allowed.
    pub(crate) fn start_apart(test: &str, does: &str) -> Option<Self> {
        let mut unshare = apart(&["--mount"], "mount -t tmpfs none /mnt")?;
        unshare.args(["sh", "-c"]);
        unshare.arg("mount -t tmpfs -o mode=700 none \"$XDG_RUNTIME_DIR\" && exec \"$0\" \"$@\"");
        unshare.arg(std::env::current_exe().expect("this is a program"));
        Some(Self::run(unshare, test, does).inner())
    }

    /// The same where it only has numbers of its own for processes.
    pub(crate) fn start_renumbered(test: &str, does: &str) -> Option<Self> {
        let mut unshare = apart(&[], "true")?;
        unshare.arg(std::env::current_exe().expect("this is a program"));
        Some(Self::run(unshare, test, does).inner())
    }

    /// The program is the only child of what was started.
    fn inner(mut self) -> Self {
        let outer = self.pid;
        let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"));
        let children = children.expect("it runs");
        self.pid = children.trim().parse().expect("it has one child");
        self
    }

    fn run(mut command: Command, test: &str, does: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("camshaft-session-{}-{count}", std::process::id());
        let session = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&session)
            .expect("it is new");
        let mut child = command
            .args(["--exact", test, "--nocapture"])
            .env(DOES, does)
            .env("XDG_RUNTIME_DIR", &session)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let lines = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
        let ready = lines
            .map_while(Result::ok)
            .any(|line| line.ends_with("it is ready"));
        let pid = child.id();
        let program = Self {
            child,
            pid,
            session,
        };
        assert!(ready, "it has ended");
        program
    }

    pub(crate) fn pid(&self) -> String {
        self.pid.to_string()
    }

    /// The command, run by the same user.
    pub(crate) fn camshaft(&self, words: &[&str]) -> Command {
        let mut command = crate::common::camshaft();
        command.args(words).env("XDG_RUNTIME_DIR", &self.session);
        command
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.session);
    }
}

/// What runs a program with other numbers for processes, and whatever else it is asked for; none if it may not do such a thing there.
fn apart(what: &[&str], such: &str) -> Option<Command> {
    let unshare = || {
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--kill-child"]).args(what);
        unshare
    };
    let tried = unshare().args(["sh", "-c", such]).output();
    tried
        .is_ok_and(|tried| tried.status.success())
        .then(unshare)
}

async fn patient(hours: u64) {
    time::sleep(Duration::from_secs(3600 * hours)).await;
}

/// Is the program, if this is its process.
pub(crate) fn play() -> bool {
    let Some(does) = std::env::var_os(DOES) else {
        return false;
    };
    let ready = || println!("\nit is ready");
    match does.to_str() {
        Some("waits") => waits("teller", ready),
        Some("twice") => {
            let (one, other) = std::sync::mpsc::channel();
            std::thread::spawn(move || waits("first", || one.send(()).expect("the other waits")));
            other.recv().expect("it gets ready");
            waits("second", ready);
        }
        Some("blocks") => {
            let runtime = Builder::new().attach(true).name("blocked").build();
            runtime.expect("a runtime can be built").block_on(async {
                ready();
                std::thread::sleep(Duration::from_secs(3600));
            });
        }
        Some("refuses") => {
            ready();
            camshaft::block_on(patient(1));
        }
        other => panic!("{other:?} is nothing to do"),
    }
    true
}

fn waits(name: &str, ready: impl FnOnce()) {
    let runtime = Builder::new().attach(true).name(name).build();
    runtime.expect("a runtime can be built").block_on(async {
        for _ in 0..1000 {
            camshaft::spawn(patient(2));
        }
        task::Builder::new()
            .name("<b>\x1b[31mred")
            .spawn(patient(3));
        task::yield_now().await;
        ready();
        patient(1).await;
    });
}
