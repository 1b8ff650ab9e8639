//! Reads one type from the debug information of its unit.
//!
//! Units stay open while something is looked at, because types refer to each other, and are closed afterwards: an open unit
//! takes a hundred kilobytes.

use std::collections::HashMap;
use std::sync::Arc;

use gimli::{AttributeValue, DebuggingInformationEntry, constants as dw};

use crate::image::{Dwarf, Image, Slice, Unit};
use crate::scan::{is_coroutine, resolve};
use crate::skim::{Event, Skim};
use crate::types::{Member, Pointer, Scalar, Shape, Site, Type, TypeKey, Variant, Variants};

type Entry = DebuggingInformationEntry<Slice>;
type Node<'a, 'b> = gimli::EntriesTreeNode<'a, 'b, Slice>;

/// A unit whose types are being read.
pub(crate) struct Open {
    number: u32,
    dwarf: Arc<Dwarf>,
    pub(crate) unit: Unit,
    /// Where namespaces begin and end, with the index of the one around them, in the order of their beginnings.
    namespaces: Vec<Namespace>,
    files: HashMap<u64, Option<Arc<str>>>,
}

struct Namespace {
    start: usize,
    end: usize,
    around: Option<usize>,
    name: Arc<str>,
}

impl Open {
    pub(crate) fn new(image: &Image, number: u32) -> gimli::Result<Self> {
        let (dwarf, unit) = image.unit(number)?;
        let mut open = Self {
            number,
            dwarf,
            unit,
            namespaces: Vec::new(),
            files: HashMap::new(),
        };
        open.namespaces = open.outline()?;
        Ok(open)
    }

    /// Entries have no pointer to what they lie in, so where the namespaces are is found out once.
    fn outline(&self) -> gimli::Result<Vec<Namespace>> {
        let mut namespaces: Vec<Namespace> = Vec::new();
        let mut around: Vec<(u32, usize)> = Vec::new();
        Skim::new(&self.unit, |entry| entry.tag() == dw::DW_TAG_namespace)?.run(
            |event| match event {
                Event::Entry(entry) if entry.has_children => {
                    let name = entry.attribute(dw::DW_AT_name);
                    namespaces.push(Namespace {
                        start: entry.offset,
                        end: usize::MAX,
                        around: around.last().map(|(_, index)| *index),
                        name: name.and_then(|name| self.text(name)).unwrap_or_default(),
                    });
                    around.push((entry.depth, namespaces.len() - 1));
                }
                Event::Entry(_) => {}
                Event::End(depth, offset) => {
                    if let Some((_, index)) = around.pop_if(|(of, _)| *of == depth) {
                        namespaces[index].end = offset;
                    }
                }
            },
        )?;
        Ok(namespaces)
    }

    /// Reads the type at an offset.
    pub(crate) fn read(&mut self, image: &Image, offset: u32) -> Option<Type> {
        let offset = gimli::UnitOffset(offset as usize);
        // The tree borrows abbreviations while files are remembered.
        let abbreviations = Arc::clone(&self.unit.abbreviations);
        let header = self.unit.header;
        let mut tree = header.entries_tree(&abbreviations, Some(offset)).ok()?;
        let root = tree.root().ok()?;
        let entry = root.entry();
        let named = self.named(entry);
        let mut read = Type {
            size: number(entry, dw::DW_AT_byte_size).unwrap_or(0),
            align: number(entry, dw::DW_AT_alignment).unwrap_or(0),
            shape: Shape::Other,
            parameters: Vec::new(),
            name: self.full_name(offset.0, named.as_deref().unwrap_or_default()),
        };
        let to = |key| self.key(image, entry.attr_value(key)?);
        match entry.tag() {
            dw::DW_TAG_base_type => read.shape = Shape::Scalar(scalar(entry)),
            dw::DW_TAG_pointer_type => {
                read.size = if read.size == 0 { 8 } else { read.size };
                read.name = named.unwrap_or_default();
                let target = to(dw::DW_AT_type);
                read.shape = target.map_or(Shape::Other, |target| {
                    Shape::Pointer(pointer(&read.name), target)
                });
            }
            dw::DW_TAG_array_type => {
                let element = to(dw::DW_AT_type)?;
                read.shape = Shape::Array(element, array_length(root)?);
            }
            dw::DW_TAG_enumeration_type => read.shape = Shape::Names(self.enumerators(root)?),
            dw::DW_TAG_structure_type => {
                let coroutine = is_coroutine(named.as_deref().unwrap_or_default().as_bytes());
                self.structure(image, root, coroutine, &mut read)?;
            }
            dw::DW_TAG_union_type => {
                self.structure(image, root, false, &mut read)?;
                if let Shape::Struct(members) = read.shape {
                    read.shape = Shape::Union(members);
                }
            }
            _ => {}
        }
        Some(read)
    }

    fn structure(
        &mut self,
        image: &Image,
        root: Node<'_, '_>,
        coroutine: bool,
        read: &mut Type,
    ) -> Option<()> {
        let mut members = Vec::new();
        let mut variants = None;
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            let entry = child.entry();
            match entry.tag() {
                dw::DW_TAG_member => members.push(self.member(image, entry)?),
                dw::DW_TAG_template_type_parameter => {
                    let of = self.key(image, entry.attr_value(dw::DW_AT_type)?)?;
                    read.parameters.push((self.named(entry)?, of));
                }
                dw::DW_TAG_variant_part => {
                    variants = Some(self.variants(image, child)?);
                }
                _ => {}
            }
        }
        read.shape = match variants {
            Some((variants, true)) if coroutine => Shape::Coroutine(variants),
            Some((variants, _)) => Shape::Enum(variants),
            None => Shape::Struct(members),
        };
        Some(())
    }

    /// The variants, and whether their tag is called as that of a coroutine.
    fn variants(&mut self, image: &Image, part: Node<'_, '_>) -> Option<(Variants, bool)> {
        let mut tag = None;
        let mut list = Vec::new();
        let mut coroutine = false;
        let mut children = part.children();
        while let Ok(Some(child)) = children.next() {
            let entry = child.entry();
            match entry.tag() {
                dw::DW_TAG_member => {
                    let member = self.member(image, entry)?;
                    coroutine = &*member.name == "__state";
                    tag = Some((member.offset, member.of));
                }
                dw::DW_TAG_variant => {
                    let value = entry.attr_value(dw::DW_AT_discr_value).and_then(wide);
                    let mut inside = child.children();
                    while let Ok(Some(member)) = inside.next() {
                        if member.entry().tag() == dw::DW_TAG_member {
                            list.push(self.variant(image, member.entry(), value)?);
                        }
                    }
                }
                _ => {}
            }
        }
        let tag = match tag {
            Some((offset, of)) if of.unit == self.number => {
                Some((offset, self.size_at(of.offset)?))
            }
            Some((offset, of)) => {
                Some((offset, Self::new(image, of.unit).ok()?.size_at(of.offset)?))
            }
            None => None,
        };
        Some((Variants { tag, list }, coroutine))
    }

    fn variant(&mut self, image: &Image, entry: &Entry, value: Option<u128>) -> Option<Variant> {
        let member = self.member(image, entry)?;
        Some(Variant {
            value,
            name: member.name,
            of: member.of,
            site: self.site(entry),
        })
    }

    fn member(&self, image: &Image, entry: &Entry) -> Option<Member> {
        Some(Member {
            name: self.named(entry).unwrap_or_default(),
            offset: number(entry, dw::DW_AT_data_member_location).unwrap_or(0),
            of: self.key(image, entry.attr_value(dw::DW_AT_type)?)?,
        })
    }

    fn enumerators(&self, root: Node<'_, '_>) -> Option<Vec<(u128, Arc<str>)>> {
        let mut list = Vec::new();
        let mut children = root.children();
        while let Ok(Some(child)) = children.next() {
            let entry = child.entry();
            if entry.tag() == dw::DW_TAG_enumerator {
                let value = wide(entry.attr_value(dw::DW_AT_const_value)?)?;
                list.push((value, self.named(entry)?));
            }
        }
        Some(list)
    }

    fn size_at(&self, offset: u32) -> Option<u64> {
        let entry = self.unit.entry(gimli::UnitOffset(offset as usize)).ok()?;
        number(&entry, dw::DW_AT_byte_size)
    }

    pub(crate) fn key(&self, image: &Image, value: AttributeValue<Slice>) -> Option<TypeKey> {
        resolve(image, self.number, value)
    }

    pub(crate) fn text(&self, value: AttributeValue<Slice>) -> Option<Arc<str>> {
        let text = self.dwarf.attr_string(&self.unit, value).ok()?;
        Some(text.to_string_lossy().into())
    }

    pub(crate) fn named(&self, entry: &Entry) -> Option<Arc<str>> {
        self.text(entry.attr_value(dw::DW_AT_name)?)
    }

    /// Puts the namespaces around an entry before its name.
    pub(crate) fn full_name(&self, offset: usize, name: &str) -> Arc<str> {
        let after = self
            .namespaces
            .partition_point(|space| space.start <= offset);
        let mut at = after.checked_sub(1);
        let mut path = Vec::new();
        while let Some(space) = at.map(|index| &self.namespaces[index]) {
            if offset < space.end {
                path.push(&*space.name);
            }
            at = space.around;
        }
        path.reverse();
        path.push(name);
        path.join("::").into()
    }

    /// The line that an entry says that it was declared on.
    pub(crate) fn site(&mut self, entry: &Entry) -> Option<Site> {
        let line = number(entry, dw::DW_AT_decl_line)?;
        let index = match entry.attr_value(dw::DW_AT_decl_file)? {
            AttributeValue::FileIndex(index) => index,
            value => value.udata_value()?,
        };
        let file = match self.files.get(&index) {
            Some(known) => known.clone(),
            None => {
                let file = file(&self.dwarf, &self.unit, index);
                self.files.insert(index, file.clone());
                file
            }
        };
        Some(Site { file: file?, line })
    }
}

/// The path of a file that a unit has a number for.
pub(crate) fn file(dwarf: &Dwarf, unit: &Unit, index: u64) -> Option<Arc<str>> {
    let header = unit.line_program.as_ref()?.header();
    let file = header.file(index)?;
    let text = |value| -> Option<String> {
        let text = dwarf.attr_string(unit, value).ok()?;
        Some(text.to_string_lossy().into_owned())
    };
    let mut path = std::path::PathBuf::new();
    if let Some(folder) = unit.comp_dir {
        path.push(&*folder.to_string_lossy());
    }
    if let Some(folder) = file.directory(header).and_then(text) {
        path.push(folder);
    }
    path.push(text(file.path_name())?);
    Some(path.to_string_lossy().into())
}

pub(crate) fn number(entry: &Entry, name: gimli::DwAt) -> Option<u64> {
    entry.attr_value(name)?.udata_value()
}

/// A constant of up to 128 bits, without its sign.
fn wide(value: AttributeValue<Slice>) -> Option<u128> {
    match value {
        AttributeValue::Block(bytes) if bytes.slice().len() <= 16 => Some(little(bytes.slice())),
        AttributeValue::Data1(value) => Some(value.into()),
        AttributeValue::Data2(value) => Some(value.into()),
        AttributeValue::Data4(value) => Some(value.into()),
        AttributeValue::Sdata(value) => Some(i128::from(value).cast_unsigned()),
        value => value.udata_value().map(u128::from),
    }
}

/// The number that bytes are, the lowest first.
pub(crate) fn little(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

fn scalar(entry: &Entry) -> Scalar {
    match entry.attr_value(dw::DW_AT_encoding) {
        Some(AttributeValue::Encoding(dw::DW_ATE_boolean)) => Scalar::Bool,
        Some(AttributeValue::Encoding(dw::DW_ATE_UTF)) => Scalar::Char,
        Some(AttributeValue::Encoding(dw::DW_ATE_float)) => Scalar::Float,
        Some(AttributeValue::Encoding(dw::DW_ATE_signed)) => Scalar::Signed,
        _ => Scalar::Unsigned,
    }
}

fn pointer(name: &str) -> Pointer {
    if name.starts_with("&mut ") {
        Pointer::Mut
    } else if name.starts_with('&') {
        Pointer::Shared
    } else if name.starts_with("alloc::boxed::Box<") {
        Pointer::Box
    } else {
        Pointer::Raw
    }
}

fn array_length(root: Node<'_, '_>) -> Option<u64> {
    let mut children = root.children();
    let range = children.next().ok()??;
    let range = range.entry();
    number(range, dw::DW_AT_count)
        .or_else(|| number(range, dw::DW_AT_upper_bound).map(|last| last.wrapping_add(1)))
}
