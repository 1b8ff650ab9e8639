//! What is shown of a runtime.

use std::cmp::Reverse;

use serde_json::Value;

use super::figures::{BAR, bar, nanos, time};
use super::place::fitted;
use super::waits::waits;
use crate::dump::{list_of, name, words};
use crate::terminal::{Page, Piece, Weight, number};

/// So many states are shown with the time that tasks spend in them.
const STATES: usize = 8;
/// Bars are shorter if there are fewer columns than…
const NARROW_BAR: usize = 6;
/// …these.
const WIDE: usize = 100;

/// A runtime, with what it said last and before.
pub(super) struct Runtime {
    pub(super) key: super::Which,
    look: Value,
    before: Option<Value>,
    /// Why it says nothing any more.
    pub(super) trouble: Option<String>,
}

impl Runtime {
    pub(super) fn new(key: super::Which, look: Value) -> Self {
        Self {
            key,
            look,
            before: None,
            trouble: None,
        }
    }

    pub(super) fn renew(&mut self, look: Value) {
        // The same answer again: many are asking.
        if look["uptime_ns"] != self.look["uptime_ns"] {
            self.before = Some(std::mem::replace(&mut self.look, look));
        }
        self.trouble = None;
    }

    /// How much counters have grown in a second; how much they are, if that is all that is known.
    fn rate(&self, names: &[&str]) -> String {
        let sum = |look: &Value| -> u64 {
            names
                .iter()
                .filter_map(|name| look["metrics"][name].as_u64())
                .sum()
        };
        let Some(before) = &self.before else {
            return number(sum(&self.look));
        };
        let time = |look: &Value| look["uptime_ns"].as_u64().unwrap_or_default();
        let passed = u128::from(time(&self.look).saturating_sub(time(before))).max(1);
        let grown = u128::from(sum(&self.look).saturating_sub(sum(before)));
        let rate = u64::try_from(grown * 1_000_000_000 / passed).unwrap_or(u64::MAX);
        format!("{}/s", number(rate))
    }

    /// How much of its time it works, in hundredths.
    fn busy(&self) -> String {
        let grown = |name| {
            let of = |look: &Value| look["metrics"][name].as_u64().unwrap_or_default();
            of(&self.look).saturating_sub(self.before.as_ref().map_or(0, of))
        };
        let (busy, parked) = (grown("busy_ns"), grown("parked_ns"));
        let share = u128::from(busy) * 100 / u128::from(busy.saturating_add(parked)).max(1);
        format!("{share} %")
    }
}

/// The first line, which stays.
pub(super) fn head(page: &mut Page, pid: u32, is_paused: bool) {
    let keys = match is_paused {
        true => "paused · p goes on · q quits",
        false => "p pauses · q quits",
    };
    let title = format!("camshaft top, process {pid}");
    page.line(&[Piece(Weight::Bold, &title)], &[Piece(Weight::Dim, keys)]);
}

/// A runtime: its counters, what takes long, and its tasks.
pub(super) fn body(page: &mut Page, runtime: &Runtime) {
    let look = &runtime.look;
    if let Some(trouble) = &runtime.trouble {
        page.wrapped(Weight::Warn, trouble);
    }
    if look.is_null() {
        return;
    }
    let about = format!(
        "{}, up {}",
        words(&look["backend"]),
        time(&look["uptime_ns"])
    );
    page.line(
        &[Piece(Weight::Bold, &name(look))],
        &[Piece(Weight::Dim, &about)],
    );
    counters(page, runtime);
    for missing in list_of(look, "missing") {
        page.wrapped(Weight::Warn, &words(missing));
    }
    states(page, list_of(look, "dwell"));
    waits(page, look);
    trees(page, look);
}

fn counters(page: &mut Page, runtime: &Runtime) {
    let metrics = &runtime.look["metrics"];
    let of = |name: &str| metrics[name].as_u64().unwrap_or_default();
    let in_flight = of("ops_submitted").saturating_sub(of("ops_completed"));
    let values = [
        ("tasks", number(of("tasks"))),
        ("busy", runtime.busy()),
        ("polls", runtime.rate(&["polls"])),
        ("wakes", runtime.rate(&["wakes_local", "wakes_remote"])),
        ("timers", runtime.rate(&["timers_fired"])),
        ("ops", runtime.rate(&["ops_completed"])),
        ("in flight", number(in_flight)),
        ("enters", runtime.rate(&["enters"])),
    ];
    let mut pieces = Vec::new();
    for (name, value) in &values {
        let gap = if pieces.is_empty() { "" } else { "   " };
        pieces.extend([
            Piece(Weight::Plain, gap),
            Piece(Weight::Dim, name),
            Piece(Weight::Plain, " "),
        ]);
        pieces.push(Piece(Weight::Plain, value));
    }
    page.line(&pieces, &[]);
}

/// Where tasks spend their time.
fn states(page: &mut Page, dwell: &[Value]) {
    if dwell.is_empty() {
        return;
    }
    let total = |state: &&Value| state["total_ns"].as_u64().unwrap_or_default();
    let mut states: Vec<_> = dwell.iter().collect();
    states.sort_by_key(|state| Reverse(total(state)));
    let most = states.first().map_or(1, total).max(1);
    let wide = page.columns() >= WIDE;
    let (heading, longest_bar) = if wide {
        ("    now      times       p50       p99   longest", BAR)
    } else {
        ("   now    times  longest", NARROW_BAR)
    };
    page.gap();
    page.line(
        &[Piece(Weight::Bold, "Where time goes")],
        &[Piece(Weight::Dim, heading)],
    );
    for state in states.into_iter().take(STATES) {
        let figures = figures(state, wide);
        let bar = bar(total(&state), most, longest_bar);
        let of = format!(" {}", words(&state["type"]));
        // The path begins with the type, which stands before it.
        let path = words(&state["state"]);
        let path = path.strip_prefix(&of[1..]).unwrap_or(&path).trim_start();
        let taken = longest_bar + figures.chars().count() + 2;
        let room = page.columns().saturating_sub(taken);
        let (of, path) = fitted(&of, &format!("  {path}"), room);
        page.line(
            &[
                Piece(Weight::Plain, &bar),
                Piece(Weight::Plain, &of),
                Piece(Weight::Dim, &path),
            ],
            &[Piece(Weight::Plain, &figures)],
        );
    }
}

/// How many are in a state and how long they stay; where there is no room for all of it, the most important.
fn figures(state: &Value, wide: bool) -> String {
    let count = |name| number(state[name].as_u64().unwrap_or_default());
    let (now, times) = (count("waiting"), count("count"));
    let none_ended = state["count"] == 0;
    let ended = |name| {
        if none_ended {
            "–".to_owned()
        } else {
            time(&state[name])
        }
    };
    let longest = longest(state);
    if wide {
        let (p50, p99) = (ended("p50_ns"), ended("p99_ns"));
        format!("{now:>7} {times:>10} {p50:>9} {p99:>9} {longest:>9}")
    } else {
        format!("{now:>6} {times:>8} {longest:>8}")
    }
}

/// The longest that a task has stayed in a state, be it over or not.
fn longest(state: &Value) -> String {
    let longest = ["max_ns", "longest_ns"].into_iter();
    let longest = longest.filter_map(|name| state[name].as_u64()).max();
    longest.map_or_else(|| "–".to_owned(), nanos)
}

fn trees(page: &mut Page, look: &Value) {
    for group in list_of(look, "groups") {
        page.gap();
        let heading = words(&group["heading"]).replace('\n', " ");
        page.line(&[Piece(Weight::Bold, &heading)], &[]);
        for line in words(&group["tree"]).lines() {
            let (what, place) = line.split_at(place_in(line));
            let (what, place) = fitted(what, place, page.columns().saturating_sub(2));
            page.line(
                &[
                    Piece(Weight::Plain, "  "),
                    Piece(Weight::Plain, &what),
                    Piece(Weight::Dim, &place),
                ],
                &[],
            );
        }
    }
    if let Some(more) = look["groups_left_out"].as_u64().filter(|more| *more > 0) {
        page.gap();
        page.line(
            &[Piece(
                Weight::Dim,
                &format!("and {} more that differ from these", number(more)),
            )],
            &[],
        );
    }
}

/// Where the place of a future begins in a line of a tree: behind its name and two spaces.
pub(super) fn place_in(line: &str) -> usize {
    let name = line
        .find(|letter| !matches!(letter, '│' | '├' | '└' | ' '))
        .unwrap_or(0);
    line[name..].find("  ").map_or(line.len(), |at| name + at)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look(uptime: u64, polls: u64) -> Value {
        json!({
            "name": "a", "backend": "io_uring", "uptime_ns": uptime, "missing": [],
            "metrics": {
                "tasks": 1234, "polls": polls, "busy_ns": polls, "parked_ns": 3 * polls, "ops_submitted": 9,
                "ops_completed": 2
            },
            "dwell": [
                {
                    "type": "app::serve", "state": "app::serve main.rs:3", "count": 5, "total_ns": 50, "p50_ns": 1500,
                    "p99_ns": 2_000_000, "max_ns": 3_000_000_000_u64, "waiting": 1
                },
                {
                    "type": "app::idle", "state": "app::idle main.rs:9", "count": 1, "total_ns": 100, "p50_ns": 1,
                    "p99_ns": 1, "max_ns": 1, "waiting": 0, "longest_ns": 0
                },
                {
                    "type": "app::stuck", "state": "app::stuck main.rs:5", "count": 0, "total_ns": 75, "p50_ns": 0,
                    "p99_ns": 0, "max_ns": 0, "waiting": 4, "longest_ns": 57_000_000_000_u64
                }
            ],
            "groups": [{
                "heading": "2 × tasks 1, 2", "count": 2, "name": null,
                "tree": "app::serve  waits at main.rs:3\n└ Sleep  polled by x.rs:1: 3s left\n",
                "tasks": [{"id": 1, "since_ns": 20_000_000_000_u64}, {"id": 2, "since_ns": 1}]
            }],
            "groups_left_out": 3,
        })
    }

    #[test]
    fn a_frame_has_what_there_is() {
        let mut runtime = Runtime::new((1, 0), look(1_000_000_000, 100));
        let text = |runtime: &Runtime| {
            let mut page = Page::exactly(120, false);
            body(&mut page, runtime);
            page.text()
        };
        assert!(
            text(&runtime).contains("polls 100   "),
            "{}",
            text(&runtime)
        );
        runtime.renew(look(3_000_000_000, 300));
        let text = text(&runtime);
        for part in [
            "runtime \"a\"",
            "up 3.0 s",
            "tasks 1,234",
            "busy 25 %",
            "polls 100/s",
            "in flight 7",
            "████████████ app::idle",
            "██████       app::serve  main.rs:3",
            "1.5 µs    2.0 ms     3.0 s",
            "█████████    app::stuck  main.rs:5",
            "4          0         –         –    57.0 s",
            "task 1  app::serve  waits at main.rs:3",
            "20.0 s",
            "2 × tasks 1, 2",
            "  └ Sleep  polled by x.rs:1: 3s left",
            "and 3 more that differ",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        assert!(
            text.lines().all(|line| line.chars().count() <= 120),
            "{text}"
        );
    }

    #[test]
    fn lines_are_told_in_a_narrow_terminal_as_well() {
        let mut look = look(1, 1);
        look["dwell"][0]["state"] = json!("app::serve /srv/some/where/app/src/main.rs:3 -> Sleep");
        look["groups"][0]["tree"] =
            json!("app::serve  waits at /srv/some/where/else/to/build/the/app/src/main.rs:3\n");
        let mut page = Page::exactly(60, false);
        body(&mut page, &Runtime::new((1, 0), look));
        let text = page.text();
        for part in [
            "███    app::serve  main.rs:3 -> S…       1        5    3.0 s",
            "task 1  app::serve  waits at main.rs:3",
            "  app::serve  waits at main.rs:3",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        let long = text.lines().skip(2).find(|line| line.chars().count() > 60);
        assert_eq!(long, None);
    }

    #[test]
    fn what_is_in_trouble_says_so_and_keeps_what_it_said() {
        let mut runtime = Runtime::new((1, 0), look(1, 1));
        runtime.trouble = Some("it does not answer\n  thread 1 sleeps".to_owned());
        let mut page = Page::exactly(80, false);
        body(&mut page, &runtime);
        let text = page.text();
        assert!(
            text.starts_with("it does not answer\n  thread 1 sleeps\nruntime \"a\""),
            "{text}"
        );
        assert!(text.contains("2 × tasks"), "{text}");
        // What there is no room for in a line is in the next.
        let mut page = Page::exactly(9, false);
        body(&mut page, &runtime);
        let text = page.text();
        assert!(
            text.starts_with("it does\nnot\nanswer\n  thread\n  1\n  sleeps\n"),
            "{text}"
        );
        runtime.renew(look(2, 1));
        assert!(runtime.trouble.is_none());
    }

    #[test]
    fn a_place_is_behind_the_name() {
        for line in [
            "app::serve  waits at a.rs:1  (held)",
            "  └ Sleep  polled by b.rs:2",
            "│ ├ 3 × Sleep",
        ] {
            let (what, place) = line.split_at(place_in(line));
            assert!(
                what.ends_with("serve") || what.ends_with("Sleep"),
                "{what:?}, {place:?}"
            );
        }
    }
}
