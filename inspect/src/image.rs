//! The file of a program, and the files where its debug information may be instead.
//!
//! ```text
//!   program ── .debug_info ───────────────┐
//!      ├── build id, debug link ──> .debug │──> parts[0]      units with everything in them
//!      └── skeleton units ─┬──> .dwp ──────┼──> parts[1…]     one for each split unit
//!                          └──> .dwo ──────┘
//! ```
//!
//! Files are mapped, so what is not looked at costs nothing; but whoever shortens a mapped file ends the process that reads
//! it. For the program that runs the kernel forbids that. Of the files beside it nobody takes care, so in the program itself
//! they are read. Invariant **MAPPED**: every slice in `parts` lies in one of `maps`, which are dropped last and never change; no slice
//! leaves this crate.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gimli::{EndianSlice, LittleEndian, Section as _};
use memmap2::Mmap;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use crate::Missing;
use crate::missing::{Damage, Lost};
use crate::split::{first_unit, skeleton};

pub(crate) type Slice = EndianSlice<'static, LittleEndian>;
pub(crate) type Dwarf = gimli::Dwarf<Slice>;
pub(crate) type Unit = gimli::Unit<Slice>;
pub(crate) type Elf = object::File<'static>;

/// Where a unit is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitPlace {
    /// Which of the parts.
    part: u32,
    /// Where its header begins in `.debug_info` of that part, and how long it is.
    pub(crate) start: usize,
    pub(crate) length: usize,
    /// The unit of part 0 that stands for it there.
    skeleton: Option<usize>,
}

/// The bytes of a file, at addresses that do not change when this moves.
pub(crate) enum Bytes {
    Mapped(Mmap),
    Read(Box<[u8]>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
        }
    }
}

/// An open program.
pub(crate) struct Image {
    parts: Vec<Arc<Dwarf>>,
    pub(crate) units: Vec<UnitPlace>,
    pub(crate) missing: Vec<Missing>,
    /// The units that could not be read.
    pub(crate) damage: Damage,
    program: Elf,
    /// Whether it is the program that runs.
    pub(crate) own: bool,
    /// What the slices refer to.
    pub(crate) maps: Vec<Bytes>,
}

impl Image {
    /// Opens a program and finds its debug information. Only a file that is no program at all is an error.
    pub(crate) fn open(path: &Path) -> Result<Self, Missing> {
        let mut maps = Vec::new();
        let program = open_elf(path, true, &mut maps)?;
        let own = is_own(path);
        let path = std::fs::read_link(path).unwrap_or_else(|_| path.to_owned());
        let mut image = Self {
            parts: Vec::new(),
            units: Vec::new(),
            missing: Vec::new(),
            damage: Damage::default(),
            program,
            own,
            maps,
        };
        if let Err(missing) = image.find_units(&path) {
            image.missing.push(missing);
        }
        Ok(image)
    }

    /// Opens a unit with everything that its entries refer to.
    pub(crate) fn unit(&self, index: u32) -> gimli::Result<(Arc<Dwarf>, Unit)> {
        let place = self.place(index)?;
        let dwarf = &self.parts[place.part as usize];
        let mut unit = dwarf.unit(dwarf.unit_header(gimli::DebugInfoOffset(place.start))?)?;
        if let Some(skeleton) = place.skeleton {
            let main = &self.parts[0];
            let skeleton = main.unit(main.unit_header(gimli::DebugInfoOffset(skeleton))?)?;
            unit.copy_relocated_attributes(&skeleton);
            unit.comp_dir = unit.comp_dir.or(skeleton.comp_dir);
            if unit.line_program.is_none() {
                unit.line_program = skeleton.line_program;
            }
        }
        Ok((Arc::clone(dwarf), unit))
    }

    /// The debug information of the program itself.
    pub(crate) fn main(&self) -> Option<&Arc<Dwarf>> {
        self.parts.first()
    }

    /// What was split off under a number.
    pub(crate) fn split(&self, id: gimli::DwoId) -> Option<Arc<Dwarf>> {
        let found = self.units.iter().find_map(|place| {
            place.skeleton?;
            let dwarf = self.parts.get(place.part as usize)?;
            let header = dwarf
                .unit_header(gimli::DebugInfoOffset(place.start))
                .ok()?;
            let own = match header.type_() {
                gimli::UnitType::SplitCompilation(own) => Some(own),
                _ => dwarf.unit(header).ok()?.dwo_id,
            };
            (own == Some(id)).then_some(dwarf)
        });
        found.map(Arc::clone)
    }

    /// Where a unit is.
    pub(crate) fn place(&self, index: u32) -> gimli::Result<UnitPlace> {
        self.units
            .get(index as usize)
            .copied()
            .ok_or(gimli::Error::MissingUnitDie)
    }

    /// The unit in whose part an offset into `.debug_info` lies, for references across units.
    pub(crate) fn unit_at(&self, like: u32, offset: usize) -> Option<u32> {
        let part = self.units.get(like as usize)?.part;
        // Units of one part stand together, in the order of their offsets.
        let after = self
            .units
            .partition_point(|unit| (unit.part, unit.start) <= (part, offset));
        let index = after.checked_sub(1)?;
        let unit = self.units[index];
        (unit.part == part && offset < unit.start + unit.length)
            .then(|| u32::try_from(index).ok())
            .flatten()
    }

    /// Whether the compilers that the program names are all others than rustc. Of one that names none, nobody knows.
    pub(crate) fn is_foreign(&self) -> bool {
        let comment = section(&self.program, ".comment").unwrap_or_default();
        let comment = comment.slice();
        let rustc = b"rustc version";
        !comment.is_empty() && !comment.windows(rustc.len()).any(|part| part == rustc)
    }

    /// The symbol that covers an address, demangled.
    pub(crate) fn symbol(&self, address: u64) -> Option<String> {
        let symbol = self
            .program
            .symbols()
            .chain(self.program.dynamic_symbols())
            .find(|symbol| {
                let start = symbol.address();
                symbol.is_definition() && start <= address && address < start + symbol.size().max(1)
            })?;
        let name = symbol.name().ok()?;
        Some(format!("{:#}", rustc_demangle::demangle(name)))
    }

    fn find_units(&mut self, path: &Path) -> Result<(), Missing> {
        let main = match dwarf_of(&self.program)? {
            Some(dwarf) => dwarf,
            None => self.separate(path)?,
        };
        let main = Arc::new(main);
        self.parts.push(Arc::clone(&main));
        let package = self.package(path);
        let mut split = Vec::new();
        let mut headers = main.units();
        loop {
            let header = match headers.next() {
                Ok(Some(header)) => header,
                Ok(None) => break,
                // Where the next begins is not known.
                Err(error) => {
                    self.damage.add(&error);
                    break;
                }
            };
            let Some(gimli::DebugInfoOffset(start)) = header.debug_info_offset() else {
                continue;
            };
            match skeleton(&main, header) {
                Ok(Some(skeleton)) => split.push((start, skeleton)),
                Ok(None) => self.units.push(UnitPlace {
                    part: 0,
                    start,
                    length: header.length_including_self(),
                    skeleton: None,
                }),
                Err(error) => self.damage.add(&error),
            }
        }
        let (mut lost, mut others) = (Lost::default(), Lost::default());
        for (start, skeleton) in split {
            let from_package = package.as_ref().and_then(|package| {
                let dwarf = package.find_cu(skeleton.id, &main).ok().flatten()?;
                Some((first_unit(&dwarf, skeleton.id)?, dwarf))
            });
            let found = match from_package {
                Some(found) => Ok(found),
                None => self.split_file(&skeleton, path, &main),
            };
            match found {
                Ok((header, dwarf)) => self.add_split(header, dwarf, start),
                Err(Missing::OtherBuild(path)) => others.add(path),
                Err(_) => lost.add(skeleton.name),
            }
        }
        self.missing.extend(lost.said().map(Missing::SplitFile));
        self.missing.extend(others.said().map(Missing::OtherBuild));
        Ok(())
    }

    fn add_split(&mut self, header: gimli::UnitHeader<Slice>, dwarf: Dwarf, skeleton: usize) {
        let (Ok(part), Some(gimli::DebugInfoOffset(start))) =
            (u32::try_from(self.parts.len()), header.debug_info_offset())
        else {
            return;
        };
        self.units.push(UnitPlace {
            part,
            start,
            length: header.length_including_self(),
            skeleton: Some(skeleton),
        });
        self.parts.push(Arc::new(dwarf));
    }

    /// The separate file with the debug information of a program that has none itself.
    fn separate(&mut self, path: &Path) -> Result<Dwarf, Missing> {
        let id = self.program.build_id().ok().flatten();
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut candidates = Vec::new();
        if let Ok(Some((name, _))) = self.program.gnu_debuglink() {
            let name = PathBuf::from(OsString::from_vec(name.to_vec()));
            candidates.push(folder.join(&name));
            candidates.push(folder.join(".debug").join(&name));
            candidates.push(
                Path::new("/usr/lib/debug")
                    .join(folder.strip_prefix("/").unwrap_or(folder))
                    .join(&name),
            );
        }
        if let Some([first, rest @ ..]) = id {
            let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
            candidates.push(format!("/usr/lib/debug/.build-id/{first:02x}/{rest}.debug").into());
        }
        let mut missing = match self.program.symbols().next() {
            Some(_) => Missing::DebugInfo,
            None => Missing::Stripped,
        };
        for candidate in candidates {
            let mut maps = Vec::new();
            let Ok(elf) = open_elf(&candidate, !self.own, &mut maps) else {
                continue;
            };
            // A file of another build would be worse than none.
            if id.is_none() || elf.build_id().ok().flatten() != id {
                missing = Missing::OtherBuild(candidate.display().to_string());
                continue;
            }
            if let Ok(Some(dwarf)) = dwarf_of(&elf) {
                self.maps.append(&mut maps);
                return Ok(dwarf);
            }
        }
        Err(missing)
    }
}

/// Whether a file is that of the program that runs, by whatever name.
fn is_own(path: &Path) -> bool {
    let place = |path: &Path| std::fs::metadata(path).map(|data| (data.dev(), data.ino()));
    let own = place(Path::new("/proc/self/exe"));
    place(path).is_ok_and(|place| own.is_ok_and(|own| own == place))
}

/// Maps a file, or reads it, and reads its table of sections.
pub(crate) fn open_elf(path: &Path, map: bool, maps: &mut Vec<Bytes>) -> Result<Elf, Missing> {
    let unreadable =
        |why: &dyn std::fmt::Display| Missing::Unreadable(format!("{}: {why}", path.display()));
    let read = || match map {
        // SAFETY: the mapping is private and only read. It is that of the program that runs, which the kernel does not let anybody
        // change, or the caller has been told to leave the files alone that are looked at.
        true => unsafe { Mmap::map(&File::open(path)?) }.map(Bytes::Mapped),
        false => std::fs::read(path).map(|bytes| Bytes::Read(bytes.into())),
    };
    let map = read().map_err(|error| unreadable(&error))?;
    let bytes: &[u8] = &map;
    // SAFETY: MAPPED: the bytes stay where they are when `Bytes` moves, and are dropped after all that refers to them.
    let bytes: &'static [u8] = unsafe { std::mem::transmute(bytes) };
    let elf = Elf::parse(bytes).map_err(|error| {
        unreadable(&format!(
            "it is cut off or damaged; build or copy it anew ({error})"
        ))
    })?;
    if !elf.is_little_endian() || !elf.is_64() {
        return Err(unreadable(&"it is no little-endian 64-bit program"));
    }
    maps.push(map);
    Ok(elf)
}

/// The debug information in a file, if there is any.
fn dwarf_of(elf: &Elf) -> Result<Option<Dwarf>, Missing> {
    let name = gimli::DebugInfo::<Slice>::section_name();
    let Some(info) = elf.section_by_name(name) else {
        return Ok(None);
    };
    let compressed = info
        .compressed_file_range()
        .is_ok_and(|range| range.format != object::CompressionFormat::None);
    if compressed {
        return Err(Missing::Compressed);
    }
    Ok(Dwarf::load(|id| section(elf, id.name())).ok())
}

pub(crate) fn section(elf: &Elf, name: &str) -> gimli::Result<Slice> {
    let bytes = elf
        .section_by_name(name)
        .and_then(|section| section.data().ok())
        .unwrap_or_default();
    Ok(EndianSlice::new(bytes, LittleEndian))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_read_may_be_shortened() {
        assert!(is_own(Path::new("/proc/self/exe")));
        let path = std::env::temp_dir().join(format!("camshaft-image-{}", std::process::id()));
        std::fs::copy("/proc/self/exe", &path).expect("there is room for a copy");
        assert!(!is_own(&path));
        let mut maps = Vec::new();
        let elf = open_elf(&path, false, &mut maps).expect("it is a program");
        let before = elf.sections().count();
        File::create(&path).expect("it can be written");
        let names = elf.sections().filter(|section| section.name().is_ok());
        assert_eq!(names.count(), before);
        std::fs::remove_file(path).expect("it is there");
    }
}
