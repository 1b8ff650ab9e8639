//! The index: one pass over all units that remembers where the interesting entries are, and nothing of what is in them.
//!
//! | found | remembered |
//! |---|---|
//! | `<F as Trait>::{vtable}`, a variable of the unit | its address, and where `F` is described |
//! | `{async_fn_env#0}` and its like | the hash of its full name, and where it is |
//! | `{async_fn#0}`, the body of one | the same |
//! | `poll` of an `impl`, with a `Pin<&mut T>` | the hash of the name of `T`, and where the function is |
//!
//! Types are found again by the hash of their full name: each unit describes the types that it uses anew, and the body of a
//! function may be in another unit than the type that leads there. Sixteen bytes an entry: nothing else stays.

use gimli::{AttributeValue, constants as dw};

use crate::image::{Dwarf, Image, Slice, Unit};
use crate::skim::{Event, Found, Skim};
use crate::types::TypeKey;

/// Where the interesting entries are.
#[derive(Default)]
pub(crate) struct Index {
    /// By address, as linked.
    pub(crate) vtables: Vec<(u64, TypeKey)>,
    /// By the hash of the name; each once.
    pub(crate) coroutines: Vec<(u64, TypeKey)>,
    /// By the hash of the name of the coroutine.
    pub(crate) bodies: Vec<(u64, TypeKey)>,
    /// By the hash of the name of the future.
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
        for number in 0..u32::try_from(image.units.len()).unwrap_or(u32::MAX) {
            // A unit that is damaged tells what comes before the damage.
            if let Err(error) = index.add(image, number) {
                image.damage.add(&error);
            }
        }
        for list in [
            &mut index.vtables,
            &mut index.coroutines,
            &mut index.bodies,
            &mut index.polls,
        ] {
            list.sort_unstable_by_key(|(key, place)| (*key, place.unit, place.offset));
            list.shrink_to_fit();
        }
        index.families.sort_unstable();
        index.families.dedup();
        index.coroutines.dedup_by_key(|(hash, _)| *hash);
        index.coroutines.shrink_to_fit();
        index
    }

    fn add(&mut self, image: &Image, number: u32) -> gimli::Result<()> {
        let (dwarf, unit) = image.unit(number)?;
        let skim = Skim::new(&unit, is_wanted)?;
        let mut scan = Scan {
            index: self,
            image,
            number,
            dwarf: &dwarf,
            unit: &unit,
            namespaces: Vec::new(),
            poll: None,
        };
        skim.run(|event| match event {
            Event::Entry(entry) => {
                scan.entry(&entry);
            }
            Event::End(depth, _) => {
                scan.poll = None;
                if scan.namespaces.last().is_some_and(|(of, ..)| *of == depth) {
                    scan.namespaces.pop();
                }
            }
        })
    }
}

fn is_wanted(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        dw::DW_TAG_namespace
            | dw::DW_TAG_structure_type
            | dw::DW_TAG_variable
            | dw::DW_TAG_subprogram
            | dw::DW_TAG_formal_parameter
    )
}

struct Scan<'a> {
    index: &'a mut Index,
    image: &'a Image,
    number: u32,
    dwarf: &'a Dwarf,
    unit: &'a Unit,
    /// The namespaces around the entry: how deep they are, the hash of the name so far, and whether it is that of an `impl`.
    namespaces: Vec<(u32, NameHash, bool)>,
    /// A `poll` whose first parameter comes next, and its depth.
    poll: Option<(TypeKey, u32)>,
}

impl Scan<'_> {
    fn entry(&mut self, entry: &Found<'_>) -> Option<()> {
        match entry.tag {
            dw::DW_TAG_formal_parameter => self.parameter(entry),
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
                    self.index.coroutines.push((hash.finish(), place));
                }
            }
            dw::DW_TAG_subprogram if is_body(name) => {
                let mut hash = self.namespace();
                hash.body(name);
                self.index.bodies.push((hash.finish(), place));
            }
            // A function that is only called so is that of no trait.
            dw::DW_TAG_subprogram if is_poll(name) && self.is_in_impl() => {
                self.poll = Some((place, entry.depth));
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

    /// The first parameter of a `poll` says whose it is: its type is called `Pin<&mut T>`, with the full name of `T`.
    fn parameter(&mut self, entry: &Found<'_>) -> Option<()> {
        let (place, _) = self
            .poll
            .take()
            .filter(|(_, depth)| depth + 1 == entry.depth)?;
        let of = entry.attribute(dw::DW_AT_type)?;
        let name = self.text(self.read(of, dw::DW_AT_name)?)?;
        let target = name.strip_prefix(b"Pin<&mut ")?.strip_suffix(b">")?;
        let mut hash = NameHash::default();
        hash.whole(target);
        self.index.polls.push((hash.finish(), place));
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

/// The hash of a full name, `a::b::{async_fn_env#0}<T>`; a body has that of its coroutine.
#[derive(Clone, Copy, Default)]
pub(crate) struct NameHash {
    state: u64,
    begun: bool,
}

impl NameHash {
    pub(crate) fn of(name: &str) -> u64 {
        let mut hash = Self::default();
        hash.whole(name.as_bytes());
        hash.finish()
    }

    fn segment(&mut self, name: &[u8]) {
        if self.begun {
            self.whole(b"::");
        }
        self.whole(name);
    }

    fn body(&mut self, name: &[u8]) {
        let number = name
            .iter()
            .position(|byte| *byte == b'#')
            .unwrap_or(name.len());
        self.segment(&name[..number]);
        self.whole(b"_env");
        self.whole(&name[number..]);
    }

    /// FNV-1a: it is taken byte by byte, so the same name has the same hash however it was put together.
    fn whole(&mut self, bytes: &[u8]) {
        let mut state = self.state ^ if self.begun { 0 } else { 0xcbf2_9ce4_8422_2325 };
        for byte in bytes {
            state = (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        *self = Self { state, begun: true };
    }

    fn finish(self) -> u64 {
        self.state
    }
}
