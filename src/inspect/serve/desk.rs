//! What is answered, and how often it is made anew.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft_inspect::attach::Question;
use camshaft_inspect::json::Json;

use super::look::{Look, Who};
use crate::runtime::Gauges;

/// After a look the thread is left alone for so many times as long…
const REST: u32 = 9;
/// …but not for longer than this.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// Makes answers. It goes by the system's clock: that of the runtime may be paused.
pub(crate) struct Desk {
    who: Who,
    gauges: Rc<Gauges>,
    looked: RefCell<Option<Made>>,
    folded: RefCell<Option<Made>>,
}

/// What was answered last.
struct Made {
    /// All but the first fields.
    rest: Rc<str>,
    at: Instant,
    /// How long it took.
    took: Duration,
}

/// A text in two parts, the second of which may be shared by many.
pub(super) struct Answer {
    first: String,
    rest: Rc<str>,
}

impl Desk {
    /// Of the runtime on this thread.
    pub(crate) fn new(name: Option<&str>, gauges: Rc<Gauges>) -> Self {
        Self {
            who: Who::here(name),
            gauges,
            looked: RefCell::default(),
            folded: RefCell::default(),
        }
    }

    /// Answers a question. Blocks the thread while it looks.
    pub(super) fn answer(&self, question: Question) -> Answer {
        let place = match question {
            Question::Look => &self.looked,
            _ => &self.folded,
        };
        let mut place = place.borrow_mut();
        let now = Instant::now();
        let made = match place.take().filter(|made| made.holds(now)) {
            Some(made) => made,
            None => Made::new(now, || {
                let metrics = camshaft_executor::look::stats().map(|tasks| self.gauges.read(tasks));
                let backend = self.gauges.backend().to_string();
                Json::of(&Look::new(
                    &self.who,
                    backend,
                    metrics.unwrap_or_default(),
                    question,
                ))
            }),
        };
        let made = place.insert(made);
        let age = now.saturating_duration_since(made.at).as_nanos();
        Answer {
            first: format!("{{\"age_ns\":{age},"),
            rest: Rc::clone(&made.rest),
        }
    }
}

impl Made {
    fn new(at: Instant, make: impl FnOnce() -> String) -> Self {
        let text = make();
        Self {
            rest: text.strip_prefix('{').unwrap_or(&text).into(),
            at,
            took: at.elapsed(),
        }
    }

    /// Whether it is still good enough.
    fn holds(&self, now: Instant) -> bool {
        let rest = self.took.saturating_mul(REST).min(LONGEST_REST);
        now.saturating_duration_since(self.at + self.took) < rest
    }
}

impl Answer {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            first: text.into(),
            rest: "".into(),
        }
    }

    /// With something before it.
    pub(super) fn after(mut self, before: &str) -> Self {
        self.first.insert_str(0, before);
        self
    }

    pub(super) fn first(&self) -> &str {
        &self.first
    }

    pub(super) fn rest(&self) -> &str {
        &self.rest
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_often_takes_a_tenth_of_the_time() {
        let at = Instant::now();
        let made = |milliseconds| Made {
            rest: "".into(),
            at,
            took: Duration::from_millis(milliseconds),
        };
        let holds = |took, after| made(took).holds(at + Duration::from_millis(after));
        assert!(holds(10, 99) && !holds(10, 100));
        assert!(holds(1000, 1499) && !holds(1000, 1500));
        assert!(!holds(0, 0));
    }
}
