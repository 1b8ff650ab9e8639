//! A running child process.

use std::fmt;
use std::io;
use std::process::{ExitStatus, Output};

use super::exit::Exit;
use super::{ChildStderr, ChildStdin, ChildStdout, orphans};
use crate::join::both;

/// A child process.
///
/// Dropping it lets the process run on, and it is reaped when it ends, so that no zombie stays; with
/// [`kill_on_drop`](super::Command::kill_on_drop) it is killed first.
pub struct Child {
    state: State,
    kill_on_drop: bool,
    /// Standard input of the child, if it was asked for by `stdin(Stdio::piped())`.
    pub stdin: Option<ChildStdin>,
    /// Standard output of the child, if it was asked for.
    pub stdout: Option<ChildStdout>,
    /// Standard error of the child, if it was asked for.
    pub stderr: Option<ChildStderr>,
}

enum State {
    Running(std::process::Child, Exit),
    Ended(ExitStatus),
    /// Somebody else has waited for it.
    Lost,
}

impl Child {
    pub(super) fn new(mut child: std::process::Child, kill_on_drop: bool) -> io::Result<Self> {
        let stdio = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let exit = Exit::of(&child);
        let mut this = Self {
            state: State::Running(child, exit),
            kill_on_drop,
            stdin: None,
            stdout: None,
            stderr: None,
        };
        let (stdin, stdout, stderr) = stdio;
        this.stdin = stdin.map(|it| ChildStdin::adopt(it.into())).transpose()?;
        this.stdout = stdout.map(|it| ChildStdout::adopt(it.into())).transpose()?;
        this.stderr = stderr.map(|it| ChildStderr::adopt(it.into())).transpose()?;
        Ok(this)
    }

    /// The number of the process, until its end has been waited for; after that it may be that of another process.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        match &self.state {
            State::Running(child, _) => Some(child.id()),
            State::Ended(_) | State::Lost => None,
        }
    }

    /// Sends `SIGKILL`. The end has still to be waited for, or comes in the background when the handle is dropped.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if its end has been waited for; and what `kill` reports.
    pub fn start_kill(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Running(child, exit) => exit.kill(child),
            State::Ended(_) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the child has ended and can't be killed any more",
            )),
            State::Lost => Err(lost()),
        }
    }

    /// Sends `SIGKILL` and waits for the end.
    ///
    /// # Errors
    ///
    /// As [`start_kill`](Self::start_kill) and [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// The signal is sent by the first poll. For the rest as [`wait`](Self::wait).
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await.map(drop)
    }

    /// The status, if the child has ended.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let waited = match &mut self.state {
            State::Running(child, exit) => exit.try_wait(child),
            State::Ended(status) => return Ok(Some(*status)),
            State::Lost => return Err(lost()),
        };
        match waited {
            Ok(Some(status)) => {
                self.state = State::Ended(status);
                Ok(Some(status))
            }
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                self.state = State::Lost;
                Err(lost())
            }
            result => result,
        }
    }

    /// Waits for the end, and returns the status; the same one at each call.
    ///
    /// Standard input is closed first, if it is still here, so that a child that reads it does not wait for its parent.
    ///
    /// # Errors
    ///
    /// If somebody else took the status: the program ignores `SIGCHLD`, or another part of it waits for all children. And what
    /// `waitpid` and `poll` report.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// Strict: the next call waits on.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.ended().await
    }

    async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let State::Running(_, exit) = &mut self.state {
                exit.listen()?;
            }
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if let State::Running(_, exit) = &mut self.state {
                exit.ready().await?;
            }
        }
    }

    /// Waits for the end, and collects meanwhile what the child writes to its standard output and standard error, if they
    /// were piped.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and what reading reports.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// What was collected is lost; the child is dropped.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let outputs = both(collect(stdout), collect(stderr));
        let (status, (stdout, stderr)) = both(self.ended(), outputs).await;
        Ok(Output {
            status: status?,
            stdout: stdout?,
            stderr: stderr?,
        })
    }
}

/// Reads to the end.
async fn collect(pipe: Option<ChildStdout>) -> io::Result<Vec<u8>> {
    let Some(pipe) = pipe else {
        return Ok(Vec::new());
    };
    let (result, bytes) = pipe.read_to_end(Vec::new()).await;
    result.map(|_| bytes)
}

fn lost() -> io::Error {
    io::Error::other(
        "the child's status was taken by somebody else: SIGCHLD is ignored, or another part of the program waits for all \
         children",
    )
}

impl Drop for Child {
    fn drop(&mut self) {
        if let State::Running(mut child, exit) = std::mem::replace(&mut self.state, State::Lost) {
            if self.kill_on_drop {
                // It fails only if it has ended.
                let _ = exit.kill(&mut child);
            }
            orphans::adopt(child, exit.pidfd());
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("id", &self.id())
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish_non_exhaustive()
    }
}
