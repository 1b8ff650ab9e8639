//! What is answered, and how often it is made anew.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use camshaft_inspect::attach::{PROTOCOL, Question};
use camshaft_inspect::json::Json;

use super::look::{Look, Who};
use crate::inspect::{record, try_to};
use crate::runtime::Gauges;

/// After a look the thread is left alone for so many times as long…
const REST: u32 = 9;
/// …but not for longer than this, so that what is shown is not old. What was recorded may be large, and is.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// Makes answers. It goes by the system's clock: that of the runtime may be paused.
pub(crate) struct Desk {
    who: Who,
    gauges: Rc<Gauges>,
    shelf: Shelf,
    dwell: RefCell<Option<Dwell>>,
}

/// What answers are taken from.
#[derive(Default)]
struct Shelf {
    made: RefCell<Option<Made>>,
    rest: Rest,
}

/// What was made last: the fields of a JSON object.
#[derive(Clone)]
struct Made {
    /// What every question is answered with, …
    folded: Rc<str>,
    /// …and what comes behind it in the answer to [`Question::Look`], with the end of the object, if one was asked.
    dump: Option<Rc<str>>,
    at: Instant,
}

/// Where tasks spend their time, as it was made last; empty if that is not recorded.
struct Dwell {
    text: Rc<str>,
    until: Instant,
}

/// Until when the thread is left alone, whatever is asked.
#[derive(Default)]
struct Rest(Cell<Option<Instant>>);

/// A text in parts, of which all but the first may be shared by many.
pub(super) struct Answer {
    first: String,
    shared: [Rc<str>; 2],
}

impl Desk {
    /// Of the runtime on this thread.
    pub(crate) fn new(name: Option<&str>, gauges: Rc<Gauges>) -> Self {
        Self {
            who: Who::here(name),
            gauges,
            shelf: Shelf::default(),
            dwell: RefCell::default(),
        }
    }

    /// Answers a question. Blocks the thread while it looks.
    pub(super) fn answer(&self, question: Question) -> Answer {
        let asked = Instant::now();
        let made = self.shelf.get(question, || self.look(question));
        let age = asked.saturating_duration_since(made.at);
        let end = match (question, made.dump) {
            (Question::Look, Some(dump)) => dump,
            _ => "}".into(),
        };
        Answer {
            first: format!("{{\"age_ns\":{},", age.as_nanos()),
            shared: [made.folded, end],
        }
    }

    fn look(&self, question: Question) -> Made {
        let at = Instant::now();
        let tasks = camshaft_executor::look::stats().unwrap_or_default();
        let gauges = (self.gauges.backend().to_string(), self.gauges.read(tasks));
        let dwell = self.dwell();
        let look = Look::new(&self.who, gauges, dwell.as_deref());
        let folded = Json::of(&look);
        let dump = || format!(",\"dump\":{}}}", Json::of(look.dump()));
        Made {
            folded: folded[1..folded.len() - 1].into(),
            dump: (question == Question::Look).then(|| dump().into()),
            at,
        }
    }

    /// Where tasks spend their time, if that is recorded.
    fn dwell(&self) -> Option<Rc<str>> {
        let now = Instant::now();
        let known = self.dwell.take().filter(|dwell| now < dwell.until);
        let dwell = known.unwrap_or_else(|| {
            let text = record::places().map(|recording| Json::of(&recording.dwell()));
            Dwell {
                text: text.unwrap_or_default().into(),
                until: now + now.elapsed().saturating_mul(1 + REST),
            }
        });
        let text = Rc::clone(&dwell.text);
        self.dwell.replace(Some(dwell));
        (!text.is_empty()).then_some(text)
    }
}

impl Shelf {
    /// What is there, as long as the thread is to be left alone and that answers the question; else what a look makes.
    fn get(&self, question: Question, look: impl FnOnce() -> Made) -> Made {
        let begun = Instant::now();
        let known = self.made.borrow().clone();
        let known = known.filter(|made| made.answers(question) && !self.rest.is_over(begun));
        known.unwrap_or_else(|| {
            // What a look does wrong must not end the task that answers, nor be done again at once.
            let made = try_to(look).unwrap_or_else(|| Made::failed(begun));
            self.rest.extend(Instant::now(), begun.elapsed());
            self.made.replace(Some(made.clone()));
            made
        })
    }
}

impl Made {
    /// What is said if a look was not possible.
    fn failed(at: Instant) -> Self {
        let why = "the look has failed: the process has said why on its standard error";
        Self {
            folded: format!("\"protocol\":{PROTOCOL},\"error\":\"{why}\"").into(),
            dump: Some("}".into()),
            at,
        }
    }

    fn answers(&self, question: Question) -> bool {
        self.dump.is_some() || question != Question::Look
    }
}

impl Rest {
    fn is_over(&self, now: Instant) -> bool {
        self.0.get().is_none_or(|until| until <= now)
    }

    /// A look has ended that took so long. If it was made in a rest, because that could not answer the question, then
    /// what is left of that is not lost.
    fn extend(&self, now: Instant, took: Duration) {
        let begin = self.0.get().map_or(now, |until| until.max(now));
        let rest = took.saturating_mul(REST).min(LONGEST_REST);
        self.0.set(Some(begin + rest));
    }
}

impl Answer {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            first: text.into(),
            shared: Default::default(),
        }
    }

    /// With something before it.
    pub(super) fn after(mut self, before: &str) -> Self {
        self.first.insert_str(0, before);
        self
    }

    pub(super) fn parts(&self) -> [&str; 3] {
        let [one, two] = &self.shared;
        [&self.first, one, two]
    }

    pub(super) fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(dump: bool) -> Made {
        Made {
            folded: "".into(),
            dump: dump.then(|| "}".into()),
            at: Instant::now(),
        }
    }

    #[test]
    fn who_looks_often_takes_a_tenth_of_the_time() {
        let at = Instant::now();
        let later = |milliseconds| at + Duration::from_millis(milliseconds);
        let rest = |took| {
            let rest = Rest::default();
            rest.extend(at, Duration::from_millis(took));
            rest
        };
        assert!(Rest::default().is_over(at) && rest(0).is_over(at));
        assert!(!rest(10).is_over(later(89)) && rest(10).is_over(later(90)));
        assert!(!rest(1000).is_over(later(499)) && rest(1000).is_over(later(500)));
        let twice = rest(10);
        twice.extend(later(30), Duration::from_millis(20));
        assert!(!twice.is_over(later(90 + 179)) && twice.is_over(later(90 + 180)));
    }

    #[test]
    fn all_questions_share_one_rest() {
        let shelf = Shelf::default();
        let looks = Cell::new(0);
        let ask = |question| {
            shelf.get(question, || {
                looks.set(looks.get() + 1);
                made(question == Question::Look)
            })
        };
        ask(Question::Folded);
        shelf
            .rest
            .0
            .set(Some(Instant::now() + Duration::from_secs(3600)));
        ask(Question::Folded);
        assert_eq!(looks.get(), 1);
        let until = shelf.rest.0.get();
        ask(Question::Look);
        assert!(shelf.rest.0.get() > until, "what is left of it is not lost");
        for question in [Question::Folded, Question::Look, Question::Folded] {
            assert!(ask(question).answers(Question::Look));
        }
        assert_eq!(looks.get(), 2);
    }

    #[test]
    fn a_look_that_panics_is_told_and_rests_as_others() {
        let shelf = Shelf::default();
        let told = shelf.get(Question::Look, || panic!("as it should"));
        assert!(
            told.folded.contains("\"error\":\"the look has failed"),
            "{}",
            told.folded
        );
        shelf
            .rest
            .0
            .set(Some(Instant::now() + Duration::from_secs(3600)));
        let told = shelf.get(Question::Folded, || unreachable!("it is the time to rest"));
        assert!(told.folded.contains("error"));
        shelf.rest.0.set(None);
        assert!(shelf.get(Question::Look, || made(true)).folded.is_empty());
    }
}
