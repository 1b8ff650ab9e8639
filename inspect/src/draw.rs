//! Trees as text, for people who want to know what is stuck.
//!
//! | | as text | as JSON |
//! |---|---|---|
//! | names | what they are generic over is left out of long ones | whole |
//! | futures of this runtime below another of its futures | left out: `…` | all |
//! | lines in this runtime | left out | all |
//! | what many that are alike wait for | some, or from when to when | all |

use std::collections::HashSet;
use std::fmt;

use crate::brief::brief;
use crate::leaf::Cause;
use crate::tree::{Node, Stage, Standing, Tree, fold};

/// The crates of this runtime, whose futures poll all that they hold, as do its closures.
pub(crate) const OWN: [&str; 5] = [
    "camshaft::",
    "camshaft_executor::",
    "camshaft_io::",
    "camshaft_stackful::",
    "camshaft_timer::",
];

/// Nodes that are alike, which are drawn once.
struct Branch<'a> {
    group: Vec<&'a Node>,
    /// What stands before its line, and before those below it.
    before: String,
    margin: String,
    /// Whether something above it was left out that perhaps is not polled.
    held: bool,
}

/// Draws a group of nodes that are alike, and what is below them. `margin` stands before each line but the first.
pub(crate) fn draw(f: &mut fmt::Formatter<'_>, group: &[&Node], margin: &str) -> fmt::Result {
    let mut left = vec![Branch {
        group: group.to_vec(),
        before: String::new(),
        margin: margin.to_owned(),
        held: false,
    }];
    while let Some(branch) = left.pop() {
        let Branch { group, margin, .. } = &branch;
        write!(f, "{}{}", branch.before, Head(group[0]))?;
        details(f, group)?;
        writeln!(f, "{}", Remarks(group[0], branch.held || group[0].held))?;
        for (place, part) in parts(group).into_iter().rev().enumerate() {
            let (corner, line) = if place == 0 {
                ("└ ", "  ")
            } else {
                ("├ ", "│ ")
            };
            let mut before = format!("{margin}{corner}");
            if part.times > 1 {
                before.push_str(&format!("{} × ", part.times));
            }
            if part.left_out {
                before.push_str("… ");
            }
            left.push(Branch {
                group: part.group,
                before,
                margin: format!("{margin}{line}"),
                held: part.held,
            });
        }
    }
    Ok(())
}

/// What is shown below a group.
struct Part<'a> {
    group: Vec<&'a Node>,
    /// How many of them each of the group has.
    times: usize,
    /// Whether there is something in between, and whether that perhaps is not polled.
    left_out: bool,
    held: bool,
    /// Whether a function of this runtime awaits them.
    awaited: bool,
}

/// What is shown below nodes that are alike. Between a future of this runtime and what that waits for in the end, what only this
/// runtime is concerned with is left out.
fn parts<'a>(group: &[&'a Node]) -> Vec<Part<'a>> {
    let part = |above: &[&Node], group: Vec<&'a Node>, part: Option<&Part<'_>>| Part {
        times: match above {
            [_] => group.len(),
            _ => 1,
        },
        left_out: part.is_some(),
        held: part.is_some_and(|part| part.held || part.group[0].held),
        awaited: is_own(above[0]) && above[0].standing == Standing::Suspended,
        group,
    };
    let own = is_own(group[0]);
    let first = below(group).into_iter();
    let mut left: Vec<_> = first.map(|below| part(group, below, None)).rev().collect();
    let mut parts = Vec::new();
    while let Some(next) = left.pop() {
        if own && next.is_inner() {
            let below = below(&next.group).into_iter();
            left.extend(
                below
                    .map(|below| part(&next.group, below, Some(&next)))
                    .rev(),
            );
        } else {
            parts.push(next);
        }
    }
    parts
}

/// What is below nodes that are alike, in groups that are.
fn below<'a>(group: &[&'a Node]) -> Vec<Vec<&'a Node>> {
    match group {
        [node] => {
            let nodes = |places: Vec<usize>| {
                places
                    .into_iter()
                    .map(|place| &node.children[place])
                    .collect()
            };
            fold(node.children.iter()).into_iter().map(nodes).collect()
        }
        // The branches of those that are alike are alike, so each is drawn with its counterparts.
        [first, ..] => (0..first.children.len())
            .map(|place| group.iter().map(|node| &node.children[place]).collect())
            .collect(),
        [] => Vec::new(),
    }
}

impl Part<'_> {
    /// Whether it is on the way from a future of this runtime to another.
    fn is_inner(&self) -> bool {
        let node = self.group[0];
        let glue = self.awaited && node.name.starts_with("core::future::poll_fn::PollFn<");
        let passed = node.limit.is_none() && node.leaf.is_none() && !node.children.is_empty();
        self.times == 1 && passed && (glue || is_own(node))
    }
}

/// Whether it is a future of this runtime.
fn is_own(node: &Node) -> bool {
    is_ours(&node.name)
}

/// Whether a type is one of this runtime, by its path.
pub(crate) fn is_ours(name: &str) -> bool {
    OWN.iter().any(|own| name.starts_with(own))
}

/// What each of a group waits for; of many, some.
fn details(f: &mut fmt::Formatter<'_>, group: &[&Node]) -> fmt::Result {
    const SHOWN: usize = 3;
    if let Some(span) = span(group) {
        return write!(f, ": {span}");
    }
    let mut seen = HashSet::new();
    let texts = group.iter().filter_map(|node| node.detail());
    let texts: Vec<String> = texts.filter(|text| seen.insert(text.clone())).collect();
    for (place, text) in texts.iter().take(SHOWN).enumerate() {
        let mark = match place {
            0 if is_operation(group[0]) => "",
            0 => ": ",
            _ => "; ",
        };
        write!(f, "{mark}{text}")?;
    }
    match texts.len().checked_sub(SHOWN) {
        Some(more @ 1..) => write!(f, "; and {more} more"),
        _ => Ok(()),
    }
}

/// From when to when a group waits, if it waits for nothing else than different times.
fn span(group: &[&Node]) -> Option<String> {
    let times = group.iter().map(|node| {
        let leaf = node.leaf.as_deref()?;
        let timer = leaf.kind == Cause::Timer && !leaf.is_never();
        timer.then_some((
            leaf.left.unwrap_or_default(),
            leaf.overdue.unwrap_or_default(),
        ))
    });
    let times: Vec<_> = times.collect::<Option<_>>()?;
    let left = || times.iter().map(|(left, _)| *left);
    let overdue = || times.iter().map(|(_, overdue)| *overdue);
    let (first, last, late) = (left().min()?, left().max()?, overdue().max()?);
    let text = if late.is_zero() {
        format!("{first:.1?} to {last:.1?} left")
    } else if last.is_zero() {
        format!("due for {:.1?} to {late:.1?}", overdue().min()?)
    } else {
        format!("from due for {late:.1?} to {last:.1?} left")
    };
    let details = group.iter().filter_map(|node| node.detail());
    let different: HashSet<_> = details.collect();
    (different.len() > 1).then_some(text)
}

/// Whether it is an operation of this runtime of which is known what it does: then that is all there is to say.
fn is_operation(node: &Node) -> bool {
    node.leaf.is_some() && node.name.starts_with("camshaft_io::op::Op<")
}

/// One line: the future alone.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_operation(self) {
            f.write_str("an operation")?;
        }
        write!(f, "{}{}", Head(self), Remarks(self, self.held))
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        draw(f, &[&self.root], "")
    }
}

/// What it is, and where it stands.
struct Head<'a>(&'a Node);

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.0;
        if is_operation(node) {
            return Ok(());
        }
        f.write_str(match node.standing {
            Standing::Fiber(Stage::Running) => "a running ",
            Standing::Fiber(_) => "a ",
            _ => "",
        })?;
        f.write_str(&brief(&node.name))?;
        if let Standing::Future(Some(variant)) = &node.standing {
            write!(f, "::{variant}")?;
        }
        let verb = match &node.standing {
            Standing::Suspended | Standing::Future(_) if is_own(node) => return Ok(()),
            Standing::Suspended => "waits at",
            Standing::Unresumed => "has not started; begins at",
            Standing::Started => "is running, never suspended; begins at",
            Standing::Returned => "has returned; ends at",
            Standing::Panicked => "has panicked; ends at",
            Standing::Running => "is running; was resumed from",
            Standing::Future(_) => "polled by",
            Standing::Fiber(Stage::Unstarted) => "has not started; made at",
            Standing::Fiber(Stage::Over) => "is over",
            Standing::Fiber(_) => "made at",
            Standing::Call(Stage::Waiting) => "waits at",
            Standing::Call(_) | Standing::Unknown => "at",
        };
        if let Some(site) = &node.site {
            return write!(f, "  {verb} {site}{}", node.precision);
        }
        match node.standing {
            Standing::Fiber(Stage::Unstarted) => f.write_str("  has not started"),
            Standing::Fiber(Stage::Over) => f.write_str("  is over"),
            Standing::Call(Stage::Waiting) => f.write_str("  waits"),
            Standing::Fiber(_) | Standing::Call(_) | Standing::Future(_) | Standing::Unknown => {
                Ok(())
            }
            _ => write!(f, "  {verb} a line that is not known"),
        }
    }
}

/// What is not known of it, and whether it perhaps is not polled.
struct Remarks<'a>(&'a Node, bool);

impl fmt::Display for Remarks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(limit) = &self.0.limit {
            write!(f, "  ({limit})")?;
        }
        if self.1 {
            f.write_str("  (held, perhaps not polled)")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::leaf::Leaf;

    fn node(name: &str, children: Vec<Node>) -> Node {
        let mut node = Node::new(Standing::Suspended, name.into());
        node.children = children;
        node
    }

    fn op(fd: i32) -> Node {
        let mut node = node("camshaft_io::op::Op<Receive>", Vec::new());
        node.leaf = Some(Box::new(Leaf {
            fd: Some(fd),
            ..Leaf::named(Cause::Operation, "recv")
        }));
        node
    }

    fn sleeps(left: Duration) -> Node {
        let mut node = node("camshaft::time::sleep::Sleep", Vec::new());
        let now = Duration::from_secs(100);
        node.leaf = Some(Box::new(Leaf::timer(now + left, now)));
        node
    }

    #[test]
    fn what_only_this_runtime_is_concerned_with_is_left_out() {
        let glue = |inner| node("core::future::poll_fn::PollFn<closure in both>", inner);
        let way = |fd| node("camshaft_io::copy::one_way", vec![op(fd)]);
        let mut held = way(2);
        held.held = true;
        let both = node("camshaft_io::join::both", vec![glue(vec![way(1), held])]);
        let copy = node("camshaft_io::copy::copy", vec![both]);
        let user = |inner| node("app::relay", inner);
        let own = Tree {
            root: user(vec![copy]),
        };
        let line = "waits at a line that is not known";
        let expected = format!(
            "app::relay  {line}\n└ camshaft_io::copy::copy\n  ├ … recv, fd 1\n  └ … recv, fd 2  (held, perhaps not polled)\n"
        );
        assert_eq!(own.to_string(), expected);
        // What the user wrote stays, wherever it is.
        let timeout = node(
            "camshaft::time::timeout::Timeout<F>",
            vec![user(vec![glue(vec![op(1)])])],
        );
        let text = Tree { root: timeout }.to_string();
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn what_waits_by_itself_is_not_left_out() {
        let handle = |task| {
            let mut node = node("camshaft_executor::join::JoinHandle<()>", Vec::new());
            node.leaf = Some(Box::new(Leaf::named(Cause::Task, task)));
            node
        };
        let mut set = node(
            "camshaft_executor::join_set::JoinSet<()>",
            vec![handle("a"), handle("b")],
        );
        set.leaf = Some(Box::new(Leaf::named(Cause::Task, "the first of 2 tasks")));
        let next = node("camshaft_executor::join_set::JoinNext", vec![set]);
        let text = Tree { root: next }.to_string();
        assert!(text.contains(": the first of 2 tasks\n"), "{text}");
    }

    #[test]
    fn different_times_are_a_span() {
        let seconds = Duration::from_secs;
        let late = {
            let mut node = sleeps(seconds(0));
            node.leaf = Some(Box::new(Leaf::timer(seconds(97), seconds(100))));
            node
        };
        let (one, two) = (sleeps(seconds(1)), sleeps(seconds(2)));
        let ever = sleeps(Duration::MAX / 2);
        for (group, expected) in [
            (vec![&one, &two, &one], ": 1.0s to 2.0s left"),
            (vec![&one, &one], ": 1.0s left"),
            (vec![&late, &late], ": due for 3.0s"),
            (vec![&late, &two], ": from due for 3.0s to 2.0s left"),
            (vec![&one, &ever], ": 1.0s left; waits for ever"),
        ] {
            assert_eq!(Details(&group).to_string(), expected);
        }
    }

    struct Details<'a>(&'a [&'a Node]);

    impl fmt::Display for Details<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            details(f, self.0)
        }
    }
}
