//! All tasks of a runtime, each with the tree of what it waits for.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::json::{Json, ToJson};
use crate::memory::Pages;
use crate::program::{load_bias, type_of, unknown};
use crate::stack::fibers::Fibers;
use crate::tree::Node;
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
    /// How long ago its last poll ended, if that was recorded. If it was timed with others, within what they took together.
    pub since: Option<Duration>,
    /// How often it was polled since the recording began, if there is one that has seen it.
    pub polls: Option<u64>,
    /// How often a wake led to that.
    pub wakes: Option<u64>,
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
    /// How long ago its last poll ended, if that was recorded. If it was timed with others, within what they took together.
    pub since: Option<Duration>,
    /// How often it was polled since the recording began, if there is one that has seen it.
    pub polls: Option<u64>,
    /// How often a wake led to that.
    pub wakes: Option<u64>,
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

/// Looks at tasks, of a thread with these fibers, if that is known. `now` is what `CLOCK_MONOTONIC` shows.
#[must_use]
pub fn dump(sights: Vec<Sight>, fibers: Option<Fibers>, now: Duration) -> Dump {
    let trees = with_program(|catalog| {
        let (memory, bias) = (Pages::new(), load_bias());
        let tree = |sight: &Sight| match type_of(catalog, sight.vtable, sight.size) {
            _ if sight.activity == Activity::Ending => Node::limit(sight.type_name, "is ending"),
            Some(key) => Walker::new(catalog, &memory, bias)
                .here(now)
                .fibers(fibers.as_ref())
                .running(sight.activity == Activity::Running)
                .walk(key, sight.address as u64),
            None => {
                let limit = unknown(catalog, sight.type_name).brief().into();
                let (at, size) = (sight.address as u64, sight.size as u64);
                Walker::new(catalog, &memory, bias)
                    .here(now)
                    .fibers(fibers.as_ref())
                    .unknown(sight.type_name, at, size, limit)
            }
        };
        let trees: Vec<_> = sights.iter().map(tree).collect();
        (trees, catalog.missing().to_vec())
    });
    let (trees, missing) = trees.unwrap_or_else(|missing| {
        let limit: Arc<str> = missing.brief().into();
        let tree = |sight: &Sight| Node::limit(sight.type_name, Arc::clone(&limit));
        (sights.iter().map(tree).collect(), vec![missing])
    });
    let mut trees = trees;
    name_targets(&sights, &mut trees);
    let tasks = sights.into_iter().zip(trees).map(|(sight, root)| TaskTree {
        id: sight.id,
        name: sight.name,
        activity: sight.activity,
        since: sight.since,
        polls: sight.polls,
        wakes: sight.wakes,
        root,
    });
    Dump {
        tasks: tasks.collect(),
        missing,
    }
}

/// Says of the tasks that are waited for what they are called.
fn name_targets(sights: &[Sight], trees: &mut [Node]) {
    let named = |sight: &Sight| Some((sight.id?, sight.name.clone()?));
    let names: HashMap<_, _> = sights.iter().filter_map(named).collect();
    let mut left: Vec<&mut Node> = trees.iter_mut().collect();
    while let Some(node) = left.pop() {
        if let Some(leaf) = &mut node.leaf {
            leaf.task_name = leaf.task.and_then(|task| names.get(&task).cloned());
        }
        left.extend(node.children.iter_mut());
    }
}

impl Dump {
    /// What is told where no runtime is: no tasks, and that there is [no runtime](Missing::Runtime).
    #[must_use]
    pub fn nowhere() -> Self {
        Self {
            tasks: Vec::new(),
            missing: vec![Missing::Runtime],
        }
    }

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
        if self.tasks.is_empty() && self.missing.is_empty() {
            return writeln!(f, "no tasks");
        }
        self.groups().iter().try_for_each(|group| group.fmt(f))
    }
}

/// Tasks whose trees are alike, that have the same name, and do the same: the root future first, then what runs, what is
/// ready and what waits, each by name.
pub(crate) fn groups(tasks: &[TaskTree]) -> Vec<Vec<&TaskTree>> {
    /// What a task does, its name, and a number that is the same for trees that are alike.
    type Key<'a> = ((Activity, Option<&'a str>), u64);
    let (roots, rest): (Vec<_>, Vec<_>) = tasks.iter().partition(|task| task.id.is_none());
    let mut groups: HashMap<Key<'_>, Vec<Vec<&TaskTree>>> = HashMap::new();
    let mut order = Vec::new();
    for task in rest {
        let kind = (task.activity, task.name.as_deref());
        let key = (kind, task.root.likeness());
        let candidates = groups.entry(key).or_insert_with(|| {
            order.push(key);
            Vec::new()
        });
        let like = |group: &&mut Vec<&TaskTree>| group[0].root.is_like(&task.root);
        match candidates.iter_mut().find(like) {
            Some(group) => group.push(task),
            None => candidates.push(vec![task]),
        }
    }
    // Those of a kind stay in the order of their first tasks.
    order.sort_by_key(|(kind, _)| *kind);
    let of_key = |key| groups.remove(&key).unwrap_or_default();
    let roots = roots.into_iter().map(|task| vec![task]);
    roots.chain(order.into_iter().flat_map(of_key)).collect()
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
    if first.activity != Activity::Waiting {
        write!(f, ", {}", first.activity.name())?;
    }
    recorded(f, group)
}

/// When they were polled last, and how often, if that was recorded of all.
fn recorded(f: &mut fmt::Formatter<'_>, group: &[&TaskTree]) -> fmt::Result {
    let tell = |least: String, most: String| match least == most {
        true => least,
        false => format!("{least} to {most}"),
    };
    let polls = least_and_most(group.iter().map(|task| task.polls));
    let wakes = least_and_most(group.iter().map(|task| task.wakes));
    let (Some((least, most)), Some((fewest, all))) = (polls, wakes) else {
        return Ok(());
    };
    let polls = tell(least.to_string(), most.to_string());
    let wakes = tell(fewest.to_string(), all.to_string());
    let since = group.iter().map(|task| task.since);
    match least_and_most(since) {
        Some((least, most)) if group[0].activity != Activity::Running => {
            let since = tell(format!("{least:.1?}"), format!("{most:.1?}"));
            write!(
                f,
                ", last polled {since} ago (polls: {polls}, wakes: {wakes})"
            )
        }
        _ => write!(f, " (polls: {polls}, wakes: {wakes})"),
    }
}

/// The least and the most, if all are known.
fn least_and_most<T: Ord + Copy>(all: impl Iterator<Item = Option<T>>) -> Option<(T, T)> {
    let all: Vec<T> = all.collect::<Option<_>>()?;
    Some((*all.iter().min()?, *all.iter().max()?))
}

/// As a number of JSON.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
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
            json.field("since_ns", &self.since.map(nanos));
            json.field("polls", &self.polls);
            json.field("wakes", &self.wakes);
            json.field("tree", &self.root);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Standing;

    #[test]
    fn thousands_stand_apart() {
        let texts = [0, 999, 1000, 3998, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "3,998", "1,234,567"]);
    }

    fn task(id: u64, name: &str, activity: Activity, future: &str) -> TaskTree {
        TaskTree {
            id: Some(id),
            name: (!name.is_empty()).then(|| name.to_owned()),
            activity,
            since: None,
            polls: None,
            wakes: None,
            root: Node::new(Standing::Unresumed, future.into()),
        }
    }

    #[test]
    fn groups_are_in_order() {
        use Activity::{Ready, Waiting};
        let tasks = [
            task(1, "b", Waiting, "two"),
            task(2, "", Waiting, "one"),
            task(3, "a", Waiting, "two"),
            task(4, "", Ready, "two"),
            task(5, "", Waiting, "two"),
            task(6, "", Waiting, "one"),
            TaskTree {
                id: None,
                ..task(0, "", Waiting, "root")
            },
        ];
        let ids = |group: Vec<&TaskTree>| -> Vec<_> { group.iter().map(|task| task.id).collect() };
        let groups: Vec<_> = groups(&tasks).into_iter().map(ids).collect();
        let expected: [&[Option<u64>]; 6] = [
            &[None],
            &[Some(4)],
            &[Some(2), Some(6)],
            &[Some(5)],
            &[Some(3)],
            &[Some(1)],
        ];
        assert_eq!(groups, expected);
    }

    /// If each name were looked for among all tasks, this would take minutes.
    #[test]
    fn each_of_many_tasks_may_have_a_name() {
        let names = (0..200_000).map(|id| task(id, &id.to_string(), Activity::Waiting, "one"));
        let tasks: Vec<_> = names.collect();
        assert_eq!(groups(&tasks).len(), tasks.len());
    }
}
