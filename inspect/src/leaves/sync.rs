//! Channels and locks of the crates that people use: futures, tokio, async-channel, async-lock, flume.
//!
//! Camshaft has none of its own. Each future is a line in a table: its type, what to call it, and by which fields one comes
//! to what is shared. Those fields are private and may change with a version, so of versions that were not tested (`versions`)
//! the name is all that is told. Each line has a test.

use super::view::View;
use crate::containers::Note;
use crate::leaf::{Cause, Leaf};
use crate::names::label;
use crate::tree::Node;
use crate::types::Shape;
use crate::walk::{Place, Walker};

/// A future that waits for something shared.
struct Shared {
    /// Its type, without what it is generic over.
    name: &'static str,
    kind: Cause,
    /// What it is, for people.
    what: &'static str,
    /// A field of what is shared, whose address stands for it: the same for all that share it.
    at: &'static str,
    /// How many messages wait, and what of that number counts.
    queued: Option<(&'static str, u64)>,
    /// How many senders there are.
    senders: Option<&'static str>,
}

impl Shared {
    const fn channel(name: &'static str, what: &'static str, at: &'static str) -> Self {
        Self {
            name,
            kind: Cause::Channel,
            what,
            at,
            queued: None,
            senders: None,
        }
    }

    const fn lock(name: &'static str, what: &'static str, at: &'static str) -> Self {
        Self {
            kind: Cause::Lock,
            ..Self::channel(name, what, at)
        }
    }

    const fn queued(self, path: &'static str, mask: u64) -> Self {
        Self {
            queued: Some((path, mask)),
            ..self
        }
    }

    const fn senders(self, path: &'static str) -> Self {
        Self {
            senders: Some(path),
            ..self
        }
    }
}

/// All but the highest bit, which says whether the channel is open.
const MESSAGES: u64 = u64::MAX >> 1;

const TABLE: &[Shared] = &[
    Shared::channel(
        "futures_channel::mpsc::Receiver",
        "mpsc receiver",
        "inner.?.*.num_senders",
    )
    .queued("inner.?.*.state", MESSAGES)
    .senders("inner.?.*.num_senders"),
    Shared::channel(
        "futures_channel::mpsc::UnboundedReceiver",
        "mpsc receiver",
        "inner.?.*.num_senders",
    )
    .queued("inner.?.*.state", MESSAGES)
    .senders("inner.?.*.num_senders"),
    Shared::channel(SENDER, "mpsc sender", "__0.?.inner.*.num_senders")
        .queued("__0.?.inner.*.state", MESSAGES),
    Shared::channel(
        "futures_channel::oneshot::Receiver",
        "oneshot receiver",
        "inner.*.complete",
    ),
    Shared::lock(
        "futures_util::lock::mutex::MutexLockFuture",
        "mutex",
        "mutex.?.*.state",
    ),
    Shared::lock(
        "futures_util::lock::mutex::OwnedMutexLockFuture",
        "mutex",
        "mutex.?.*.state",
    ),
    Shared::channel(
        "tokio::sync::oneshot::Receiver",
        "oneshot receiver",
        "inner.?.*.state",
    ),
    Shared::channel(
        "tokio::sync::broadcast::Recv",
        "broadcast receiver",
        "receiver.*.shared.*.num_tx",
    )
    .senders("receiver.*.shared.*.num_tx"),
    Shared::lock(
        "tokio::sync::notify::Notified",
        "notification",
        "notify.*.state",
    ),
    Shared::lock(
        "tokio::sync::notify::OwnedNotified",
        "notification",
        "notify.*.state",
    ),
    Shared::channel(
        "async_channel::Recv",
        "receiver",
        "receiver.*.channel.*.sender_count",
    )
    .senders("receiver.*.channel.*.sender_count"),
    Shared::channel(
        "async_channel::Receiver",
        "receiver",
        "channel.*.sender_count",
    )
    .senders("channel.*.sender_count"),
    Shared::channel(
        "async_channel::Send",
        "sender",
        "sender.*.channel.*.sender_count",
    ),
    Shared::lock("async_lock::mutex::Lock", "mutex", "mutex.*.state"),
    Shared::lock(
        "async_lock::semaphore::Acquire",
        "semaphore",
        "semaphore.*.count",
    ),
    Shared::lock(
        "async_lock::rwlock::futures::Read",
        "rwlock (read)",
        "raw.lock.*.state",
    ),
    Shared::lock(
        "async_lock::rwlock::futures::Write",
        "rwlock (write)",
        "raw.lock.*.state",
    ),
    Shared::channel(
        "flume::async::RecvFut",
        "receiver",
        "receiver.|.shared.*.sender_count",
    )
    .senders("receiver.|.shared.*.sender_count"),
    Shared::channel(
        "flume::async::SendFut",
        "sender",
        "sender.|.shared.*.sender_count",
    ),
];

/// It is no future: what sends by it refers to it.
const SENDER: &str = "futures_channel::mpsc::Sender";

/// How tokio names what a semaphore stands for, by the function that waits for it.
const MEANT: &[(&str, &str, Cause, &str)] = &[
    ("tokio::sync::mutex::", "", Cause::Lock, "mutex"),
    (
        "tokio::sync::rwlock::",
        "::read",
        Cause::Lock,
        "rwlock (read)",
    ),
    (
        "tokio::sync::rwlock::",
        "::write",
        Cause::Lock,
        "rwlock (write)",
    ),
    (
        "tokio::sync::mpsc::bounded::",
        "",
        Cause::Channel,
        "mpsc sender",
    ),
];

/// How many functions there may be between that and the semaphore.
const FUNCTIONS: u32 = 4;

impl Walker<'_> {
    /// What a future of a known type waits for, with others that share it.
    pub(super) fn shared(&mut self, note: &Note, path: &str, place: Place<'_>) -> Option<Leaf> {
        if path == "tokio::sync::batch_semaphore::Acquire" {
            let tested = self.is_tested(path, note);
            return tested.then(|| self.semaphore(&View::of(place)))?;
        }
        if path == "core::future::poll_fn::PollFn" {
            let receives = note.of.name.contains("PollFn<tokio::sync::mpsc::");
            let tested = receives && self.is_tested("tokio", note);
            return tested.then(|| self.tokio_receiver(place))?;
        }
        let mut view = View::of(place);
        let mut path = path.to_owned();
        if path == "futures_util::sink::feed::Feed" {
            view = self.get(&view, "sink.*")?;
            path = self.path_of(&view).filter(|path| path == SENDER)?;
        }
        let known = TABLE.iter().find(|known| known.name == path)?;
        if !self.is_tested(&path, note) {
            return None;
        }
        let mut leaf = Leaf {
            channel: Some(self.get(&view, known.at)?.at),
            ..Leaf::named(known.kind, self.with_message(known.what, known.kind, &view))
        };
        leaf.queued = known
            .queued
            .and_then(|(path, mask)| Some(self.count(&view, path)? & mask));
        leaf.senders = known.senders.and_then(|path| self.count(&view, path));
        Some(leaf)
    }

    /// `mpsc receiver of u8`
    fn with_message(&mut self, what: &'static str, kind: Cause, view: &View<'_>) -> String {
        let of = self.catalog.get(view.key);
        let message = of.filter(|_| kind == Cause::Channel).and_then(|of| {
            let mut parameters = of.parameters.iter();
            let (_, message) = parameters.find(|(name, _)| &**name == "T")?;
            let of = self.catalog.get(*message)?;
            // As the parameter that it is: by the end of its name.
            let shown = label(&format!("<{}>", of.name));
            Some(shown.strip_prefix('<')?.strip_suffix('>')?.to_owned())
        });
        match message {
            Some(message) => format!("{what} of {message}"),
            None => what.to_owned(),
        }
    }

    /// The semaphore that is below all of tokio's locks.
    fn semaphore(&mut self, view: &View<'_>) -> Option<Leaf> {
        let permits = self.get(view, "semaphore.*.permits")?;
        Some(Leaf {
            channel: Some(permits.at),
            wanted: self.count(view, "num_permits"),
            // The lowest bit says whether it is closed.
            permits: self.plain(permits).map(|permits| permits >> 1),
            ..Leaf::named(Cause::Lock, "semaphore")
        })
    }

    /// A receive from one of tokio's queues is a closure that refers to the receiver.
    fn tokio_receiver(&mut self, place: Place<'_>) -> Option<Leaf> {
        let view = View::of(place);
        let receiver = self.referred(&view, "tokio::sync::mpsc::")?;
        let shared = self.get(&receiver, "inner.*")?;
        let senders = self.count(&shared, "tx_count");
        // Whoever waits to send into a bounded one refers to its semaphore.
        let bounded = self.get(&shared, "semaphore.semaphore.permits");
        let at = match bounded {
            Some(permits) => permits.at,
            None => self.get(&shared, "tx_count")?.at,
        };
        let queued = || -> Option<(u64, u64)> {
            let sent = self.count(&shared, "tx.tail_position")?;
            Some((sent, self.count(&shared, "rx_fields.list.index")?))
        }();
        let what = self.with_message("mpsc receiver", Cause::Channel, &receiver);
        Some(Leaf {
            channel: Some(at),
            // The end of the queue counts as sent.
            queued: queued
                .filter(|_| senders != Some(0))
                .and_then(|(sent, received)| sent.checked_sub(received)),
            senders,
            ..Leaf::named(Cause::Channel, what)
        })
    }

    /// Says of what is below a function of tokio what it means.
    pub(crate) fn refine(&mut self, note: &Note, place: Place<'_>, node: &mut Node) {
        let name = &*note.of.name;
        if !name.starts_with("tokio::sync::") || !self.is_tested(name, note) {
            return;
        }
        if name.contains("::watch::changed_impl::") {
            let told = self.watch(note, place);
            return below(node, |leaf| *leaf = told.unwrap_or_else(|| leaf.clone()));
        }
        let mut meant = MEANT.iter();
        let meant =
            meant.find(|(module, part, ..)| name.starts_with(module) && name.contains(part));
        if let Some((.., kind, what)) = meant {
            below(node, |leaf| {
                leaf.kind = *kind;
                leaf.op = Some((*what).into());
                (leaf.wanted, leaf.permits) = (None, None);
            });
        }
    }

    /// A wait for a change of a watched value. It waits for one of several notifications, so only the function knows which
    /// value.
    fn watch(&mut self, note: &Note, place: Place<'_>) -> Option<Leaf> {
        let Shape::Coroutine(states) = &note.of.shape else {
            return None;
        };
        // A reference that the function was given, which stays where it was.
        let given = states.of_value(0)?.of;
        let given = View::of(Place {
            key: given,
            ..place
        });
        let shared = self.get(&given, "shared.*")?;
        let senders = self.get(&shared, "ref_count_tx")?;
        Some(Leaf {
            channel: Some(senders.at),
            senders: self.plain(senders),
            ..Leaf::named(
                Cause::Channel,
                self.with_message("watch receiver", Cause::Channel, &shared),
            )
        })
    }
}

/// Changes the leaf that some functions end in, if it is one of a semaphore or a notification.
fn below(node: &mut Node, change: impl FnOnce(&mut Leaf)) {
    let mut node = node;
    for _ in 0..FUNCTIONS {
        match &mut node.children[..] {
            [child] => node = child,
            _ => return,
        }
        if let Some(leaf) = &mut node.leaf {
            if leaf.kind == Cause::Lock {
                change(leaf);
            }
            return;
        }
    }
}
