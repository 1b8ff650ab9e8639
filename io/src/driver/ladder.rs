//! The ladder of ring set-ups, and the report of which rung holds.
//!
//! Rungs are tried from the best to the plainest, by real set-up and probes, never by a kernel version. A rung that the
//! kernel does not know (`EINVAL`) leads to the next; a refusal of io_uring as such (`EPERM`, `ENOSYS`, `EACCES`,
//! `ENOMEM`) ends the descent, with the reason looked up where the system tells it.

use std::fmt;
use std::fs;
use std::io;

/// A way to set up a ring. Each name is the kernel that first had all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rung {
    /// One issuer, deferred task work, no submission index array (6.6).
    NoIndexArray,
    /// One issuer, deferred task work (6.1).
    DeferredTaskWork,
    /// Cooperative task work (5.19).
    CooperativeTaskWork,
    /// A plain ring that drops no completion and waits with a time limit (5.11).
    Plain,
}

impl Rung {
    pub(crate) const ALL: [Self; 4] = [
        Self::NoIndexArray,
        Self::DeferredTaskWork,
        Self::CooperativeTaskWork,
        Self::Plain,
    ];

    /// Whether it is worth trying what came with 6.12. A lower rung that was asked for stands for a kernel that has none of it.
    pub(crate) fn may_have_612(self) -> bool {
        self == Self::NoIndexArray
    }

    /// Whether the kernel knows `IORING_RECVSEND_POLL_FIRST` and provided-buffer rings (both came with 5.19).
    pub(crate) fn has_519(self) -> bool {
        self != Self::Plain
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoIndexArray => "deferred task work, no index array (as of 6.6)",
            Self::DeferredTaskWork => "deferred task work (as of 6.1)",
            Self::CooperativeTaskWork => "cooperative task work (as of 5.19)",
            Self::Plain => "plain (as of 5.11)",
        })
    }
}

/// Which rungs were tried, and why each was refused. Displays as one line a rung.
#[derive(Clone, Debug, Default)]
pub struct Report {
    refused: Vec<(Rung, String)>,
    chosen: Option<Rung>,
    fell_back: bool,
    features: Vec<(&'static str, bool)>,
}

impl Report {
    /// The rung that holds, if any.
    pub fn chosen(&self) -> Option<Rung> {
        self.chosen
    }

    /// The rungs that were refused, each with the reason.
    pub fn refused(&self) -> impl Iterator<Item = (Rung, &str)> {
        self.refused.iter().map(|(rung, why)| (*rung, &**why))
    }

    pub(crate) fn refuse(&mut self, rung: Rung, why: String) {
        self.refused.push((rung, why));
    }

    pub(crate) fn choose(&mut self, rung: Rung) {
        self.chosen = Some(rung);
    }

    /// The epoll is in use.
    pub(crate) fn fall_back(&mut self) {
        self.fell_back = true;
    }

    pub(crate) fn feature(&mut self, name: &'static str, present: bool) {
        self.features.push((name, present));
    }

    /// The error for a caller who cannot do without a ring.
    pub(crate) fn into_error(self, kind: io::ErrorKind) -> io::Error {
        let why = self
            .refused
            .into_iter()
            .next_back()
            .map_or_else(|| "no rung was tried".to_owned(), |(_, why)| why);
        io::Error::new(kind, format!("io_uring is not available: {why}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (rung, why) in &self.refused {
            writeln!(f, "io_uring, {rung}: refused: {why}")?;
        }
        match self.chosen {
            Some(rung) => write!(f, "io_uring, {rung}: in use")?,
            None if self.fell_back => write!(f, "epoll: in use")?,
            None => write!(f, "io_uring: not in use")?,
        }
        for (name, present) in &self.features {
            write!(f, "\n  {name}: {}", if *present { "yes" } else { "no" })?;
        }
        Ok(())
    }
}

/// Explains an errno of `io_uring_setup` so that a user knows what to change.
pub(crate) fn explain(error: &io::Error) -> String {
    explain_with(
        error,
        fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok(),
        // A filter may be on this thread alone.
        fs::read_to_string("/proc/thread-self/status").ok(),
    )
}

fn explain_with(error: &io::Error, sysctl: Option<String>, status: Option<String>) -> String {
    let disabled = sysctl.as_deref().map(str::trim).filter(|v| *v != "0");
    let filtered = status.is_some_and(|status| {
        status.lines().any(|line| {
            line.strip_prefix("Seccomp:")
                .is_some_and(|v| v.trim() == "2")
        })
    });
    match (error.raw_os_error(), disabled) {
        (Some(libc::EPERM), Some(level)) => format!(
            "the sysctl kernel.io_uring_disabled is {level}; set it to 0, or run with a \
             group or capability that it lets through ({error})"
        ),
        (Some(libc::EPERM | libc::EACCES | libc::ENOSYS), _) if filtered => format!(
            "a seccomp filter of this process forbids it, as the default profile of container engines \
             does; run with a profile that allows io_uring_setup, io_uring_enter and \
             io_uring_register ({error})"
        ),
        (Some(libc::EPERM | libc::EACCES), _) => format!(
            "this process may not use io_uring; a security module or a sandbox forbids it ({error})"
        ),
        (Some(libc::ENOSYS), _) => {
            format!("this kernel is built without io_uring; 5.11 or later is needed ({error})")
        }
        (Some(libc::ENOMEM), _) => format!(
            "the ring does not fit in the locked-memory limit; raise it (ulimit -l, \
             LimitMEMLOCK=) or ask for fewer ring entries ({error})"
        ),
        (Some(libc::EMFILE | libc::ENFILE), _) => format!(
            "no file descriptor is left for it; raise the limit (ulimit -n) or close some ({error})"
        ),
        (Some(libc::EINVAL), _) => format!("this kernel does not know these flags ({error})"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(errno: i32, sysctl: &str, status: &str) -> String {
        explain_with(
            &io::Error::from_raw_os_error(errno),
            Some(sysctl.to_owned()),
            Some(status.to_owned()),
        )
    }

    #[test]
    fn each_refusal_names_its_cause_and_its_remedy() {
        let free = "Name:\tx\nSeccomp:\t0\n";
        let caged = "Name:\tx\nSeccomp:\t2\n";
        assert!(explained(libc::EPERM, "2\n", free).contains("kernel.io_uring_disabled is 2"));
        assert!(explained(libc::EPERM, "0\n", caged).contains("seccomp"));
        assert!(explained(libc::ENOSYS, "0\n", caged).contains("seccomp"));
        assert!(explained(libc::ENOSYS, "0\n", free).contains("without io_uring"));
        assert!(explained(libc::EPERM, "0\n", free).contains("may not use io_uring"));
        assert!(explained(libc::ENOMEM, "0\n", free).contains("ulimit -l"));
        assert!(explained(libc::EMFILE, "0\n", free).contains("ulimit -n"));
    }

    #[test]
    fn a_report_shows_every_rung() {
        let mut report = Report::default();
        report.refuse(Rung::NoIndexArray, "because".into());
        report.choose(Rung::Plain);
        let shown = report.to_string();
        assert!(shown.contains("6.6") && shown.contains("because") && shown.contains("plain"));
        assert_eq!(report.chosen(), Some(Rung::Plain));
        assert_eq!(report.refused().count(), 1);
    }
}
