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
enum Bytes {
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
    program: Elf,
    /// Whether it is the program that runs.
    own: bool,
    /// What the slices refer to.
    maps: Vec<Bytes>,
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
        while let Ok(Some(header)) = headers.next() {
            let Some(gimli::DebugInfoOffset(start)) = header.debug_info_offset() else {
                continue;
            };
            match dwo_name(&main, header) {
                Some((name, id)) => split.push((start, name, id)),
                None => self.units.push(UnitPlace {
                    part: 0,
                    start,
                    length: header.length_including_self(),
                    skeleton: None,
                }),
            }
        }
        let mut lost = None;
        for (start, name, id) in split {
            let from_package = package
                .as_ref()
                .and_then(|package| package.find_cu(id, &main).ok().flatten());
            match from_package.or_else(|| self.split_file(&name, path, &main)) {
                Some(dwarf) => self.add_split(dwarf, start),
                None => lost = Some(name),
            }
        }
        match lost {
            Some(name) => Err(Missing::SplitFile(name)),
            None => Ok(()),
        }
    }

    fn add_split(&mut self, dwarf: Dwarf, skeleton: usize) {
        let (Ok(part), Ok(Some(header))) = (u32::try_from(self.parts.len()), dwarf.units().next())
        else {
            return;
        };
        let Some(gimli::DebugInfoOffset(start)) = header.debug_info_offset() else {
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

    /// The package of split units beside a program.
    fn package(&mut self, path: &Path) -> Option<gimli::DwarfPackage<Slice>> {
        let mut with_suffix = path.as_os_str().to_owned();
        with_suffix.push(".dwp");
        let candidates = [PathBuf::from(with_suffix), path.with_extension("dwp")];
        let elf = candidates
            .iter()
            .find_map(|candidate| open_elf(candidate, !self.own, &mut self.maps).ok())?;
        gimli::DwarfPackage::load(
            |id| section(&elf, id.dwo_name().unwrap_or_default()),
            Slice::default(),
        )
        .ok()
    }

    fn split_file(&mut self, name: &str, path: &Path, main: &Dwarf) -> Option<Dwarf> {
        let folder = path.parent()?;
        let base = Path::new(name).file_name()?;
        let candidates = [
            PathBuf::from(name),
            folder.join(base),
            folder.join("deps").join(base),
        ];
        let elf = candidates
            .iter()
            .find_map(|candidate| open_elf(candidate, !self.own, &mut self.maps).ok())?;
        let mut dwarf = Dwarf::load(|id| section(&elf, id.dwo_name().unwrap_or_default())).ok()?;
        dwarf.make_dwo(main);
        Some(dwarf)
    }
}

/// The name and the id of the split unit that a unit stands for.
fn dwo_name(dwarf: &Dwarf, header: gimli::UnitHeader<Slice>) -> Option<(String, gimli::DwoId)> {
    let kind = header.type_();
    if !matches!(kind, gimli::UnitType::Skeleton(_)) && header.version() >= 5 {
        return None;
    }
    let abbreviations = dwarf.abbreviations(&header).ok()?;
    // Before DWARF 5 only the attributes of its root tell a skeleton from a unit: look whether there may be one, and go on.
    if header.version() < 5 && !may_be_skeleton(&header, &abbreviations) {
        return None;
    }
    let unit = dwarf.unit(header).ok()?;
    let id = unit.dwo_id?;
    let name = dwarf.attr_string(&unit, unit.dwo_name().ok()??).ok()?;
    let name = PathBuf::from(&*name.to_string_lossy());
    let folder = unit
        .comp_dir
        .map(|folder| folder.to_string_lossy())
        .unwrap_or_default();
    Some((Path::new(&*folder).join(name).display().to_string(), id))
}

fn may_be_skeleton(
    header: &gimli::UnitHeader<Slice>,
    abbreviations: &gimli::Abbreviations,
) -> bool {
    header
        .entries_raw(abbreviations, None)
        .and_then(|mut raw| raw.read_abbreviation())
        .ok()
        .flatten()
        .is_some_and(|root| {
            root.attributes()
                .iter()
                .any(|attribute| attribute.name() == gimli::DW_AT_GNU_dwo_name)
        })
}

/// Whether a file is that of the program that runs, by whatever name.
fn is_own(path: &Path) -> bool {
    let place = |path: &Path| std::fs::metadata(path).map(|data| (data.dev(), data.ino()));
    let own = place(Path::new("/proc/self/exe"));
    place(path).is_ok_and(|place| own.is_ok_and(|own| own == place))
}

/// Maps a file, or reads it, and reads its table of sections.
fn open_elf(path: &Path, map: bool, maps: &mut Vec<Bytes>) -> Result<Elf, Missing> {
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
    let elf = Elf::parse(bytes).map_err(|error| unreadable(&error))?;
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

fn section(elf: &Elf, name: &str) -> gimli::Result<Slice> {
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
