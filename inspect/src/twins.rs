//! Which of several that have one name is meant.
//!
//! Debug information calls types by their paths. Two versions of a crate have the same paths, and so have two functions called alike
//! in two blocks of a function. What is found by name is then chosen by what else is known:
//!
//! | wanted | chosen |
//! |---|---|
//! | the body of a coroutine | it begins in the same file, between the first line and the last |
//! | the `poll` of a type | its `self` is that very type, or else one of the same size and members |
//!
//! Where that leaves several, all of them are told.

use std::sync::Arc;

use gimli::constants as dw;

use crate::catalog::{Catalog, range};
use crate::containers::first_pointer;
use crate::hash::NameHash;
use crate::types::{Shape, Site, TypeKey, Variants};

/// The bodies of a coroutine.
pub(crate) fn bodies(catalog: &mut Catalog, key: TypeKey) -> Vec<TypeKey> {
    let Some(of) = catalog.get(key) else {
        return Vec::new();
    };
    let hash = NameHash::of(&of.name);
    let mut found = range(&catalog.index().bodies, hash);
    let has_twins = catalog.index().twins.binary_search(&hash).is_ok();
    if let (true, Shape::Coroutine(variants)) = (has_twins, &of.shape) {
        found.retain(|body| site(catalog, *body).is_some_and(|body| is_in(&body, variants)));
    }
    found
}

/// Where the `poll` of a type is written.
pub(crate) fn polls(catalog: &mut Catalog, key: TypeKey) -> Vec<Site> {
    let Some(of) = catalog.get(key) else {
        return Vec::new();
    };
    let mut found = range(&catalog.index().polls, NameHash::of(&of.name));
    if let [first, _, ..] = found[..] {
        // A stream may be a future, too.
        let name = name(catalog, first);
        found.retain(|poll| self::name(catalog, *poll) == name);
        found = choose(catalog, key, found);
    }
    let mut sites: Vec<_> = found
        .into_iter()
        .filter_map(|poll| site(catalog, poll))
        .collect();
    sites.sort();
    sites.dedup();
    sites
}

/// Whether a line is one of a coroutine.
fn is_in(site: &Site, of: &Variants) -> bool {
    let line = |value| of.of_value(value)?.site.as_ref();
    let (Some(first), Some(last)) = (line(0), line(1)) else {
        return false;
    };
    site.file == first.file
        && site.line >= first.line
        && (first.file != last.file || site.line <= last.line)
}

/// Those that poll a type, or may.
fn choose(catalog: &mut Catalog, key: TypeKey, found: Vec<TypeKey>) -> Vec<TypeKey> {
    let mut alike = Vec::new();
    for poll in &found {
        match polled(catalog, *poll) {
            Some(own) if own == key => return vec![*poll],
            Some(other) if !is_alike(catalog, key, other) => {}
            _ => alike.push(*poll),
        }
    }
    if alike.is_empty() { found } else { alike }
}

/// What a `poll` takes a pinned reference to.
fn polled(catalog: &mut Catalog, poll: TypeKey) -> Option<TypeKey> {
    let (image, open) = catalog.open_in_image(poll.unit)?;
    let abbreviations = Arc::clone(&open.unit.abbreviations);
    let header = open.unit.header;
    let at = gimli::UnitOffset(poll.offset as usize);
    let mut tree = header.entries_tree(&abbreviations, Some(at)).ok()?;
    let mut children = tree.root().ok()?.children();
    let pinned = loop {
        let child = children.next().ok()??;
        let entry = child.entry();
        if entry.tag() == dw::DW_TAG_formal_parameter {
            break open.key(image, entry.attr_value(dw::DW_AT_type)?)?;
        }
    };
    Some(first_pointer(catalog, pinned, 4)?.1)
}

/// Whether two types of one name may be the same.
fn is_alike(catalog: &mut Catalog, one: TypeKey, other: TypeKey) -> bool {
    let (Some(one), Some(other)) = (catalog.get(one), catalog.get(other)) else {
        return true;
    };
    let mut members = one.members().iter().zip(other.members());
    one.size == other.size
        && one.members().len() == other.members().len()
        && members.all(|(a, b)| (&a.name, a.offset) == (&b.name, b.offset))
}

fn name(catalog: &mut Catalog, function: TypeKey) -> Option<Arc<str>> {
    let open = catalog.opened(function.unit)?;
    let at = gimli::UnitOffset(function.offset as usize);
    open.named(&open.unit.entry(at).ok()?)
}

fn site(catalog: &mut Catalog, function: TypeKey) -> Option<Site> {
    let open = catalog.opened(function.unit)?;
    let at = gimli::UnitOffset(function.offset as usize);
    let entry = open.unit.entry(at).ok()?;
    open.site(&entry)
}
