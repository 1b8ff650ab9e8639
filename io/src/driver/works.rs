//! What is in flight that the loop wants to know more of than its number: a clock that is not the system's, or a look for a
//! standstill. Kept only if one of those asks.

use std::collections::HashSet;

use super::request::Request;

/// The user data of some operations in flight.
#[derive(Default)]
pub(super) struct Works {
    /// Those that end by themselves.
    ending: HashSet<u64>,
    /// Those that the runtime has begun for itself.
    background: HashSet<u64>,
}

impl Works {
    /// An operation is in flight.
    pub(super) fn begin(&mut self, user_data: u64, request: &Request, in_background: bool) {
        if request.ends_by_itself() {
            self.ending.insert(user_data);
        }
        if in_background {
            self.background.insert(user_data);
        }
    }

    /// An operation is over.
    pub(super) fn end(&mut self, user_data: u64) {
        self.ending.remove(&user_data);
        self.background.remove(&user_data);
    }

    /// Whether any ends by itself.
    pub(super) fn is_any_ending(&self) -> bool {
        !self.ending.is_empty()
    }

    /// How many the runtime has begun for itself.
    pub(super) fn in_background(&self) -> usize {
        self.background.len()
    }
}
