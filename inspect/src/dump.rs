//! All tasks of a runtime, each with the tree of what it waits for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::json::{Json, ToJson};
use crate::memory::OwnMemory;
use crate::program::{load_bias, type_of, unknown};
use crate::tree::{Node, fold};
use crate::walk::Walker;
use crate::{Missing, with_program};

/// A task to be looked at: where its future is in this process, and of what type.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The number of the task; none for the future that a runtime was started with.
    pub id: Option<u64>,
    /// The name that it was given.
    pub name: Option<String>,
    /// Where its future is. Whoever asks keeps it from being polled or dropped meanwhile.
    pub address: usize,
    /// The address of a vtable of its type, of any trait, that was made by a cast at run time.
    pub vtable: usize,
    /// Its size in bytes.
    pub size: usize,
    /// What `type_name` says of it.
    pub type_name: &'static str,
    /// What it is doing.
    pub activity: Activity,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// It is being polled.
    Running,
    /// It is to be polled.
    Ready,
    /// It was aborted: its future is to be dropped at its next turn.
    Aborted,
    /// It waits to be woken.
    Waiting,
    /// Its future is being dropped, or its output: there is nothing to be looked at.
    Ending,
}

impl Activity {
    /// A word for it: `running`, `ready`, `aborted`, `waiting`, or `ending`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Aborted => "aborted",
            Self::Waiting => "waiting",
            Self::Ending => "ending",
        }
    }
}

/// A task with the tree of what it waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskTree {
    /// The number of the task; none for the future that a runtime was started with.
    pub id: Option<u64>,
    /// The name that it was given.
    pub name: Option<String>,
    /// What it is doing.
    pub activity: Activity,
    /// What it waits for.
    pub root: Node,
}

/// All tasks of a runtime.
///
/// It displays as their trees. Those that stand at the same places are counted and shown once.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Dump {
    /// The tasks.
    pub tasks: Vec<TaskTree>,
    /// What the program's files do not tell.
    pub missing: Vec<Missing>,
}

/// Looks at tasks. `now` is what `CLOCK_MONOTONIC` shows.
#[must_use]
pub fn dump(sights: Vec<Sight>, now: Duration) -> Dump {
    let trees = with_program(|catalog| {
        let bias = load_bias();
        let tree = |sight: &Sight| match type_of(catalog, sight.vtable, sight.size) {
            _ if sight.activity == Activity::Ending => Node::limit(sight.type_name, "is ending"),
            Some(key) => Walker::new(catalog, &OwnMemory, bias)
                .here(now)
                .running(sight.activity == Activity::Running)
                .walk(key, sight.address as u64),
            None => Node::limit(sight.type_name, unknown(catalog, sight.type_name).brief()),
        };
        let trees: Vec<_> = sights.iter().map(tree).collect();
        (trees, catalog.missing().to_vec())
    });
    let (trees, missing) = trees.unwrap_or_else(|missing| {
        let limit: Arc<str> = missing.brief().into();
        let tree = |sight: &Sight| Node::limit(sight.type_name, Arc::clone(&limit));
        (sights.iter().map(tree).collect(), vec![missing])
    });
    let tasks = sights.into_iter().zip(trees).map(|(sight, root)| TaskTree {
        id: sight.id,
        name: sight.name,
        activity: sight.activity,
        root,
    });
    Dump {
        tasks: tasks.collect(),
        missing,
    }
}

impl Dump {
    /// The tasks as JSON: all of them, each with its tree.
    #[must_use]
    pub fn to_json(&self) -> String {
        Json::of(self)
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for missing in &self.missing {
            writeln!(f, "{missing}")?;
        }
        self.groups().iter().try_for_each(|group| group.fmt(f))
    }
}

/// Tasks whose trees are alike, that have the same name, and do the same. The root future comes first.
pub(crate) fn groups(tasks: &[TaskTree]) -> Vec<Vec<&TaskTree>> {
    let (roots, rest): (Vec<_>, Vec<_>) = tasks.iter().partition(|task| task.id.is_none());
    let mut groups: Vec<_> = roots.into_iter().map(|task| vec![task]).collect();
    let mut kinds: Vec<_> = rest
        .iter()
        .map(|task| (task.activity, &task.name))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let some = rest.iter().copied();
        let some: Vec<_> = some
            .filter(|task| (task.activity, &task.name) == kind)
            .collect();
        for places in fold(some.iter().map(|task| &task.root)) {
            groups.push(places.into_iter().map(|place| some[place]).collect());
        }
    }
    groups
}

/// The line above a tree: whose it is.
pub(crate) fn head(f: &mut fmt::Formatter<'_>, group: &[&TaskTree]) -> fmt::Result {
    const SHOWN: usize = 5;
    let first = group[0];
    match (group.len(), first.id) {
        (1, None) => f.write_str("the root future")?,
        (1, Some(id)) => write!(f, "task {id}")?,
        (count, _) => {
            let ids = group.iter().take(SHOWN).filter_map(|task| task.id);
            let ids: Vec<_> = ids.map(|id| id.to_string()).collect();
            let more = if count > SHOWN { ", …" } else { "" };
            write!(f, "{} × tasks {}{more}", grouped(count), ids.join(", "))?;
        }
    }
    if let Some(name) = &first.name {
        write!(f, " \"{name}\"")?;
    }
    match first.activity {
        Activity::Waiting => Ok(()),
        activity => write!(f, ", {}", activity.name()),
    }
}

/// A number with its thousands apart: 3,998.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

impl ToJson for Dump {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            let missing: Vec<String> = self.missing.iter().map(ToString::to_string).collect();
            json.field("missing", &missing);
            json.field("tasks", &self.tasks);
        });
    }
}

impl ToJson for TaskTree {
    fn write(&self, json: &mut Json) {
        json.object(|json| {
            json.field("id", &self.id);
            json.field("name", &self.name.as_deref());
            json.field("activity", self.activity.name());
            json.field("tree", &self.root);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        let texts = [0, 999, 1000, 3998, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "3,998", "1,234,567"]);
    }
}
