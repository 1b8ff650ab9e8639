//! The workloads by name, and what each is made of.

use std::time::Duration;

/// One kind of work that every system does in the same way.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Workload {
    /// Spawn and join a no-op.
    SpawnJoin,
    /// One task that yields.
    Yield1,
    /// A thousand tasks that yield.
    Yield1000,
    /// Two tasks that take turns; one operation is a round trip.
    PingPong,
    /// A task 32 `async fn`s deep that is resumed at the bottom.
    AwaitChain,
    /// A sleep created, polled once and dropped beside 10k live ones.
    TimerCancel,
    /// 100k tasks whose sleeps end within one second.
    TimerFire,
    /// 100k sleeping tasks.
    SleepingRss,
    /// A wake from another thread.
    WakeRemote,
    /// 100k tasks parked in one await.
    ParkedRss,
    /// Echo of 64 B over one connection.
    Echo1,
    /// Echo of 64 B over 64 connections.
    Echo64,
    /// Echo of 64 B over 512 connections.
    Echo512,
    /// Echo of 64 B over 4000 connections.
    Echo4000,
    /// Echo of 64 KiB over eight connections.
    EchoBulk,
    /// Connections with a read pending.
    IdleConn,
    /// Connect, one request, one reply, close.
    ConnectClose,
    /// HTTP/1.1 with hyper over 64 connections.
    Hyper,
    /// 4 KiB from the page cache.
    CachedRead1,
    /// The same by 32 tasks.
    CachedRead32,
    /// Sequential writes to a file that is synced at its end.
    BufferedWrite,
}

/// What the load client asks of a server, and what the server must provide for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Connections held open, or opened at the same time.
    pub(crate) connections: usize,
    /// Bytes of one message.
    pub(crate) message: usize,
    /// Room of the server's buffer per connection.
    pub(crate) buffer: usize,
    /// The server closes a connection after its first reply.
    pub(crate) once: bool,
    /// Resident memory is measured instead of time.
    pub(crate) idle: bool,
    /// Requests and responses of HTTP instead of an echo.
    pub(crate) http: bool,
}

/// How long a run may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// The measured window, where a workload repeats its operation.
    pub(crate) window: Duration,
    /// Multiplies the number of wakes from another thread.
    pub(crate) factor: u64,
}

impl Scale {
    /// The scale of `--quick` (0), of no option (1) and of `--full` (2).
    pub(crate) fn of_level(level: u8) -> Self {
        let (window_ms, factor) = match level {
            0 => (300, 1),
            1 => (700, 2),
            _ => (2000, 5),
        };
        Self {
            window: Duration::from_millis(window_ms),
            factor,
        }
    }
}

impl Workload {
    /// All workloads in the order of the report.
    pub(crate) const ALL: [Self; 21] = [
        Self::SpawnJoin,
        Self::Yield1,
        Self::Yield1000,
        Self::PingPong,
        Self::AwaitChain,
        Self::TimerCancel,
        Self::TimerFire,
        Self::SleepingRss,
        Self::WakeRemote,
        Self::ParkedRss,
        Self::Echo1,
        Self::Echo64,
        Self::Echo512,
        Self::Echo4000,
        Self::EchoBulk,
        Self::IdleConn,
        Self::ConnectClose,
        Self::Hyper,
        Self::CachedRead1,
        Self::CachedRead32,
        Self::BufferedWrite,
    ];

    /// The name on the command line and in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SpawnJoin => "spawn_join",
            Self::Yield1 => "yield_1",
            Self::Yield1000 => "yield_1000",
            Self::PingPong => "ping_pong",
            Self::AwaitChain => "await_chain",
            Self::TimerCancel => "timer_cancel",
            Self::TimerFire => "timer_fire",
            Self::SleepingRss => "sleeping_rss",
            Self::WakeRemote => "wake_remote",
            Self::ParkedRss => "parked_rss",
            Self::Echo1 => "echo_1",
            Self::Echo64 => "echo_64",
            Self::Echo512 => "echo_512",
            Self::Echo4000 => "echo_4000",
            Self::EchoBulk => "echo_bulk",
            Self::IdleConn => "idle_conn",
            Self::ConnectClose => "connect_close",
            Self::Hyper => "hyper",
            Self::CachedRead1 => "cached_read_1",
            Self::CachedRead32 => "cached_read_32",
            Self::BufferedWrite => "buffered_write",
        }
    }

    /// The workload called `name`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|workload| workload.name() == name)
    }

    /// The load of a workload over sockets; `None` for the others.
    pub(crate) fn load(self) -> Option<Load> {
        let echo = |connections| Load {
            connections,
            message: 64,
            buffer: 4096,
            once: false,
            idle: false,
            http: false,
        };
        match self {
            Self::Echo1 => Some(echo(1)),
            Self::Echo64 => Some(echo(64)),
            Self::Echo512 => Some(echo(512)),
            Self::Echo4000 => Some(echo(4000)),
            Self::EchoBulk => Some(Load {
                message: 64 << 10,
                buffer: 64 << 10,
                ..echo(8)
            }),
            Self::IdleConn => Some(Load {
                idle: true,
                ..echo(2000)
            }),
            Self::ConnectClose => Some(Load {
                once: true,
                ..echo(16)
            }),
            Self::Hyper => Some(Load {
                http: true,
                ..echo(64)
            }),
            _ => None,
        }
    }

    /// What one operation is, for the heading of a table.
    pub(crate) fn operation(self) -> &'static str {
        match self {
            Self::SpawnJoin => "spawn + join of a no-op",
            Self::Yield1 => "yield, 1 task",
            Self::Yield1000 => "yield, 1000 tasks",
            Self::PingPong => "round trip of two tasks",
            Self::AwaitChain => "resume at the bottom of 32 async fns",
            Self::TimerCancel => "sleep created, polled, dropped; 10k live",
            Self::TimerFire => "task spawned, slept, fired; 100k in 1 s; p50/p99 of lateness",
            Self::SleepingRss => "RSS per sleeping task, 100k",
            Self::WakeRemote => "wake from another thread; p50/p99 from wake to poll",
            Self::ParkedRss => "RSS per parked task, 100k",
            Self::Echo1 => "64 B message, 1 connection",
            Self::Echo64 => "64 B message, 64 connections",
            Self::Echo512 => "64 B message, 512 connections",
            Self::Echo4000 => "64 B message, 4000 connections",
            Self::EchoBulk => "KiB of 64 KiB messages, 8 connections",
            Self::IdleConn => "RSS per connection with a read pending, 2000",
            Self::ConnectClose => "connection: connect, 64 B there and back, close; 16 at a time",
            Self::Hyper => "HTTP/1.1 request with hyper, kept alive, 64 connections",
            Self::CachedRead1 => "4 KiB at a random place of a cached file",
            Self::CachedRead32 => "4 KiB at a random place of a cached file, 32 tasks",
            Self::BufferedWrite => "KiB written in pieces of 64 KiB, synced after 16 MiB",
        }
    }
}
