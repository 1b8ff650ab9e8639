//! What a runtime does, as JSON.

use std::collections::HashMap;
use std::process;
use std::time::Instant;

use camshaft_executor::look;
use camshaft_inspect::attach::{self, PROTOCOL};
use camshaft_inspect::json::{Json, Raw, ToJson};
use camshaft_inspect::{Dump, Group, TaskTree};

use crate::runtime::Metrics;

/// So many groups are told at most, …
const GROUPS: usize = 500;
/// …so many tasks of each, …
const TASKS_OF_GROUP: usize = 100;
/// …and so many types of tasks.
const TYPES: usize = 500;

/// Whose look it is.
pub(super) struct Who {
    name: Option<Box<str>>,
    thread: u32,
    built: Instant,
}

impl Who {
    /// The runtime on this thread, which is being built.
    pub(super) fn here(name: Option<&str>) -> Self {
        Self {
            name: name.map(Into::into),
            thread: attach::thread(),
            built: Instant::now(),
        }
    }
}

/// What a runtime does.
pub(super) struct Look<'a> {
    who: &'a Who,
    backend: String,
    metrics: Metrics,
    /// As JSON.
    dwell: Option<&'a str>,
    dump: Dump,
    sizes: Vec<Size>,
}

/// A type of tasks.
struct Size {
    name: String,
    size: usize,
    tasks: usize,
}

impl<'a> Look<'a> {
    /// Looks at the runtime on this thread.
    pub(super) fn new(
        who: &'a Who,
        (backend, metrics): (String, Metrics),
        dwell: Option<&'a str>,
    ) -> Self {
        let tasks = look::tasks().unwrap_or_default();
        let sizes: Vec<_> = tasks.iter().map(|task| task.kind.size).collect();
        let dump = crate::inspect::of(tasks);
        Self {
            who,
            backend,
            metrics,
            dwell,
            sizes: Size::of(&dump.tasks, &sizes),
            dump,
        }
    }

    /// The trees of all tasks, which its JSON has only folded.
    pub(super) fn dump(&self) -> &Dump {
        &self.dump
    }
}

impl Size {
    /// The types of the tasks, those that take most first.
    fn of(tasks: &[TaskTree], sizes: &[usize]) -> Vec<Self> {
        let mut counts: HashMap<(&str, usize), usize> = HashMap::new();
        for (task, size) in tasks.iter().zip(sizes) {
            *counts.entry((&task.root.name, *size)).or_default() += 1;
        }
        let one = |((name, size), tasks): ((&str, usize), usize)| Self {
            name: name.to_owned(),
            size,
            tasks,
        };
        let mut sizes: Vec<_> = counts.into_iter().map(one).collect();
        sizes.sort_by(|one, two| {
            let most = (two.size * two.tasks).cmp(&(one.size * one.tasks));
            most.then_with(|| one.name.cmp(&two.name))
        });
        sizes.truncate(TYPES);
        sizes
    }
}

impl ToJson for Look<'_> {
    fn write(&self, json: &mut Json) {
        let groups = self.dump.groups();
        let told = &groups[..groups.len().min(GROUPS)];
        let missing: Vec<String> = self.dump.missing.iter().map(ToString::to_string).collect();
        json.object(|json| {
            json.field("protocol", &PROTOCOL);
            json.field("pid", &u64::from(process::id()));
            json.field("thread", &u64::from(self.who.thread));
            json.field("name", &self.who.name.as_deref());
            json.field("backend", &self.backend);
            json.field("uptime_ns", &nanos(self.who.built.elapsed()));
            json.field("metrics", &Counters(&self.metrics));
            json.field("missing", &missing);
            json.field("groups", &told.iter().map(Alike).collect::<Vec<_>>());
            json.field("groups_left_out", &((groups.len() - told.len()) as u64));
            json.field("dwell", &self.dwell.map(Raw));
            json.field("sizes", &self.sizes.iter().collect::<Vec<_>>());
        });
    }
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

struct Counters<'a>(&'a Metrics);

impl ToJson for Counters<'_> {
    fn write(&self, json: &mut Json) {
        let metrics = self.0;
        json.object(|json| {
            for (name, value) in [
                ("tasks", metrics.tasks),
                ("polls", metrics.polls),
                ("wakes_local", metrics.wakes_local),
                ("wakes_remote", metrics.wakes_remote),
                ("enters", metrics.enters),
                ("ops_submitted", metrics.ops_submitted),
                ("ops_completed", metrics.ops_completed),
                ("ops_cancelled", metrics.ops_cancelled),
                ("timers_fired", metrics.timers_fired),
                ("busy_ns", nanos(metrics.busy)),
                ("parked_ns", nanos(metrics.parked)),
            ] {
                json.field(name, &value);
            }
        });
    }
}

/// Tasks that are alike.
struct Alike<'a>(&'a Group<'a>);

impl ToJson for Alike<'_> {
    fn write(&self, json: &mut Json) {
        let tasks = &self.0.tasks;
        let first = tasks[0];
        let some: Vec<_> = tasks
            .iter()
            .take(TASKS_OF_GROUP)
            .map(|task| Brief(task))
            .collect();
        json.object(|json| {
            json.field("heading", &self.0.heading());
            json.field("tree", &self.0.tree());
            json.field("count", &(tasks.len() as u64));
            json.field("activity", first.activity.name());
            json.field("name", &first.name.as_deref());
            json.field("tasks", &some);
        });
    }
}

/// A task without its tree.
struct Brief<'a>(&'a TaskTree);

impl ToJson for Brief<'_> {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.field("id", &self.0.id);
            json.field("since_ns", &self.0.since.map(nanos));
            json.field("wakes", &self.0.wakes);
            json.field("polls", &self.0.polls);
        });
    }
}

impl ToJson for Size {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.field("type", &self.name);
            json.field("size", &(self.size as u64));
            json.field("tasks", &(self.tasks as u64));
        });
    }
}
