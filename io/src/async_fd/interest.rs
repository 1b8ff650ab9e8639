//! What to wait for, and what is there.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What a descriptor may be waited for. Errors and hang-ups are always waited for as well.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(i16);

impl Interest {
    /// That something can be read, or that the other side will write no more.
    pub const READABLE: Self = Self(libc::POLLIN | libc::POLLRDHUP);
    /// That something can be written.
    pub const WRITABLE: Self = Self(libc::POLLOUT);
    /// That something urgent is there: out-of-band data, a change in a file of sysfs.
    pub const PRIORITY: Self = Self(libc::POLLPRI);
    /// An error only.
    pub const ERROR: Self = Self(libc::POLLERR);

    /// Both.
    #[must_use]
    pub const fn add(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it asks for reading.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.0 & libc::POLLIN != 0
    }

    /// Whether it asks for writing.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.0 & libc::POLLOUT != 0
    }

    /// Whether it asks for what is urgent.
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.0 & libc::POLLPRI != 0
    }

    pub(super) const fn events(self) -> i16 {
        self.0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.add(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.add(other);
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interest")?;
        names(f, self.0)
    }
}

/// What is there: the events of `poll`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ready(i16);

impl Ready {
    pub(super) const fn new(events: i16) -> Self {
        Self(events)
    }

    const fn has(self, events: i16) -> bool {
        self.0 & events != 0
    }

    /// Whether a read would not wait: there is something, or the end, or an error.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.has(libc::POLLIN | libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR)
    }

    /// Whether a write would not wait: there is room, or nobody who reads, or an error.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.has(libc::POLLOUT | libc::POLLHUP | libc::POLLERR)
    }

    /// Whether the other side will write no more. What it wrote before may still be there.
    #[must_use]
    pub const fn is_read_closed(self) -> bool {
        self.has(libc::POLLRDHUP | libc::POLLHUP)
    }

    /// Whether nobody reads any more.
    #[must_use]
    pub const fn is_write_closed(self) -> bool {
        self.has(libc::POLLHUP | libc::POLLERR)
    }

    /// Whether something urgent is there.
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.has(libc::POLLPRI)
    }

    /// Whether there is an error.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.has(libc::POLLERR)
    }

    /// Whether nothing is there.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")?;
        names(f, self.0)
    }
}

fn names(f: &mut fmt::Formatter<'_>, events: i16) -> fmt::Result {
    let names = [
        (libc::POLLIN, "readable"),
        (libc::POLLOUT, "writable"),
        (libc::POLLPRI, "priority"),
        (libc::POLLRDHUP, "read closed"),
        (libc::POLLHUP, "hang-up"),
        (libc::POLLERR, "error"),
    ];
    let mut set = f.debug_set();
    for (event, name) in names {
        if events & event != 0 {
            set.entry(&format_args!("{name}"));
        }
    }
    set.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interests_add_up() {
        let both = Interest::READABLE | Interest::WRITABLE;
        assert!(both.is_readable() && both.is_writable() && !both.is_priority());
        assert_eq!(
            format!("{both:?}"),
            "Interest{readable, writable, read closed}"
        );
    }

    #[test]
    fn a_hang_up_ends_every_wait() {
        let ready = Ready::new(libc::POLLHUP);
        assert!(ready.is_readable() && ready.is_writable() && ready.is_read_closed());
        assert!(!ready.is_error() && !ready.is_empty() && !ready.is_priority());
    }
}
