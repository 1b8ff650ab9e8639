//! The systems under measurement: camshaft, its peers, and the floors below all of them.
//!
//! Every system is one file that offers the same few functions. All servers get the same listening socket: bound to
//! loopback, one backlog, `TCP_NODELAY` set (Linux hands it on to accepted sockets). Each uses the buffers and calls
//! that its documentation shows first, in the single-threaded configuration that served best.
//!
//! Task workloads run inside a spawned task, and each system's timers are on, as in a program that uses both: a system
//! that favours its root future, or a runtime without timers, does not show it here.

use std::io;
use std::net::TcpListener;

use crate::files;
use crate::measure::Sample;
use crate::tasks;
use crate::workload::{Load, Scale, Workload};
use camshaft_probe::bare::{self, Service};

#[cfg(feature = "camshaft")]
mod camshaft;
#[cfg(feature = "compio")]
mod compio;
mod epoll;
#[cfg(feature = "glommio")]
mod glommio;
#[cfg(feature = "monoio")]
mod monoio;
mod queue;
mod ring_files;
#[cfg(feature = "smol")]
mod smol;
#[cfg(feature = "tokio")]
mod tokio;
#[cfg(feature = "tokio-uring")]
mod tokio_uring;

/// What a system is compared as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The subject.
    Camshaft,
    /// The subject in another configuration; not compared with the goals unless a goal names it.
    Variant,
    /// Another runtime.
    Peer,
    /// No runtime at all.
    Floor,
}

type Measure = fn(Workload, Scale) -> Option<io::Result<Sample>>;
type Serve = fn(TcpListener, Load) -> io::Result<()>;

/// One system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct System {
    /// The name on the command line and in the report.
    pub(crate) name: &'static str,
    /// What it is compared as.
    pub(crate) kind: Kind,
    /// The workloads it takes part in.
    takes: fn(Workload) -> bool,
    measure: Measure,
    serve: Serve,
}

impl System {
    /// Whether `workload` makes sense for this system.
    pub(crate) fn takes(&self, workload: Workload) -> bool {
        (self.takes)(workload)
    }

    /// Runs a workload that needs no socket.
    pub(crate) fn measure(&self, workload: Workload, scale: Scale) -> io::Result<Sample> {
        (self.measure)(workload, scale)
            .unwrap_or_else(|| Err(io::Error::other("it does not offer what this needs")))
    }

    /// Serves the load client until the process is ended.
    pub(crate) fn serve(&self, listener: TcpListener, load: Load) -> io::Result<()> {
        (self.serve)(listener, load)
    }
}

/// A whole runtime.
trait Runtime: tasks::Sleeps + files::Files {
    /// Whether it serves HTTP.
    const HTTP: bool = false;

    /// Accepts, and echoes or speaks HTTP, for ever.
    fn serve(listener: TcpListener, load: Load) -> io::Result<()>;

    /// As an entry of the list.
    fn system(name: &'static str, kind: Kind) -> System {
        System {
            name,
            kind,
            takes: |workload| Self::HTTP || !speaks_http(workload),
            measure: measure_all::<Self>,
            serve: Self::serve,
        }
    }
}

/// Runs a workload that needs no socket.
fn measure_all<R: Runtime>(workload: Workload, scale: Scale) -> Option<io::Result<Sample>> {
    files::measure::<R>(workload, scale).or_else(|| tasks::measure_all::<R>(workload, scale))
}

fn speaks_http(workload: Workload) -> bool {
    workload.load().is_some_and(|load| load.http)
}

/// Every name, in the order of the report; some may not be built in.
pub(crate) const NAMES: [&str; 15] = [
    "camshaft",
    "camshaft-aa",
    "camshaft-recv",
    "camshaft-spin",
    "camshaft-epoll",
    "tokio",
    "monoio",
    "glommio",
    "compio",
    "tokio-uring",
    "smol",
    "ring",
    "epoll",
    "queue",
    "calls",
];

/// The systems that are built in.
pub(crate) fn all() -> Vec<System> {
    vec![
        #[cfg(feature = "camshaft")]
        camshaft::Camshaft::<camshaft::OnRing>::system("camshaft", Kind::Camshaft),
        #[cfg(feature = "camshaft")]
        camshaft::Camshaft::<camshaft::OnRing>::system("camshaft-aa", Kind::Variant),
        #[cfg(feature = "camshaft")]
        camshaft::lending(),
        #[cfg(feature = "camshaft")]
        camshaft::spinning(),
        #[cfg(feature = "camshaft")]
        camshaft::Camshaft::<camshaft::OnEpoll>::system("camshaft-epoll", Kind::Variant),
        #[cfg(feature = "tokio")]
        tokio::Tokio::system("tokio", Kind::Peer),
        #[cfg(feature = "monoio")]
        monoio::Monoio::system("monoio", Kind::Peer),
        #[cfg(feature = "glommio")]
        glommio::Glommio::system("glommio", Kind::Peer),
        #[cfg(feature = "compio")]
        compio::Compio::system("compio", Kind::Peer),
        #[cfg(feature = "tokio-uring")]
        tokio_uring::TokioUring::system("tokio-uring", Kind::Peer),
        #[cfg(feature = "smol")]
        smol::Smol::system("smol", Kind::Peer),
        System {
            name: "ring",
            kind: Kind::Floor,
            takes: |workload| {
                files::is_files(workload)
                    || workload.load().is_some_and(|load| !load.idle && !load.http)
            },
            measure: ring_files::measure,
            serve: |listener, load| {
                let service = Service {
                    buffer: load.buffer,
                    once: load.once,
                };
                bare::ring::serve(&listener, service, |_| {})
            },
        },
        System {
            name: "epoll",
            kind: Kind::Floor,
            takes: |workload| {
                workload.load().is_some_and(|load| !load.http) || workload == Workload::WakeRemote
            },
            measure: |workload, scale| {
                (workload == Workload::WakeRemote).then(|| epoll::wake_remote(scale))
            },
            serve: epoll::serve,
        },
        System {
            name: "queue",
            kind: Kind::Floor,
            takes: queue::takes,
            measure: tasks::measure::<queue::Queue>,
            serve: |_, _| Err(io::Error::other("a bare queue has no sockets")),
        },
        System {
            name: "calls",
            kind: Kind::Floor,
            takes: files::is_files,
            measure: files::measure_calls,
            serve: |_, _| Err(io::Error::other("plain calls serve nobody")),
        },
    ]
}
