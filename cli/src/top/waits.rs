//! Tasks that have waited for long.

use std::cmp::Reverse;

use serde_json::Value;

use super::figures::nanos;
use super::frame::place_in;
use super::place::fitted;
use crate::dump::{list_of, words};
use crate::terminal::{Page, Piece, Weight, number};

/// So many places are shown.
const SHOWN: usize = 5;
/// A wait is long from here on, in nanoseconds.
const LONG: u64 = 10_000_000_000;

/// Tasks that wait for long at one place.
struct Wait {
    count: u64,
    longest: u64,
    /// The first of them.
    whose: String,
    line: String,
}

/// Shows where tasks have waited for long, each place once.
pub(super) fn waits(page: &mut Page, look: &Value) {
    let mut waits: Vec<Wait> = Vec::new();
    for group in list_of(look, "groups") {
        let Some(wait) = wait(group) else {
            continue;
        };
        match waits.iter_mut().find(|known| known.line == wait.line) {
            Some(known) => {
                known.count += wait.count;
                known.longest = known.longest.max(wait.longest);
            }
            None => waits.push(wait),
        }
    }
    if waits.is_empty() {
        return;
    }
    waits.sort_by_key(|wait| Reverse(wait.longest));
    page.gap();
    page.line(&[Piece(Weight::Bold, "Longest waits")], &[]);
    for wait in waits.into_iter().take(SHOWN) {
        let whose = match wait.count {
            1 => format!("{}  ", wait.whose),
            count => format!("{} × ", number(count)),
        };
        let time = nanos(wait.longest);
        let (name, place) = wait.line.split_at(place_in(&wait.line));
        let taken = whose.chars().count() + time.chars().count() + 2;
        let (name, place) = fitted(name, place, page.columns().saturating_sub(taken));
        page.line(
            &[
                Piece(Weight::Plain, &whose),
                Piece(Weight::Dim, &name),
                Piece(Weight::Dim, &place),
            ],
            &[Piece(Weight::Warn, &time)],
        );
    }
}

/// Those of a group that have waited for long. Of a large one not all are told; they are taken to be like those that are.
fn wait(group: &Value) -> Option<Wait> {
    let tasks = list_of(group, "tasks");
    let long = |task: &&Value| task["since_ns"].as_u64().is_some_and(|since| since >= LONG);
    let waiting: Vec<_> = tasks.iter().filter(long).collect();
    let longest = waiting
        .iter()
        .filter_map(|task| task["since_ns"].as_u64())
        .max()?;
    let id = waiting.first().and_then(|task| task["id"].as_u64());
    let whose = match (id, group["name"].as_str()) {
        (None, _) => "the root future".to_owned(),
        (Some(id), None) => format!("task {id}"),
        (Some(id), Some(_)) => format!("task {id} \"{}\"", words(&group["name"])),
    };
    let all = group["count"]
        .as_u64()
        .filter(|_| waiting.len() == tasks.len());
    Some(Wait {
        count: all.unwrap_or(waiting.len() as u64),
        longest,
        whose,
        line: words(&group["tree"])
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn those_at_one_place_are_one_line() {
        let group = |count: u64, tree: &str, since: &[u64]| {
            let tasks = since
                .iter()
                .map(|since| json!({"id": 7, "since_ns": since * 1_000_000_000}));
            json!({"count": count, "name": null, "tree": tree, "tasks": tasks.collect::<Vec<_>>()})
        };
        let sleeps = "app::sleeper  waits at src/main.rs:8\n└ Sleep";
        let look = json!({"groups": [
            group(10_000, &format!("{sleeps}: 3s left"), &[57, 56]),
            group(5, &format!("{sleeps} "), &[60, 9, 11]),
            group(1, "app::stuck  waits at src/main.rs:9\n", &[70]),
            group(1, "app::quick  waits at src/main.rs:10\n", &[9]),
        ]});
        let mut page = Page::exactly(60, false);
        waits(&mut page, &look);
        assert_eq!(
            page.text(),
            "\nLongest waits\n\
             task 7  app::stuck  waits at src/main.rs:9           1.1 min\n\
             10,002 × app::sleeper  waits at src/main.rs:8        1.0 min\n"
        );
    }
}
