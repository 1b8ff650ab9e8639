//! Which signal.

use std::ffi::c_int;
use std::fmt;
use std::io;

/// A kind of signal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignalKind(c_int);

/// Signals that a program can't catch, or that say that it is broken: returning from their handler repeats the fault.
const REFUSED: [(c_int, &str); 5] = [
    (libc::SIGKILL, "SIGKILL can't be caught by any program"),
    (libc::SIGSTOP, "SIGSTOP can't be caught by any program"),
    (libc::SIGILL, "SIGILL reports a fault of the program itself"),
    (libc::SIGFPE, "SIGFPE reports a fault of the program itself"),
    (
        libc::SIGSEGV,
        "SIGSEGV reports a fault of the program itself",
    ),
];

macro_rules! kinds {
    ($($name:ident = $signal:ident: $text:literal;)+) => {
        impl SignalKind {$(
            #[doc = concat!("`", stringify!($signal), "`: ", $text)]
            #[must_use]
            pub const fn $name() -> Self {
                Self(libc::$signal)
            }
        )+}

        fn name(signal: c_int) -> Option<&'static str> {
            match signal {
                $(libc::$signal => Some(stringify!($signal)),)+
                _ => None,
            }
        }
    };
}

kinds! {
    alarm = SIGALRM: "a timer of `alarm` or `setitimer` ran out.";
    child = SIGCHLD: "a child process ended, stopped or went on.";
    hangup = SIGHUP: "the terminal is gone; daemons read their configuration again.";
    interrupt = SIGINT: "the user pressed Ctrl-C.";
    io = SIGIO: "a descriptor that asked for it is ready.";
    pipe = SIGPIPE: "something was written to a pipe that nobody reads.";
    quit = SIGQUIT: "the user pressed Ctrl-\\.";
    terminate = SIGTERM: "the program is asked to end.";
    user_defined1 = SIGUSR1: "for the program's own use.";
    user_defined2 = SIGUSR2: "for the program's own use.";
    window_change = SIGWINCH: "the size of the terminal changed.";
}

impl SignalKind {
    /// The kind with a number. Whether it can be listened to shows when it is.
    #[must_use]
    pub const fn from_raw(signal: c_int) -> Self {
        Self(signal)
    }

    /// The number.
    #[must_use]
    pub const fn as_raw_value(&self) -> c_int {
        self.0
    }

    /// Checks that a handler may be set for it.
    pub(super) fn check(self) -> io::Result<c_int> {
        let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if let Some((_, why)) = REFUSED.iter().find(|(signal, _)| *signal == self.0) {
            return refuse(format!("{why}; listen to another signal"));
        }
        if !(1..=libc::SIGRTMAX()).contains(&self.0) {
            let highest = libc::SIGRTMAX();
            return refuse(format!(
                "{} is no signal; they have numbers from 1 to {highest}",
                self.0
            ));
        }
        Ok(self.0)
    }
}

impl From<c_int> for SignalKind {
    fn from(signal: c_int) -> Self {
        Self::from_raw(signal)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> Self {
        kind.0
    }
}

impl fmt::Debug for SignalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "SignalKind({})", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_says_why() {
        for signal in [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, 0, -1, 4096] {
            let error = SignalKind::from_raw(signal).check().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{signal}");
            assert!(error.to_string().contains("signal"), "{error}");
        }
        for signal in [libc::SIGINT, libc::SIGRTMIN(), libc::SIGRTMAX()] {
            assert_eq!(SignalKind::from(signal).check().unwrap(), signal);
        }
    }

    #[test]
    fn kinds_are_shown_by_their_names() {
        assert_eq!(format!("{:?}", SignalKind::terminate()), "SIGTERM");
        assert_eq!(format!("{:?}", SignalKind::from_raw(40)), "SignalKind(40)");
    }
}
