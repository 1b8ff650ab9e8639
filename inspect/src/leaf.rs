//! What a leaf waits for, as data and as text.

use std::borrow::Cow;
use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

use crate::json::{Json, ToJson};

/// A deadline that is farther than this was meant to be never.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What exactly a future waits for that waits for nothing else.
///
/// It displays as one line. Only what is known is there: what is `None` was not told, or cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaf {
    /// What kind of thing it waits for.
    pub kind: Cause,
    /// The operation, by the name of its system call, or what is wanted of a lock or a channel.
    pub op: Option<Cow<'static, str>>,
    /// Whether the operation waits until those before it on the same descriptor are done, and has not begun.
    pub in_line: bool,
    /// The descriptor.
    pub fd: Option<RawFd>,
    /// The descriptor that it is a duplicate of, made to be waited on.
    pub duplicate_of: Option<RawFd>,
    /// Who is at the other end, or is to be.
    pub peer: Option<String>,
    /// The address that a socket has here.
    pub local: Option<String>,
    /// The path, or what the system calls a descriptor that has none, such as `pipe:[1234]`.
    pub path: Option<String>,
    /// The second path of what has two.
    pub target: Option<String>,
    /// The offset in a file.
    pub offset: Option<u64>,
    /// How many bytes are asked for, at most.
    pub bytes: Option<u64>,
    /// The deadline, as a reading of `CLOCK_MONOTONIC`, or of the paused clock of the runtime.
    pub deadline: Option<Duration>,
    /// How much time is left until then; nothing once it has passed.
    pub left: Option<Duration>,
    /// For how long the deadline has passed.
    pub overdue: Option<Duration>,
    /// How long a pause between two tries is.
    pub span: Option<Duration>,
    /// The task whose end is waited for.
    pub task: Option<u64>,
    /// The name of that task, if it lives and has one.
    pub task_name: Option<String>,
    /// How many tasks there are of which the first that ends is waited for.
    pub tasks: Option<u64>,
    /// The number of the child process.
    pub pid: Option<u32>,
    /// The number of the signal.
    pub signal: Option<i32>,
    /// Where the state of a channel or a lock lies that those on it share: those who wait for the same have the same.
    pub channel: Option<u64>,
    /// How many messages are in the channel.
    pub queued: Option<u64>,
    /// How many senders the channel has.
    pub senders: Option<u64>,
    /// How many permits of a semaphore are wanted.
    pub wanted: Option<u64>,
    /// How many permits a semaphore has left.
    pub permits: Option<u64>,
    /// What else there is to say.
    pub note: Option<Cow<'static, str>>,
}

/// What kind of thing a leaf waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// An operation of the system.
    #[default]
    Operation,
    /// Time.
    Timer,
    /// The end of a task.
    Task,
    /// A closure on a thread that may block.
    Blocking,
    /// A signal.
    Signal,
    /// The end of a child process.
    Process,
    /// A channel.
    Channel,
    /// A lock, a semaphore, or a notification.
    Lock,
    /// What has frames of its own: a fiber.
    Fiber,
}

impl Cause {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Timer => "timer",
            Self::Task => "task",
            Self::Blocking => "blocking",
            Self::Signal => "signal",
            Self::Process => "process",
            Self::Channel => "channel",
            Self::Lock => "lock",
            Self::Fiber => "fiber",
        }
    }
}

impl Leaf {
    pub(crate) fn new(kind: Cause) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    pub(crate) fn named(kind: Cause, op: impl Into<Cow<'static, str>>) -> Self {
        Self {
            op: Some(op.into()),
            ..Self::new(kind)
        }
    }

    /// What a deadline means at a time.
    pub(crate) fn timer(deadline: Duration, now: Duration) -> Self {
        Self {
            deadline: Some(deadline),
            left: deadline.checked_sub(now),
            overdue: now.checked_sub(deadline).filter(|late| !late.is_zero()),
            ..Self::new(Cause::Timer)
        }
    }

    /// Whether it waits for what was meant to be never.
    pub(crate) fn is_never(&self) -> bool {
        self.left.is_some_and(|left| left > NEVER)
    }

    /// The words of its line, one after the other.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut say = |word: String| words.push(word);
        if let Some(op) = &self.op {
            say(match self.span {
                Some(span) => format!("{op} of {span:?}"),
                None => op.clone().into_owned(),
            });
        }
        if let Some(task) = self.task {
            say(match &self.task_name {
                Some(name) => format!("waits for task {task} \"{name}\""),
                None => format!("waits for task {task}"),
            });
        }
        if let Some(tasks) = self.tasks {
            say(format!("waits for the first of {}", counted(tasks, "task")));
        }
        if let Some(signal) = self.signal {
            say(signal_name(signal));
        }
        if let Some(fd) = self.fd {
            say(match self.duplicate_of {
                Some(of) => format!("fd {of}, waited on by its duplicate {fd}"),
                None => format!("fd {fd}"),
            });
        }
        self.addresses(&mut say);
        self.amounts(&mut say);
        if let Some(note) = &self.note {
            say(note.clone().into_owned());
        }
        if self.in_line {
            say("waits for its turn".to_owned());
        }
        words
    }

    fn addresses(&self, say: &mut impl FnMut(String)) {
        let connects = self.op.as_deref() == Some("connect");
        match (&self.peer, &self.local) {
            (Some(peer), _) if connects => say(format!("to {peer}")),
            (Some(peer), _) => say(format!("peer {peer}")),
            (None, Some(local)) => say(format!("bound to {local}")),
            (None, None) => {}
        }
        match (&self.path, &self.target) {
            (Some(path), Some(target)) => say(format!("{path} to {target}")),
            (Some(path), None) => say(path.clone()),
            _ => {}
        }
        if let Some(pid) = self.pid {
            say(format!("child {pid}"));
        }
        if let Some(channel) = self.channel {
            let what = match self.kind {
                Cause::Lock => "lock",
                _ => "channel",
            };
            say(format!("{what} {channel:#x}"));
        }
    }

    fn amounts(&self, say: &mut impl FnMut(String)) {
        match (self.bytes, self.offset) {
            (Some(bytes), Some(offset)) => say(format!("{} at {offset}", counted(bytes, "byte"))),
            (Some(bytes), None) => say(counted(bytes, "byte")),
            (None, Some(offset)) => say(format!("at {offset}")),
            (None, None) => {}
        }
        match (self.left, self.overdue) {
            _ if self.is_never() => say("waits for ever".to_owned()),
            (Some(left), None) => say(format!("{left:.1?} left")),
            (_, Some(late)) => say(format!("due for {late:.1?}")),
            (None, None) => {}
        }
        if let Some(queued) = self.queued {
            say(format!("{} queued", counted(queued, "message")));
        }
        if let Some(senders) = self.senders {
            say(counted(senders, "sender"));
        }
        match (self.wanted, self.permits) {
            (Some(wanted), Some(left)) => {
                say(format!("{} wanted, {left} left", counted(wanted, "permit")));
            }
            (Some(wanted), None) => say(format!("{} wanted", counted(wanted, "permit"))),
            _ => {}
        }
    }
}

fn signal_name(number: i32) -> String {
    let names = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGCHLD, "SIGCHLD"),
        (libc::SIGCONT, "SIGCONT"),
        (libc::SIGTSTP, "SIGTSTP"),
        (libc::SIGWINCH, "SIGWINCH"),
    ];
    match names.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => format!("signal {name}"),
        None => format!("signal {number}"),
    }
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(", "))
    }
}

/// Only what is known.
impl ToJson for Leaf {
    fn write(&self, json: &mut Json) {
        fn known<T: ToJson>(json: &mut Json, name: &str, value: Option<T>) {
            if let Some(value) = value {
                json.field(name, &value);
            }
        }
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let positive = |number: i32| u64::try_from(number).ok();
        json.object(|json| {
            json.field("kind", self.kind.name());
            known(json, "op", self.op.as_deref());
            known(json, "in_line", self.in_line.then_some(true));
            known(json, "fd", self.fd.and_then(positive));
            known(json, "duplicate_of", self.duplicate_of.and_then(positive));
            known(json, "peer", self.peer.as_deref());
            known(json, "local", self.local.as_deref());
            known(json, "path", self.path.as_deref());
            known(json, "target", self.target.as_deref());
            known(json, "offset", self.offset);
            known(json, "bytes", self.bytes);
            known(json, "deadline_ns", self.deadline.map(nanos));
            known(json, "left_ns", self.left.map(nanos));
            known(json, "overdue_ns", self.overdue.map(nanos));
            known(json, "span_ns", self.span.map(nanos));
            known(json, "task", self.task);
            known(json, "task_name", self.task_name.as_deref());
            known(json, "tasks", self.tasks);
            known(json, "pid", self.pid.map(u64::from));
            known(json, "signal", self.signal.and_then(positive));
            let shared = match self.kind {
                Cause::Lock => "lock",
                _ => "channel",
            };
            known(json, shared, self.channel.map(|at| format!("{at:#x}")));
            known(json, "queued", self.queued);
            known(json, "senders", self.senders);
            known(json, "wanted", self.wanted);
            known(json, "permits", self.permits);
            known(json, "note", self.note.as_deref());
        });
    }
}
