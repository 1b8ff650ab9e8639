//! What a future waits for: a tree, as text and as JSON.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::catalog::Precision;
use crate::json::{Json, ToJson};
use crate::types::Site;

/// A future, and below it the futures that it waits for.
#[derive(Clone, Debug)]
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
    /// What exactly it waits for, if that is known.
    pub detail: Option<Arc<str>>,
    /// What is not known of it, and why.
    pub limit: Option<Arc<str>>,
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
    /// A coroutine that has returned.
    Returned,
    /// A coroutine that has panicked.
    Panicked,
    /// A coroutine that is being polled: where it waits is where it was resumed from.
    Running,
    /// A future written by hand; its variant, if it is an enum.
    Future(Option<Arc<str>>),
    /// Something that is not known.
    Unknown,
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
            detail: None,
            limit: None,
            children: Vec::new(),
        }
    }

    pub(crate) fn limit(name: impl Into<Arc<str>>, limit: impl Into<Arc<str>>) -> Self {
        let mut node = Self::new(Standing::Unknown, name.into());
        node.limit = Some(limit.into());
        node
    }

    /// Whether two trees stand at the same places. What exactly they wait for, such as a time, may differ.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.standing == other.standing
            && self.name == other.name
            && self.site == other.site
            && self.limit == other.limit
            && self.children.len() == other.children.len()
            && self
                .children
                .iter()
                .zip(&other.children)
                .all(|(one, two)| one.is_like(two))
    }

    /// A number that trees which are alike have in common.
    pub(crate) fn likeness(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        self.hash_into(&mut hasher);
        hasher.finish()
    }

    fn hash_into(&self, hasher: &mut impl Hasher) {
        self.standing.hash(hasher);
        self.name.hash(hasher);
        self.site.as_ref().map(|site| site.line).hash(hasher);
        self.children.len().hash(hasher);
        for child in &self.children {
            child.hash_into(hasher);
        }
    }
}

/// Groups nodes that are alike, by their places, in the order in which the first of each group comes.
pub(crate) fn fold<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<Vec<usize>> {
    let nodes: Vec<_> = nodes.collect();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
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

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        draw(f, &[&self.root], "")
    }
}

/// Draws a group of nodes that are alike, and what is below them. `margin` stands before each line but the first.
pub(crate) fn draw(f: &mut fmt::Formatter<'_>, group: &[&Node], margin: &str) -> fmt::Result {
    write!(f, "{}", group[0])?;
    details(f, group)?;
    writeln!(f)?;
    let groups: Vec<Vec<&Node>> = match group {
        [node] => fold(node.children.iter())
            .into_iter()
            .map(|places| {
                places
                    .into_iter()
                    .map(|place| &node.children[place])
                    .collect()
            })
            .collect(),
        // The branches of those that are alike are alike, so each is drawn with its counterparts.
        [first, ..] => (0..first.children.len())
            .map(|place| group.iter().map(|node| &node.children[place]).collect())
            .collect(),
        [] => Vec::new(),
    };
    for (place, below) in groups.iter().enumerate() {
        let last = place + 1 == groups.len();
        f.write_str(margin)?;
        f.write_str(if last { "└ " } else { "├ " })?;
        if group.len() == 1 && below.len() > 1 {
            write!(f, "{} × ", below.len())?;
        }
        draw(
            f,
            below,
            &format!("{margin}{}", if last { "  " } else { "│ " }),
        )?;
    }
    Ok(())
}

/// What each of a group waits for; of many, some.
fn details(f: &mut fmt::Formatter<'_>, group: &[&Node]) -> fmt::Result {
    const SHOWN: usize = 3;
    let mut texts: Vec<&str> = group
        .iter()
        .filter_map(|node| node.detail.as_deref())
        .collect();
    texts.dedup();
    if texts.is_empty() {
        return Ok(());
    }
    f.write_str(": ")?;
    for (place, text) in texts.iter().take(SHOWN).enumerate() {
        f.write_str(if place > 0 { "; " } else { "" })?;
        f.write_str(text)?;
    }
    match texts.len().checked_sub(SHOWN) {
        Some(more @ 1..) => write!(f, "; and {more} more"),
        _ => Ok(()),
    }
}

/// One line: the future alone.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let verb = match &self.standing {
            Standing::Suspended => "waits at",
            Standing::Unresumed => "has not started; begins at",
            Standing::Returned => "has returned; ends at",
            Standing::Panicked => "has panicked; ends at",
            Standing::Running => "is running; was resumed from",
            Standing::Future(variant) => {
                if let Some(variant) = variant {
                    write!(f, "::{variant}")?;
                }
                "polled by"
            }
            Standing::Unknown => "at",
        };
        if let Some(site) = &self.site {
            write!(f, "  {verb} {site}{}", self.precision)?;
        } else if !matches!(self.standing, Standing::Future(_) | Standing::Unknown) {
            write!(f, "  {verb} a line that is not known")?;
        }
        if let Some(limit) = &self.limit {
            write!(f, "  ({limit})")?;
        }
        Ok(())
    }
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
        json.object(|json| {
            json.field("name", &*self.name);
            let (standing, variant) = match &self.standing {
                Standing::Suspended => ("suspended", None),
                Standing::Unresumed => ("unresumed", None),
                Standing::Returned => ("returned", None),
                Standing::Panicked => ("panicked", None),
                Standing::Running => ("running", None),
                Standing::Future(variant) => ("future", variant.as_deref()),
                Standing::Unknown => ("unknown", None),
            };
            json.field("standing", standing);
            json.field("variant", &variant);
            json.field("file", &self.site.as_ref().map(|site| &*site.file));
            json.field("line", &self.site.as_ref().map(|site| site.line));
            json.field(
                "line_of_macro",
                &(self.precision == Precision::MacroDefinition),
            );
            json.field("via", &self.via.as_deref());
            json.field("waits_for", &self.detail.as_deref());
            json.field("limit", &self.limit.as_deref());
            json.field("children", &self.children);
        });
    }
}
