//! What is answered, and how often it is made anew.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft_inspect::attach::Question;
use camshaft_inspect::json::Json;

use super::look::{Look, Who};
use crate::inspect::record;
use crate::runtime::Gauges;

/// After a look the thread is left alone for so many times as long…
const REST: u32 = 9;
/// …but not for longer than this, so that what is shown is not old. What was recorded may be large, and is.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// Makes answers. It goes by the system's clock: that of the runtime may be paused.
pub(crate) struct Desk {
    who: Who,
    gauges: Rc<Gauges>,
    looked: RefCell<Option<Made>>,
    folded: RefCell<Option<Made>>,
    dwell: RefCell<Option<Made>>,
}

/// What was made last.
struct Made {
    text: Rc<str>,
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
            dwell: RefCell::default(),
        }
    }

    /// Answers a question. Blocks the thread while it looks.
    pub(super) fn answer(&self, question: Question) -> Answer {
        let place = match question {
            Question::Look => &self.looked,
            _ => &self.folded,
        };
        let (text, at) = Made::get(place, LONGEST_REST, || self.look(question));
        Answer {
            first: format!("{{\"age_ns\":{},", at.elapsed().as_nanos()),
            rest: text,
        }
    }

    /// The answer without its first brace.
    fn look(&self, question: Question) -> String {
        let tasks = camshaft_executor::look::stats().unwrap_or_default();
        let gauges = (self.gauges.backend().to_string(), self.gauges.read(tasks));
        let dwell = self.dwell();
        let look = Look::new(&self.who, gauges, dwell.as_deref(), question);
        Json::of(&look).split_off(1)
    }

    /// Where tasks spend their time, if that is recorded.
    fn dwell(&self) -> Option<Rc<str>> {
        let make = || {
            record::recording().map_or_else(String::new, |recording| Json::of(&recording.dwell()))
        };
        let (text, _) = Made::get(&self.dwell, Duration::MAX, make);
        (!text.is_empty()).then_some(text)
    }
}

impl Made {
    /// What was made last, or something new if that was long enough ago; and when it was made.
    fn get(
        place: &RefCell<Option<Self>>,
        longest: Duration,
        make: impl FnOnce() -> String,
    ) -> (Rc<str>, Instant) {
        let known = place
            .take()
            .filter(|made| made.holds(Instant::now(), longest));
        let made = known.unwrap_or_else(|| {
            let at = Instant::now();
            Self {
                text: make().into(),
                at,
                took: at.elapsed(),
            }
        });
        let got = (Rc::clone(&made.text), made.at);
        place.replace(Some(made));
        got
    }

    /// Whether it is still good enough.
    fn holds(&self, now: Instant, longest: Duration) -> bool {
        let rest = self.took.saturating_mul(REST).min(longest);
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
            text: "".into(),
            at,
            took: Duration::from_millis(milliseconds),
        };
        let holds = |took, after| made(took).holds(at + Duration::from_millis(after), LONGEST_REST);
        assert!(holds(10, 99) && !holds(10, 100));
        assert!(holds(1000, 1499) && !holds(1000, 1500));
        assert!(!holds(0, 0));
    }
}
