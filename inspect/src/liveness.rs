//! Whether a future is polled by what holds it.
//!
//! A coroutine polls what it awaits, and nothing else. What a future that was written by hand does with what it holds, no debug
//! information tells: it may poll it, keep it for later, or have done with it. So what it holds is said to be held, except for the
//! few that are known by name to poll all of it. What a closure has captured is for the closure: `map` and `then` call theirs when
//! there is nothing left to poll. So that is held whatever holds the closure, unless polling is all that the closure does.

use crate::catalog::Catalog;
use crate::containers::Note;
use crate::draw::OWN;
use crate::load::little;
use crate::tree::Node;
use crate::types::{Shape, Type};
use crate::walk::{Place, Walker, number};

/// Paths of types that poll what they hold as long as they have not ended. One that ends in `<` is that of one type.
const POLL_ALL: [&str; 16] = [
    "core::future::join::",
    "futures_util::abortable::",
    "futures_util::future::",
    "futures_util::stream::futures_ordered::",
    "futures_util::stream::futures_unordered::",
    "futures_util::stream::stream::buffer_unordered::",
    "futures_util::stream::stream::buffered::",
    "futures_util::stream::stream::collect::",
    "futures_util::stream::select::",
    "futures_util::stream::stream::fuse::",
    "futures_util::stream::stream::map::",
    "futures_util::stream::stream::next::",
    "hyper::client::conn::http1::Connection<",
    "hyper::server::conn::http1::Connection<",
    "tokio::future::maybe_done::",
    "tokio::time::timeout::Timeout<",
];

/// What is in a list above, but polls whatever its closure does.
const POLL_FN: [&str; 2] = [
    "core::future::poll_fn::PollFn<",
    "futures_util::future::poll_fn::PollFn<",
];

/// Whether this is what `join!` keeps each of its futures in. It polls one that is not done, and is polled for sure.
pub(crate) fn is_maybe_done(name: &str) -> bool {
    let paths = [
        "core::future::join::MaybeDone<",
        "futures_util::future::maybe_done::MaybeDone<",
        "futures_util::future::try_maybe_done::TryMaybeDone<",
        "tokio::future::maybe_done::MaybeDone<",
    ];
    paths.iter().any(|path| name.starts_with(path))
}

/// Whether what a closure has captured is only held.
pub(crate) fn keeps(note: &Note) -> bool {
    note.is_closure() && !OWN.iter().any(|own| note.of.name.starts_with(own))
}

impl Walker<'_> {
    /// Says of what a future holds whether that is only held.
    pub(crate) fn hold(&mut self, note: &Note, place: Place<'_>, inside: &mut [Node]) {
        let begins = |name: &str, paths: &[&str]| paths.iter().any(|path| name.starts_with(path));
        let mut closures = POLL_FN.iter();
        let name = &*note.of.name;
        let held = match closures.find_map(|path| name.strip_prefix(path)) {
            Some(closure) => {
                !begins(closure, &OWN) && self.selects_all(&note.of, place) != Some(true)
            }
            // What closures in it have captured is said to be held.
            None if begins(name, &OWN) || begins(name, &POLL_ALL) => return,
            None => true,
        };
        for node in inside {
            node.held = held && !node.sure;
        }
    }

    /// Whether this is what `tokio::select!` makes of its branches, and none of them is disabled: its closure has captured a mask of
    /// those that are.
    fn selects_all(&mut self, of: &Type, place: Place<'_>) -> Option<bool> {
        let [closure] = of.members() else { return None };
        let captured = self.catalog.get(closure.of)?;
        let [one, two] = captured.members() else {
            return None;
        };
        let mask = match (&*one.name, &*two.name) {
            ("_ref__disabled", "_ref__futures") => one,
            ("_ref__futures", "_ref__disabled") => two,
            _ => return None,
        };
        let size = mask_size(self.catalog, mask.of)?;
        let at = number(place.bytes, closure.offset.checked_add(mask.offset)?, 8)?;
        let bits = self.read(u64::try_from(at).ok()?, size)?;
        Some(!self.stale && little(&bits) == 0)
    }
}

/// The size of the number that a reference leads to.
fn mask_size(catalog: &mut Catalog, reference: crate::TypeKey) -> Option<u64> {
    let Shape::Pointer(_, target) = catalog.get(reference)?.shape else {
        return None;
    };
    let target = catalog.get(target)?;
    matches!(target.shape, Shape::Scalar(_)).then_some(target.size)
}
