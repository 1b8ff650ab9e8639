//! Running over the entries of a unit without reading those that nobody asks for.
//!
//! A program has millions of entries, of which an index wants thousands. So each abbreviation is turned once into a plan: how
//! many bytes to jump, which for most is one number. Entries have no parent pointers and no pointers to their next sibling, so
//! there is no quicker way than over all of them.

use gimli::{Abbreviation, AttributeSpecification, DwForm, EntriesRaw, constants as dw};

use crate::image::{Slice, Unit};

/// What to do with the bytes of an attribute.
#[derive(Clone, Copy)]
enum Step {
    Fixed(u32),
    Leb,
    /// A block whose length is in so many bytes.
    Block(u8),
    BlockLeb,
    Text,
}

#[derive(Clone)]
struct Plan {
    tag: gimli::DwTag,
    has_children: bool,
    /// The bytes of all attributes, if that is the same number in every entry.
    fixed: Option<u32>,
    steps: Vec<Step>,
    wanted: bool,
}

/// An entry that was asked for.
pub(crate) struct Found<'a> {
    pub(crate) tag: gimli::DwTag,
    /// Where it begins in its unit.
    pub(crate) offset: usize,
    /// How many entries it lies in.
    pub(crate) depth: u32,
    pub(crate) has_children: bool,
    skim: &'a Skim<'a>,
    abbreviation: &'a Abbreviation,
    attributes_at: usize,
}

/// What a visitor is told.
pub(crate) enum Event<'a> {
    Entry(Found<'a>),
    /// The children of an entry of this depth have ended, here.
    End(u32, usize),
}

/// A unit that is run over.
pub(crate) struct Skim<'a> {
    unit: &'a Unit,
    bytes: &'static [u8],
    /// Where the bytes begin in the unit.
    base: usize,
    plans: Vec<Option<Plan>>,
}

impl<'a> Skim<'a> {
    /// Prepares to visit the entries that are wanted for what they are and have.
    pub(crate) fn new(unit: &'a Unit, wanted: fn(&Abbreviation) -> bool) -> gimli::Result<Self> {
        let root = unit.header.root_offset();
        let bytes = unit.header.range_from(root..)?.slice();
        Ok(Self {
            unit,
            bytes,
            base: root.0,
            plans: plans(unit, wanted),
        })
    }

    /// Visits the entries, and the ends of all entries that have children, in the order of the file.
    pub(crate) fn run(&self, mut visit: impl FnMut(Event<'_>)) -> gimli::Result<()> {
        let mut at = 0;
        let mut depth = 0u32;
        while at < self.bytes.len() {
            let start = at;
            let code = leb(self.bytes, &mut at)?;
            if code == 0 {
                let Some(above) = depth.checked_sub(1) else {
                    break; // padding at the end
                };
                depth = above;
                visit(Event::End(depth, self.base + at));
                continue;
            }
            let place = usize::try_from(code).unwrap_or(usize::MAX);
            let Some(Some(plan)) = self.plans.get(place) else {
                return Err(unknown(self.unit, code));
            };
            if plan.wanted
                && let Some(abbreviation) = self.unit.abbreviations.get(code)
            {
                visit(Event::Entry(Found {
                    tag: plan.tag,
                    offset: self.base + start,
                    depth,
                    has_children: plan.has_children,
                    skim: self,
                    abbreviation,
                    attributes_at: at,
                }));
            }
            match plan.fixed {
                Some(bytes) => advance(&mut at, bytes as usize)?,
                None => skip(self.bytes, &mut at, &plan.steps)?,
            }
            if plan.has_children {
                depth += 1;
            }
        }
        Ok(())
    }
}

impl Found<'_> {
    /// Reads those attributes that `take` wants, until it says that it has enough.
    pub(crate) fn attributes(
        &self,
        mut take: impl FnMut(gimli::Attribute<Slice>) -> bool,
    ) -> gimli::Result<()> {
        let rest = Slice::new(&self.skim.bytes[self.attributes_at..], gimli::LittleEndian);
        let unit = self.skim.unit;
        let at = gimli::UnitOffset(self.skim.base + self.attributes_at);
        let mut raw = EntriesRaw::new(rest, unit.encoding(), &unit.abbreviations, at);
        for specification in self.abbreviation.attributes() {
            if take(raw.read_attribute(*specification)?) {
                break;
            }
        }
        Ok(())
    }

    /// Reads one attribute.
    pub(crate) fn attribute(&self, name: gimli::DwAt) -> Option<gimli::AttributeValue<Slice>> {
        if !self
            .abbreviation
            .attributes()
            .iter()
            .any(|a| a.name() == name)
        {
            return None;
        }
        let mut value = None;
        self.attributes(|attribute| {
            let here = attribute.name() == name;
            if here {
                value = Some(attribute.value());
            }
            here
        })
        .ok()?;
        value
    }
}

/// The plans by the codes of their abbreviations, which compilers number from 1.
fn plans(unit: &Unit, wanted: fn(&Abbreviation) -> bool) -> Vec<Option<Plan>> {
    let mut plans = vec![None];
    while let Some(abbreviation) = unit.abbreviations.get(plans.len() as u64) {
        let mut plan = plan(abbreviation, unit.encoding());
        if let Some(plan) = &mut plan {
            plan.wanted = wanted(abbreviation);
        }
        plans.push(plan);
    }
    plans
}

fn plan(abbreviation: &Abbreviation, encoding: gimli::Encoding) -> Option<Plan> {
    let mut steps = Vec::new();
    for attribute in abbreviation.attributes() {
        match (step(attribute, encoding)?, steps.last_mut()) {
            (Step::Fixed(more), Some(Step::Fixed(bytes))) => *bytes += more,
            (step, _) => steps.push(step),
        }
    }
    let fixed = match steps[..] {
        [] => Some(0),
        [Step::Fixed(bytes)] => Some(bytes),
        _ => None,
    };
    Some(Plan {
        tag: abbreviation.tag(),
        has_children: abbreviation.has_children(),
        fixed,
        steps,
        wanted: false,
    })
}

fn step(attribute: &AttributeSpecification, encoding: gimli::Encoding) -> Option<Step> {
    let word = u32::from(encoding.format.word_size());
    Some(match attribute.form() {
        dw::DW_FORM_flag_present | dw::DW_FORM_implicit_const => Step::Fixed(0),
        dw::DW_FORM_data1
        | dw::DW_FORM_ref1
        | dw::DW_FORM_flag
        | dw::DW_FORM_strx1
        | dw::DW_FORM_addrx1 => Step::Fixed(1),
        dw::DW_FORM_data2 | dw::DW_FORM_ref2 | dw::DW_FORM_strx2 | dw::DW_FORM_addrx2 => {
            Step::Fixed(2)
        }
        dw::DW_FORM_strx3 | dw::DW_FORM_addrx3 => Step::Fixed(3),
        dw::DW_FORM_data4
        | dw::DW_FORM_ref4
        | dw::DW_FORM_ref_sup4
        | dw::DW_FORM_strx4
        | dw::DW_FORM_addrx4 => Step::Fixed(4),
        dw::DW_FORM_data8 | dw::DW_FORM_ref8 | dw::DW_FORM_ref_sig8 | dw::DW_FORM_ref_sup8 => {
            Step::Fixed(8)
        }
        dw::DW_FORM_data16 => Step::Fixed(16),
        dw::DW_FORM_addr => Step::Fixed(u32::from(encoding.address_size)),
        dw::DW_FORM_ref_addr if encoding.version < 3 => {
            Step::Fixed(u32::from(encoding.address_size))
        }
        dw::DW_FORM_sec_offset
        | dw::DW_FORM_strp
        | dw::DW_FORM_line_strp
        | dw::DW_FORM_strp_sup
        | dw::DW_FORM_GNU_strp_alt
        | dw::DW_FORM_GNU_ref_alt
        | dw::DW_FORM_ref_addr => Step::Fixed(word),
        dw::DW_FORM_udata
        | dw::DW_FORM_sdata
        | dw::DW_FORM_ref_udata
        | dw::DW_FORM_strx
        | dw::DW_FORM_addrx
        | dw::DW_FORM_loclistx
        | dw::DW_FORM_rnglistx
        | dw::DW_FORM_GNU_str_index
        | dw::DW_FORM_GNU_addr_index => Step::Leb,
        dw::DW_FORM_block1 => Step::Block(1),
        dw::DW_FORM_block2 => Step::Block(2),
        dw::DW_FORM_block4 => Step::Block(4),
        dw::DW_FORM_block | dw::DW_FORM_exprloc => Step::BlockLeb,
        dw::DW_FORM_string => Step::Text,
        DwForm(_) => return None, // the unit cannot be read beyond such an entry
    })
}

fn skip(bytes: &[u8], at: &mut usize, steps: &[Step]) -> gimli::Result<()> {
    for step in steps {
        match *step {
            Step::Fixed(more) => advance(at, more as usize)?,
            Step::Leb => {
                leb(bytes, at)?;
            }
            Step::Block(width) => {
                let width = usize::from(width);
                let rest = bytes.get(*at..).ok_or_else(truncated)?;
                let length = rest
                    .get(..width)
                    .ok_or_else(truncated)?
                    .iter()
                    .rev()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                advance(at, width + length)?;
            }
            Step::BlockLeb => {
                let length = leb(bytes, at)?;
                advance(at, usize::try_from(length).map_err(|_| truncated())?)?;
            }
            Step::Text => {
                let rest = bytes.get(*at..).ok_or_else(truncated)?;
                *at += 1 + rest
                    .iter()
                    .position(|byte| *byte == 0)
                    .ok_or_else(truncated)?;
            }
        }
    }
    Ok(())
}

/// Goes on by a number that may be anything. Beyond the end there is nothing, as the next read says.
fn advance(at: &mut usize, by: usize) -> gimli::Result<()> {
    *at = at.checked_add(by).ok_or_else(truncated)?;
    Ok(())
}

fn leb(bytes: &[u8], at: &mut usize) -> gimli::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).ok_or_else(truncated)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(gimli::Error::BadUnsignedLeb128)
}

/// Why there is no plan for an abbreviation: there is none of this code, or its entries have a form that nobody knows.
fn unknown(unit: &Unit, code: u64) -> gimli::Error {
    let abbreviation = unit.abbreviations.get(code);
    let mut forms = abbreviation.into_iter().flat_map(Abbreviation::attributes);
    match forms.find(|form| step(form, unit.encoding()).is_none()) {
        Some(form) => gimli::Error::UnknownForm(form.form()),
        None => gimli::Error::InvalidAbbreviationCode(code),
    }
}

fn truncated() -> gimli::Error {
    gimli::Error::UnexpectedEof(gimli::ReaderOffsetId(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_without_end_are_refused() {
        let largest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let mut at = 0;
        assert!(skip(&largest, &mut at, &[Step::BlockLeb, Step::Fixed(1)]).is_err());
        let mut at = 1;
        assert!(
            skip(
                &[0, 0xff, 0xff, 0xff, 0xff],
                &mut at,
                &[Step::Block(4), Step::Leb]
            )
            .is_err()
        );
        let mut at = 0;
        assert!(skip(&[2, 0, 0, 7], &mut at, &[Step::Block(1), Step::Leb]).is_ok());
        assert_eq!(at, 4);
    }
}
