//! `camshaft sizes OLD --diff NEW`: what has grown and shrunk, come and gone.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use crate::program::{Function, Program};
use crate::sizes::machines;
use crate::terminal::{Page, Piece, Weight, number};

/// What has changed between two programs.
pub(crate) struct Diff<'a> {
    grown: Vec<Change<'a>>,
    shrunk: Vec<Change<'a>>,
    new: Vec<&'a Function>,
    gone: Vec<&'a Function>,
    same: usize,
}

type Change<'a> = (&'a Function, &'a Function);

impl<'a> Diff<'a> {
    /// Compares those of the same name. Where several have one name, those in the same place of their order.
    pub(crate) fn of(old: &'a Program, new: &'a Program) -> Self {
        let mut diff = Self {
            grown: Vec::new(),
            shrunk: Vec::new(),
            new: Vec::new(),
            gone: Vec::new(),
            same: 0,
        };
        let (mut before, after) = (by_name(old), by_name(new));
        for (name, list) in after {
            let mut partners = before.remove(name).unwrap_or_default().into_iter();
            for one in list {
                match partners.next() {
                    None => diff.new.push(one),
                    Some(partner) => diff.pair(partner, one),
                }
            }
            diff.gone.extend(partners);
        }
        diff.gone.extend(before.into_values().flatten());
        let by = |(a, b): &Change<'_>| std::cmp::Reverse(a.layout.size.abs_diff(b.layout.size));
        diff.grown.sort_by_key(by);
        diff.shrunk.sort_by_key(by);
        for list in [&mut diff.new, &mut diff.gone] {
            list.sort_by_key(|one| std::cmp::Reverse(one.layout.size));
        }
        diff
    }

    fn pair(&mut self, old: &'a Function, new: &'a Function) {
        match new.layout.size.cmp(&old.layout.size) {
            std::cmp::Ordering::Greater => self.grown.push((old, new)),
            std::cmp::Ordering::Less => self.shrunk.push((old, new)),
            std::cmp::Ordering::Equal => self.same += 1,
        }
    }

    pub(crate) fn write(&self, page: &mut Page, limit: usize) {
        for (title, sign, list) in [("grown", '+', &self.grown), ("shrunk", '-', &self.shrunk)] {
            section(page, title, list.len(), limit);
            for (old, new) in list.iter().take(limit) {
                let by = old.layout.size.abs_diff(new.layout.size);
                let by = format!("{:>10}", format!("{sign}{}", number(by)));
                let sizes = format!(
                    "{:>10} → {:<8}  ",
                    number(old.layout.size),
                    number(new.layout.size)
                );
                let place = new.place();
                page.line(
                    &[
                        Piece(Weight::Bold, &by),
                        Piece(Weight::Plain, &sizes),
                        Piece(Weight::Plain, &new.name),
                    ],
                    &[Piece(Weight::Dim, &place)],
                );
            }
            if !list.is_empty() {
                page.gap();
            }
        }
        for (title, list) in [("new", &self.new), ("gone", &self.gone)] {
            section(page, title, list.len(), limit);
            for one in list.iter().take(limit) {
                let size = format!("{:>10}  ", number(one.layout.size));
                let place = one.place();
                page.line(
                    &[Piece(Weight::Bold, &size), Piece(Weight::Plain, &one.name)],
                    &[Piece(Weight::Dim, &place)],
                );
            }
            if !list.is_empty() {
                page.gap();
            }
        }
        let text = format!("{} of the same size as before", machines(self.same));
        page.line(&[Piece(Weight::Dim, &text)], &[]);
    }

    pub(crate) fn to_json(&self) -> Result<Value> {
        let change = |(old, new): &Change<'_>| {
            json!({
                "name": new.name,
                "type": &*new.layout.name,
                "old": old.layout.size,
                "new": new.layout.size,
            })
        };
        let one = |one: &&Function| json!({ "name": one.name, "type": &*one.layout.name, "size": one.layout.size });
        Ok(json!({
            "grown": self.grown.iter().map(change).collect::<Vec<_>>(),
            "shrunk": self.shrunk.iter().map(change).collect::<Vec<_>>(),
            "new": self.new.iter().map(one).collect::<Vec<_>>(),
            "gone": self.gone.iter().map(one).collect::<Vec<_>>(),
            "same": self.same,
        }))
    }
}

fn by_name(program: &Program) -> BTreeMap<&str, Vec<&Function>> {
    let mut map: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for one in &program.functions {
        map.entry(&*one.name).or_default().push(one);
    }
    map
}

fn section(page: &mut Page, title: &str, length: usize, limit: usize) {
    if length == 0 {
        return;
    }
    let count = match limit < length {
        true => format!("{title}: {length}, of which {limit} are shown"),
        false => format!("{title}: {length}"),
    };
    page.line(&[Piece(Weight::Plain, &count)], &[]);
}
