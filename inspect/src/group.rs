//! Tasks that are alike, and shown once.

use std::fmt;

use crate::draw::draw;
use crate::dump::{groups, head};
use crate::tree::Node;
use crate::{Dump, TaskTree};

/// Tasks whose trees stand at the same places, that do the same and have the same name.
///
/// It displays as a line that says whose they are, and their tree.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Group<'a> {
    /// The tasks, of which there is one at least, by their numbers.
    pub tasks: Vec<&'a TaskTree>,
}

impl Dump {
    /// The tasks, those that are alike together: the root future first, then by what they do and by their names.
    #[must_use]
    pub fn groups(&self) -> Vec<Group<'_>> {
        let groups = groups(&self.tasks).into_iter();
        groups.map(|tasks| Group { tasks }).collect()
    }
}

impl Group<'_> {
    /// The line that says whose they are.
    #[must_use]
    pub fn heading(&self) -> String {
        Heading(self).to_string()
    }

    /// What they wait for, as text.
    #[must_use]
    pub fn tree(&self) -> String {
        Body(self, "").to_string()
    }
}

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Heading(self))?;
        write!(f, "{}", Body(self, "  "))
    }
}

struct Heading<'a>(&'a Group<'a>);

impl fmt::Display for Heading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        head(f, &self.0.tasks)
    }
}

/// The tree, with what its lines begin with.
struct Body<'a>(&'a Group<'a>, &'static str);

impl fmt::Display for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roots: Vec<&Node> = self.0.tasks.iter().map(|task| &task.root).collect();
        f.write_str(self.1)?;
        draw(f, &roots, self.1)
    }
}
