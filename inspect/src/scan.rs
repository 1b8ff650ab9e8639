//! The index: one pass over all units that remembers where the interesting entries are, and nothing of what is in them.
//!
//! | found | remembered |
//! |---|---|
//! | `<F as Trait>::{vtable}`, a variable of the unit | its address, and where `F` is described |
//! | `{async_fn_env#0}` and its like | where it is; of those with the same name, size and lines, one |
//! | `{async_fn#0}`, the body of one | the same |
//! | `poll` of an `impl`, with a `Pin<&mut T>` | the hash of the name of `T`, and where the function is |
//!
//! Types are found again by the hash of their full name: each unit describes the types that it uses anew, and the body of a
//! function may be in another unit than the type that leads there. Sixteen bytes an entry: nothing else stays.
//!
//! A name may be that of several: two versions of a crate, or two blocks of a function, each with a type of its own, have the same
//! names. What is told apart by its lines is kept, and whoever asks by name has to choose.

use std::collections::HashMap;

use gimli::{Abbreviation, AttributeValue, constants as dw};

use crate::hash::NameHash;
use crate::image::{Dwarf, Image, Slice, Unit};
use crate::load::file;
use crate::skim::{Event, Found, Skim};
use crate::types::TypeKey;

/// Where the interesting entries are.
#[derive(Default)]
pub(crate) struct Index {
    /// By address, as linked.
    pub(crate) vtables: Vec<(u64, TypeKey)>,
    /// Each once.
    pub(crate) coroutines: Vec<TypeKey>,
    /// The hashes of the names that several coroutines have.
    pub(crate) twins: Vec<u64>,
    /// By the hash of the name of the coroutine.
    pub(crate) bodies: Vec<(u64, TypeKey)>,
    /// By the hash of the name of the future; one of those on the same line, unless there are others.
    pub(crate) polls: Vec<(u64, TypeKey)>,
    /// The hashes of those names without what they are generic over.
    pub(crate) families: Vec<u64>,
    /// Whether any unit describes types.
    pub(crate) has_types: bool,
}

impl Index {
    /// Runs over all units. What cannot be read is left out, and counted.
    pub(crate) fn of(image: &mut Image) -> Self {
        let mut index = Self::default();
        let (mut coroutines, mut polls) = (Vec::new(), Vec::new());
        for number in 0..u32::try_from(image.units.len()).unwrap_or(u32::MAX) {
            // A unit that is damaged tells what comes before the damage.
            if let Err(error) = index.add(image, number, &mut coroutines, &mut polls) {
                image.damage.add(&error);
            }
        }
        for group in by_name(&mut coroutines) {
            let different = group.chunk_by(|a, b| a.identity == b.identity);
            let before = index.coroutines.len();
            index.coroutines.extend(different.map(|same| same[0].place));
            if index.coroutines.len() - before > 1 {
                index.twins.push(group[0].name);
            }
        }
        for group in by_name(&mut polls) {
            let one = group.iter().all(|poll| poll.identity == group[0].identity);
            let kept = if one { &group[..1] } else { group };
            index
                .polls
                .extend(kept.iter().map(|poll| (poll.name, poll.place)));
        }
        for list in [&mut index.vtables, &mut index.bodies, &mut index.polls] {
            list.sort_unstable_by_key(|(key, place)| (*key, place.unit, place.offset));
            list.shrink_to_fit();
        }
        index.families.sort_unstable();
        index.families.dedup();
        index.coroutines.shrink_to_fit();
        index
    }

    fn add(
        &mut self,
        image: &Image,
        number: u32,
        coroutines: &mut Vec<Named>,
        polls: &mut Vec<Named>,
    ) -> gimli::Result<()> {
        let (dwarf, unit) = image.unit(number)?;
        let skim = Skim::new(&unit, is_wanted)?;
        let mut scan = Scan {
            index: self,
            coroutines,
            polls,
            image,
            number,
            dwarf: &dwarf,
            unit: &unit,
            files: HashMap::new(),
            namespaces: Vec::new(),
            coroutine: None,
            poll: None,
        };
        skim.run(|event| match event {
            Event::Entry(entry) => {
                scan.entry(&entry);
            }
            Event::End(depth, _) => {
                scan.poll = None;
                scan.coroutine = scan.coroutine.filter(|of| *of != depth);
                if scan.namespaces.last().is_some_and(|(of, ..)| *of == depth) {
                    scan.namespaces.pop();
                }
            }
        })
    }
}

/// Something with a name, which others may have too.
struct Named {
    name: u64,
    /// The hash of what else is known of it.
    identity: NameHash,
    place: TypeKey,
}

/// Groups of the same name, and in each of the same identity.
fn by_name(list: &mut [Named]) -> impl Iterator<Item = &[Named]> {
    list.sort_unstable_by_key(|one| (one.name, one.identity, one.place));
    list.chunk_by(|a, b| a.name == b.name)
}

fn is_wanted(entry: &Abbreviation) -> bool {
    if entry.tag() == dw::DW_TAG_member {
        // Only the states of a coroutine have lines.
        let mut attributes = entry.attributes().iter();
        return attributes.any(|attribute| attribute.name() == dw::DW_AT_decl_line);
    }
    matches!(
        entry.tag(),
        dw::DW_TAG_namespace
            | dw::DW_TAG_structure_type
            | dw::DW_TAG_variable
            | dw::DW_TAG_subprogram
            | dw::DW_TAG_formal_parameter
    )
}

struct Scan<'a> {
    index: &'a mut Index,
    coroutines: &'a mut Vec<Named>,
    polls: &'a mut Vec<Named>,
    image: &'a Image,
    number: u32,
    dwarf: &'a Dwarf,
    unit: &'a Unit,
    /// The namespaces around the entry: how deep they are, the hash of the name so far, and whether it is that of an `impl`.
    namespaces: Vec<(u32, NameHash, bool)>,
    /// The hashes of the names of files.
    files: HashMap<u64, u64>,
    /// The depth of the coroutine that the entry lies in.
    coroutine: Option<u32>,
    /// A `poll` whose first parameter comes next, and its depth.
    poll: Option<(TypeKey, NameHash, u32)>,
}

impl Scan<'_> {
    fn entry(&mut self, entry: &Found<'_>) -> Option<()> {
        match entry.tag {
            dw::DW_TAG_formal_parameter => self.parameter(entry),
            dw::DW_TAG_member => self.state(entry),
            dw::DW_TAG_variable if entry.depth > 1 => None,
            _ => {
                self.poll = None;
                let name = self.text(entry.attribute(dw::DW_AT_name)?)?;
                self.named(entry, name)
            }
        }
    }

    fn named(&mut self, entry: &Found<'_>, name: &'static [u8]) -> Option<()> {
        let place = TypeKey {
            unit: self.number,
            offset: u32::try_from(entry.offset).ok()?,
        };
        match entry.tag {
            dw::DW_TAG_namespace if entry.has_children => {
                let mut hash = self.namespace();
                hash.segment(name);
                let is_impl = name.starts_with(b"{impl#");
                self.namespaces.push((entry.depth, hash, is_impl));
            }
            dw::DW_TAG_structure_type => {
                self.index.has_types = true;
                // What is only declared may be described in another unit.
                if is_coroutine(name) && entry.attribute(dw::DW_AT_declaration).is_none() {
                    let mut hash = self.namespace();
                    hash.segment(name);
                    let mut identity = NameHash::default();
                    let size = entry.attribute(dw::DW_AT_byte_size);
                    identity.number(size.and_then(|size| size.udata_value())?);
                    self.coroutines.push(Named {
                        name: hash.finish(),
                        identity,
                        place,
                    });
                    self.coroutine = Some(entry.depth);
                }
            }
            dw::DW_TAG_subprogram if is_body(name) => {
                let mut hash = self.namespace();
                hash.body(name);
                self.index.bodies.push((hash.finish(), place));
            }
            // A function that is only called so is that of no trait.
            dw::DW_TAG_subprogram if is_poll(name) && self.is_in_impl() => {
                let mut identity = NameHash::default();
                identity.whole(name);
                self.line(entry, &mut identity);
                self.poll = Some((place, identity, entry.depth));
            }
            dw::DW_TAG_variable if name.ends_with(b"::{vtable}") && may_be_future(name) => {
                let address = self.location(entry.attribute(dw::DW_AT_location)?)?;
                let table = entry.attribute(dw::DW_AT_type)?;
                if address != 0 {
                    let of = self.reference(self.read(table, dw::DW_AT_containing_type)?)?;
                    self.index.vtables.push((address, of));
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Each state of a coroutine has a line.
    fn state(&mut self, entry: &Found<'_>) -> Option<()> {
        // In it are a part of variants, the variants, and in each of these one member.
        self.coroutine.filter(|of| of + 3 == entry.depth)?;
        let mut identity = self.coroutines.last()?.identity;
        self.line(entry, &mut identity)?;
        self.coroutines.last_mut()?.identity = identity;
        Some(())
    }

    /// Adds where an entry was declared to a hash.
    fn line(&mut self, entry: &Found<'_>, identity: &mut NameHash) -> Option<()> {
        let line = entry.attribute(dw::DW_AT_decl_line)?.udata_value()?;
        let index = match entry.attribute(dw::DW_AT_decl_file)? {
            AttributeValue::FileIndex(index) => index,
            value => value.udata_value()?,
        };
        let (dwarf, unit) = (self.dwarf, self.unit);
        let file = self.files.entry(index).or_insert_with(|| {
            let file = file(dwarf, unit, index);
            NameHash::of(&file.unwrap_or_default())
        });
        identity.number(*file);
        identity.number(line);
        Some(())
    }

    /// The first parameter of a `poll` says whose it is: its type is called `Pin<&mut T>`, with the full name of `T`.
    fn parameter(&mut self, entry: &Found<'_>) -> Option<()> {
        let (place, identity, _) = self
            .poll
            .take()
            .filter(|(.., depth)| depth + 1 == entry.depth)?;
        let of = entry.attribute(dw::DW_AT_type)?;
        let name = self.text(self.read(of, dw::DW_AT_name)?)?;
        let target = name.strip_prefix(b"Pin<&mut ")?.strip_suffix(b">")?;
        let mut hash = NameHash::default();
        hash.whole(target);
        self.polls.push(Named {
            name: hash.finish(),
            identity,
            place,
        });
        let mut hash = NameHash::default();
        hash.whole(family(target));
        self.index.families.push(hash.finish());
        Some(())
    }

    fn namespace(&self) -> NameHash {
        self.namespaces
            .last()
            .map_or_else(NameHash::default, |(_, hash, _)| *hash)
    }

    fn is_in_impl(&self) -> bool {
        self.namespaces.last().is_some_and(|(.., is)| *is)
    }

    /// Reads one attribute of the entry that a reference leads to.
    fn read(&self, at: AttributeValue<Slice>, name: gimli::DwAt) -> Option<AttributeValue<Slice>> {
        let entry = match at {
            AttributeValue::UnitRef(offset) => self.unit.entry(offset).ok()?,
            // In another unit, as linkers with LTO make them.
            _ => {
                let there = self.reference(at)?;
                let (_, unit) = self.image.unit(there.unit).ok()?;
                unit.entry(gimli::UnitOffset(there.offset as usize)).ok()?
            }
        };
        entry.attr_value(name)
    }

    fn reference(&self, value: AttributeValue<Slice>) -> Option<TypeKey> {
        resolve(self.image, self.number, value)
    }

    fn text(&self, value: AttributeValue<Slice>) -> Option<&'static [u8]> {
        Some(self.dwarf.attr_string(self.unit, value).ok()?.slice())
    }

    fn location(&self, value: AttributeValue<Slice>) -> Option<u64> {
        let mut operations = value.exprloc_value()?.operations(self.unit.encoding());
        match operations.next().ok()?? {
            gimli::Operation::Address { address } => Some(address),
            gimli::Operation::AddressIndex { index } => self.dwarf.address(self.unit, index).ok(),
            _ => None,
        }
    }
}

/// Finds the unit that a reference leads to.
pub(crate) fn resolve(image: &Image, from: u32, value: AttributeValue<Slice>) -> Option<TypeKey> {
    let (unit, offset) = match value {
        AttributeValue::UnitRef(offset) => (from, offset.0),
        AttributeValue::DebugInfoRef(offset) => {
            let unit = image.unit_at(from, offset.0)?;
            (unit, offset.0 - image.place(unit).ok()?.start)
        }
        _ => return None,
    };
    Some(TypeKey {
        unit,
        offset: u32::try_from(offset).ok()?,
    })
}

/// Whether this is what the compiler calls the state machine of an `async` function, block or closure.
pub(crate) fn is_coroutine(name: &[u8]) -> bool {
    name.starts_with(b"{async_") && contains(name, b"_env#")
}

/// A name without what it is generic over.
fn family(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == b'<').next().unwrap_or_default()
}

fn is_body(name: &[u8]) -> bool {
    name.starts_with(b"{async_") && !contains(name, b"_env#")
}

fn is_poll(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"poll") else {
        return false;
    };
    let rest = rest.strip_prefix(b"_next").unwrap_or(rest);
    rest.is_empty() || rest.starts_with(b"<")
}

/// Whether a vtable may be that of a future: most are of `Debug` and `Display`.
fn may_be_future(name: &[u8]) -> bool {
    !contains(name, b" as core::fmt::") && !contains(name, b" as core::error::")
}

fn contains(name: &[u8], part: &[u8]) -> bool {
    // The tail of the name is what is asked about.
    name.windows(part.len()).rev().any(|window| window == part)
}
