//! What to start, and how.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

use super::{Child, orphans};

/// A process to start: the program, its arguments, its environment.
///
/// It wraps [`std::process::Command`], where each setting is explained.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn example() -> std::io::Result<()> {
/// use camshaft::process::Command;
///
/// let output = Command::new("uname").arg("-r").output().await?;
/// println!("{}", String::from_utf8_lossy(&output.stdout));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Command {
    std: std::process::Command,
    kill_on_drop: bool,
    /// Which of the standard streams were set.
    set: [bool; 3],
}

impl Command {
    /// A command that starts a program, which is looked for in `PATH`, with nothing but defaults.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        std::process::Command::new(program).into()
    }

    /// Adds an argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = S>) -> &mut Self {
        self.std.args(args);
        self
    }

    /// Sets the zeroth argument: what the program believes to be its name.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg0(arg);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.std.env(key, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Self {
        self.std.envs(variables);
        self
    }

    /// Removes a variable from the environment, set or inherited.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Removes all variables from the environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// Sets the working directory.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.std.current_dir(directory);
        self
    }

    /// Sets the user that the process runs as.
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.std.uid(id);
        self
    }

    /// Sets the group that the process runs as.
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.std.gid(id);
        self
    }

    /// Sets the process group; 0 makes a new one, which Ctrl-C in the terminal does not reach.
    pub fn process_group(&mut self, id: i32) -> &mut Self {
        self.std.process_group(id);
        self
    }

    /// Has a closure run in the child, before the program.
    ///
    /// # Safety
    ///
    /// As for [`CommandExt::pre_exec`]: it runs in the forked child of a process that may have threads, where only calls that
    /// a signal handler may make are allowed. So nothing of this crate.
    pub unsafe fn pre_exec(
        &mut self,
        call: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
    ) -> &mut Self {
        // SAFETY: the caller's promise.
        unsafe { self.std.pre_exec(call) };
        self
    }

    /// Sets standard input. An end of a pipe of this crate is turned into one by `try_into`.
    pub fn stdin(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.std.stdin(stdio);
        self.set[0] = true;
        self
    }

    /// Sets standard output.
    pub fn stdout(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.std.stdout(stdio);
        self.set[1] = true;
        self
    }

    /// Sets standard error.
    pub fn stderr(&mut self, stdio: impl Into<Stdio>) -> &mut Self {
        self.std.stderr(stdio);
        self.set[2] = true;
        self
    }

    /// Sets whether the process is killed when its [`Child`] is dropped before its end was waited for. It is not, by default.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Self {
        self.kill_on_drop = kill;
        self
    }

    /// Starts the process. Streams that were not set are those of this process.
    ///
    /// This takes the time of a `fork` and `exec`, in which nothing else runs on this thread.
    ///
    /// # Errors
    ///
    /// `NotFound` if there is no such program, and what else `fork` and `exec` report.
    pub fn spawn(&mut self) -> io::Result<Child> {
        orphans::sweep();
        Child::new(self.std.spawn()?, self.kill_on_drop)
    }

    /// Starts the process and waits for its end. Streams that were not set are those of this process; what was piped is
    /// closed.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// The process is started by the first poll. Dropping the future drops its [`Child`].
    pub async fn status(&mut self) -> io::Result<ExitStatus> {
        let mut child = self.spawn()?;
        drop((child.stdout.take(), child.stderr.take()));
        child.wait().await
    }

    /// Starts the process, waits for its end, and collects what it writes to its standard output and standard error. Of the
    /// streams that were not set, these two are piped, and standard input is empty, as in std.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// The process is started by the first poll. Dropping the future drops its [`Child`], and what was collected.
    pub async fn output(&mut self) -> io::Result<Output> {
        self.set_unset(Stdio::null, Stdio::piped);
        let child = self.spawn();
        // As they were, for the next process.
        self.set_unset(Stdio::inherit, Stdio::inherit);
        child?.wait_with_output().await
    }

    /// Sets the streams that the user has not set.
    fn set_unset(&mut self, input: fn() -> Stdio, output: fn() -> Stdio) {
        let [stdin, stdout, stderr] = self.set;
        if !stdin {
            self.std.stdin(input());
        }
        if !stdout {
            self.std.stdout(output());
        }
        if !stderr {
            self.std.stderr(output());
        }
    }

    /// The command of std.
    #[must_use]
    pub fn as_std(&self) -> &std::process::Command {
        &self.std
    }

    /// The command of std, for its other settings. What is set there of the standard streams is not known to
    /// [`output`](Self::output).
    pub fn as_std_mut(&mut self) -> &mut std::process::Command {
        &mut self.std
    }

    /// Turns it into the command of std.
    #[must_use]
    pub fn into_std(self) -> std::process::Command {
        self.std
    }
}

impl From<std::process::Command> for Command {
    fn from(std: std::process::Command) -> Self {
        Self {
            std,
            kill_on_drop: false,
            set: [false; 3],
        }
    }
}
