//! What a future waits for: a tree, as text and as JSON.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::catalog::Precision;
use crate::json::{Json, ToJson};
use crate::leaf::Leaf;
use crate::quick::{Map, Quick};
use crate::types::Site;

/// A future, and below it the futures that it waits for.
///
/// Copying, dropping and comparing need no more stack for a deep tree than for a flat one.
#[non_exhaustive]
pub struct Node {
    /// What kind of future it is, and where it stands.
    pub standing: Standing,
    /// Its name, as people write it.
    pub name: Arc<str>,
    /// The line where it waits; where its `poll` is written, if it is no coroutine.
    pub site: Option<Site>,
    /// How exact that line is.
    pub precision: Precision,
    /// The member of its owner that it is, if that says something.
    pub via: Option<Arc<str>>,
    /// What exactly it waits for, if it is a leaf of which that is known.
    pub leaf: Option<Box<Leaf>>,
    /// What is not known of it, and why.
    pub limit: Option<Arc<str>>,
    /// Whether its owner is only known to hold it: it may poll it, or keep it for later.
    pub held: bool,
    /// Whether something that surely polls it has been left out between it and its owner.
    pub(crate) sure: bool,
    /// What it waits for.
    pub children: Vec<Self>,
}

/// Where a future stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// A coroutine that waits.
    Suspended,
    /// A coroutine that has not been polled.
    Unresumed,
    /// A coroutine that is being polled for the first time.
    Started,
    /// A coroutine that has returned.
    Returned,
    /// A coroutine that has panicked.
    Panicked,
    /// A coroutine that is being polled: where it waits is where it was resumed from.
    Running,
    /// A future written by hand; its variant, if it is an enum.
    Future(Option<Arc<str>>),
    /// A fiber: a function on a stack of its own. The line is where it was made.
    Fiber(Stage),
    /// A function on the stack of a fiber: it was called and has not returned. The last one waits or runs, the others have called. The
    /// line is where it is.
    Call(Stage),
    /// Something that is not known.
    Unknown,
}

/// What a fiber, or a call on its stack, is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// It has no stack yet.
    Unstarted,
    /// It runs, or has resumed another one that runs.
    Running,
    /// It is suspended.
    Waiting,
    /// It has called another function, which has not returned.
    Called,
    /// It has returned.
    Over,
}

impl Stage {
    /// A word for it: `unstarted`, `running`, `waiting`, `called`, or `over`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unstarted => "unstarted",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Called => "called",
            Self::Over => "over",
        }
    }
}

/// What a future waits for.
///
/// It displays as a tree, in which equal branches are counted and shown once.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tree {
    /// The future.
    pub root: Node,
}

impl Node {
    pub(crate) fn new(standing: Standing, name: Arc<str>) -> Self {
        Self {
            standing,
            name,
            site: None,
            precision: Precision::Exact,
            via: None,
            leaf: None,
            limit: None,
            held: false,
            sure: false,
            children: Vec::new(),
        }
    }

    pub(crate) fn limit(name: impl Into<Arc<str>>, limit: impl Into<Arc<str>>) -> Self {
        let mut node = Self::new(Standing::Unknown, name.into());
        node.limit = Some(limit.into());
        node
    }

    /// What exactly it waits for, as text, if it is a leaf of which that is known.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        self.leaf.as_ref().map(ToString::to_string)
    }

    /// Whether two trees stand at the same places. What exactly they wait for, such as a time, may differ.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let mut left = vec![(self, other)];
        while let Some((one, two)) = left.pop() {
            let like = one.standing == two.standing
                && one.name == two.name
                && one.site == two.site
                && one.precision == two.precision
                && one.limit == two.limit
                && one.held == two.held
                && one.children.len() == two.children.len();
            if !like {
                return false;
            }
            left.extend(one.children.iter().zip(&two.children));
        }
        true
    }

    /// A number that trees which are alike have in common.
    pub(crate) fn likeness(&self) -> u64 {
        let mut hasher = Quick::default();
        let mut left = vec![self];
        while let Some(node) = left.pop() {
            node.standing.hash(&mut hasher);
            node.name.hash(&mut hasher);
            node.site.as_ref().map(|site| site.line).hash(&mut hasher);
            node.children.len().hash(&mut hasher);
            left.extend(&node.children);
        }
        hasher.finish()
    }
}

/// One after the other, as everything here: a tree may be deeper than the stack of a fiber.
impl Clone for Node {
    fn clone(&self) -> Self {
        // From the root to the node that is being copied: each with its copy, which has some of the children.
        let mut way = Vec::new();
        let (mut source, mut copy) = (self, self.alone());
        loop {
            if let Some(child) = source.children.get(copy.children.len()) {
                way.push((source, std::mem::replace(&mut copy, child.alone())));
                source = child;
            } else if let Some((above, mut parent)) = way.pop() {
                parent.children.push(copy);
                (source, copy) = (above, parent);
            } else {
                return copy;
            }
        }
    }
}

/// As [`Clone`].
impl Drop for Node {
    fn drop(&mut self) {
        let mut left = std::mem::take(&mut self.children);
        while let Some(mut node) = left.pop() {
            left.append(&mut node.children);
        }
    }
}

/// A few levels of it: a formatter calls itself for each, and the stack may be that of a fiber.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Below(self, 0).fmt(f)
    }
}

/// A node so many levels below the one that is shown.
struct Below<'a>(&'a Node, u32);

impl fmt::Debug for Below<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LEVELS: u32 = 16;
        let &Self(node, level) = self;
        let mut fields = f.debug_struct("Node");
        fields
            .field("standing", &node.standing)
            .field("name", &node.name)
            .field("site", &node.site)
            .field("precision", &node.precision)
            .field("via", &node.via)
            .field("leaf", &node.leaf)
            .field("limit", &node.limit)
            .field("held", &node.held);
        if level == LEVELS && !node.children.is_empty() {
            return fields.finish_non_exhaustive();
        }
        let children = node.children.iter().map(|child| Below(child, level + 1));
        fields
            .field("children", &children.collect::<Vec<_>>())
            .finish()
    }
}

/// Groups nodes that are alike, by their places, in the order in which the first of each group comes.
pub(crate) fn fold<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<Vec<usize>> {
    let nodes: Vec<_> = nodes.collect();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: Map<u64, Vec<usize>> = Map::default();
    for (place, node) in nodes.iter().enumerate() {
        let candidates = known.entry(node.likeness()).or_default();
        let like = |group: &&usize| nodes[groups[**group][0]].is_like(node);
        match candidates.iter().find(like) {
            Some(group) => groups[*group].push(place),
            None => {
                candidates.push(groups.len());
                groups.push(vec![place]);
            }
        }
    }
    groups
}

impl Tree {
    /// The tree as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        Json::of(&self.root)
    }
}

impl ToJson for Node {
    fn write(&self, json: &mut Json) {
        enum Step<'a> {
            Node(&'a Node),
            End,
        }
        let mut left = vec![Step::Node(self)];
        while let Some(step) = left.pop() {
            match step {
                Step::Node(node) => {
                    json.open('{');
                    node.fields(json);
                    json.name("children");
                    json.open('[');
                    left.push(Step::End);
                    left.extend(node.children.iter().rev().map(Step::Node));
                }
                Step::End => {
                    json.close(']');
                    json.close('}');
                }
            }
        }
    }
}

impl Node {
    /// A copy without what is below.
    fn alone(&self) -> Self {
        Self {
            standing: self.standing.clone(),
            name: Arc::clone(&self.name),
            site: self.site.clone(),
            precision: self.precision,
            via: self.via.clone(),
            leaf: self.leaf.clone(),
            limit: self.limit.clone(),
            held: self.held,
            sure: self.sure,
            children: Vec::with_capacity(self.children.len()),
        }
    }

    /// Writes what is known of the node itself.
    fn fields(&self, json: &mut Json) {
        json.field("name", &*self.name);
        let (standing, variant) = match &self.standing {
            Standing::Suspended => ("suspended", None),
            Standing::Unresumed => ("unresumed", None),
            Standing::Started => ("started", None),
            Standing::Returned => ("returned", None),
            Standing::Panicked => ("panicked", None),
            Standing::Running => ("running", None),
            Standing::Future(variant) => ("future", variant.as_deref()),
            Standing::Fiber(stage) => ("fiber", Some(stage.name())),
            Standing::Call(stage) => ("call", Some(stage.name())),
            Standing::Unknown => ("unknown", None),
        };
        json.field("standing", standing);
        json.field("variant", &variant);
        json.field("file", &self.site.as_ref().map(|site| &*site.file));
        json.field("line", &self.site.as_ref().map(|site| site.line));
        json.field(
            "precision",
            &self.site.as_ref().map(|_| self.precision.word()),
        );
        json.field(
            "line_of_macro",
            &(self.precision == Precision::MacroDefinition),
        );
        json.field("via", &self.via.as_deref());
        json.field("waits_for", &self.detail());
        json.field("leaf", &self.leaf.as_deref());
        json.field("limit", &self.limit.as_deref());
        json.field("held", &self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As deep as a walk goes.
    fn chain() -> Node {
        let mut node = Node::limit("the last", "it ends here");
        for _ in 1..crate::walk::DEPTH {
            let mut above = Node::new(Standing::Suspended, "one of many".into());
            above.children.push(node);
            node = above;
        }
        node
    }

    #[test]
    fn a_deep_tree_needs_no_deep_stack() {
        let thread = std::thread::Builder::new().stack_size(64 << 10);
        let thread = thread.spawn(|| {
            let node = chain();
            let copy = node.clone();
            assert!(node.is_like(&copy));
            assert_eq!(node.likeness(), copy.likeness());
            let tree = Tree { root: copy };
            let (text, json) = (tree.to_string(), tree.to_json());
            assert_eq!(text.lines().count(), crate::walk::DEPTH as usize);
            assert_eq!(
                json.matches("one of many").count() + 1,
                text.lines().count()
            );
            let shown = format!("{node:?}");
            assert!(
                shown.contains("one of many") && shown.contains(".."),
                "{shown}"
            );
        });
        let ended = thread.expect("there is room for a thread").join();
        ended.expect("nothing panics");
    }

    #[test]
    fn a_copy_has_every_branch_in_its_order() {
        let mut node = Node::new(Standing::Suspended, "root".into());
        for name in ["a", "b", "c"] {
            let mut child = Node::limit(name, "leaf");
            child
                .children
                .push(Node::limit(format!("below {name}"), ""));
            node.children.push(child);
        }
        assert_eq!(format!("{:?}", node.clone()), format!("{node:?}"));
        assert!(node.clone().is_like(&node));
    }
}
