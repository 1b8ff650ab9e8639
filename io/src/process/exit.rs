//! Waiting for the end of a child.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::ptr;
use std::sync::Arc;

use crate::readiness::wait;
use crate::signal::{Signal, SignalKind, signal};

/// What tells of a child's end.
pub(super) enum Exit {
    /// A descriptor of the process itself, which stays that of this process whatever becomes of its number.
    Pidfd(Arc<OwnedFd>),
    /// `SIGCHLD`, where there is no such descriptor: before Linux 5.3, behind a filter that refuses it, or when too many
    /// descriptors are open. The listener is made by the first wait.
    Signal(Option<Signal>),
}

impl Exit {
    pub(super) fn of(child: &Child) -> Self {
        // SAFETY: no memory is passed. The number is that of our child, which nobody has waited for.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
        match RawFd::try_from(fd) {
            // SAFETY: a new descriptor, close-on-exec, that nobody else owns.
            Ok(fd @ 0..) => Self::Pidfd(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) })),
            _ => Self::Signal(None),
        }
    }

    pub(super) fn pidfd(self) -> Option<Arc<OwnedFd>> {
        match self {
            Self::Pidfd(fd) => Some(fd),
            Self::Signal(_) => None,
        }
    }

    /// Prepares a wait: what happens from now on ends it.
    pub(super) fn listen(&mut self) -> io::Result<()> {
        if let Self::Signal(listener @ None) = self {
            *listener = Some(signal(SignalKind::child())?);
        }
        Ok(())
    }

    /// Waits until the child may have ended. To be called after [`listen`](Self::listen).
    pub(super) async fn ready(&mut self) -> io::Result<()> {
        match self {
            Self::Pidfd(fd) => wait(fd.clone(), libc::POLLIN).await.0.map(drop),
            Self::Signal(listener) => {
                let heard = match listener {
                    Some(listener) => listener.recv().await,
                    None => None,
                };
                heard.ok_or_else(|| io::Error::other("the runtime can't wait for signals"))
            }
        }
    }

    /// Kills the child, unless it has ended.
    pub(super) fn kill(&self, child: &mut Child) -> io::Result<()> {
        let fd = match self {
            Self::Pidfd(fd) => fd,
            Self::Signal(_) => return kill_by_number(child),
        };
        let info = ptr::null::<libc::siginfo_t>();
        // SAFETY: the kernel reads no memory, for there is no info.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                fd.as_raw_fd(),
                libc::SIGKILL,
                info,
                0,
            )
        };
        if sent == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // It has ended, and somebody else has waited for it.
            Some(libc::ESRCH) => Ok(()),
            // Refused by a filter.
            Some(libc::ENOSYS | libc::EPERM) => kill_by_number(child),
            _ => Err(error),
        }
    }

    /// The status of the child, which is reaped by this if it has ended.
    pub(super) fn try_wait(&self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        match self {
            Self::Pidfd(fd) => try_wait(child, Some(fd)),
            Self::Signal(_) => try_wait(child, None),
        }
    }
}

/// Kills a child, unless somebody else has waited for it: then the number may be another's by now.
fn kill_by_number(child: &mut Child) -> io::Result<()> {
    match child.try_wait() {
        Ok(None) => child.kill(),
        _ => Ok(()),
    }
}

/// The status of a child, which is reaped by this if it has ended. With a descriptor it is that child and no other, even if
/// somebody else has waited for it and another child got its number.
pub(super) fn try_wait(
    child: &mut Child,
    pidfd: Option<&Arc<OwnedFd>>,
) -> io::Result<Option<ExitStatus>> {
    let Some(fd) = pidfd else {
        return child.try_wait();
    };
    let Ok(id) = libc::id_t::try_from(fd.as_raw_fd()) else {
        return child.try_wait();
    };
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG;
    // SAFETY: the kernel writes one `siginfo_t`.
    if unsafe { libc::waitid(libc::P_PIDFD, id, info.as_mut_ptr(), flags) } < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            // Linux 5.3 has such descriptors, and can't wait for them yet.
            Some(libc::EINVAL) => child.try_wait(),
            _ => Err(error),
        };
    }
    // SAFETY: it was zeroed, which is valid, and perhaps written.
    let info = unsafe { info.assume_init() };
    // SAFETY: of the kind that `waitid` writes, or zero.
    if unsafe { info.si_pid() } == 0 {
        return Ok(None);
    }
    // SAFETY: of the kind that `waitid` writes.
    let status = unsafe { info.si_status() };
    // As `wait` encodes them.
    Ok(Some(ExitStatus::from_raw(match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    })))
}
