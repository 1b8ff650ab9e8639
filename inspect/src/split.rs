//! Split debug information: units that are in files of their own, one each or all in a package.
//!
//! In the program a skeleton stands for each: the name of the file, and an id that is in the file as well. What has another id was
//! made for another build, and would describe what is not there.

use std::path::{Path, PathBuf};

use crate::Missing;
use crate::image::{Dwarf, Image, Slice, open_elf, section};

/// What stands for a split unit.
pub(crate) struct Skeleton {
    /// The path of its file.
    pub(crate) name: String,
    pub(crate) id: gimli::DwoId,
}

impl Image {
    /// The package of split units beside a program.
    pub(crate) fn package(&mut self, path: &Path) -> Option<gimli::DwarfPackage<Slice>> {
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

    /// The file of a split unit, where it was built or beside the program. One with another id is of another build.
    pub(crate) fn split_file(
        &mut self,
        skeleton: &Skeleton,
        path: &Path,
        main: &Dwarf,
    ) -> Result<(gimli::UnitHeader<Slice>, Dwarf), Missing> {
        let name = Path::new(&skeleton.name);
        let mut missing = Missing::SplitFile(skeleton.name.clone());
        let beside = path.parent().zip(name.file_name());
        let beside = beside
            .into_iter()
            .flat_map(|(folder, base)| [folder.join(base), folder.join("deps").join(base)]);
        for candidate in std::iter::once(name.to_owned()).chain(beside) {
            let mut maps = Vec::new();
            let Ok(elf) = open_elf(&candidate, !self.own, &mut maps) else {
                continue;
            };
            let load = |id: gimli::SectionId| section(&elf, id.dwo_name().unwrap_or_default());
            let Ok(mut dwarf) = Dwarf::load(load) else {
                continue;
            };
            dwarf.make_dwo(main);
            if let Some(header) = first_unit(&dwarf, skeleton.id) {
                self.maps.append(&mut maps);
                return Ok((header, dwarf));
            }
            missing = Missing::OtherBuild(candidate.display().to_string());
        }
        Err(missing)
    }
}

/// The unit of a split file, if it is the one with this id.
pub(crate) fn first_unit(dwarf: &Dwarf, id: gimli::DwoId) -> Option<gimli::UnitHeader<Slice>> {
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        // Since DWARF 5 the header has the id, before that the root.
        let found = match header.type_() {
            gimli::UnitType::SplitCompilation(found) => Some(found),
            _ => dwarf.unit(header).ok().and_then(|unit| unit.dwo_id),
        };
        if found == Some(id) {
            return Some(header);
        }
    }
    None
}

/// What a unit says of the split unit that it stands for, if it stands for one.
pub(crate) fn skeleton(
    dwarf: &Dwarf,
    header: gimli::UnitHeader<Slice>,
) -> gimli::Result<Option<Skeleton>> {
    let kind = header.type_();
    if !matches!(kind, gimli::UnitType::Skeleton(_)) && header.version() >= 5 {
        return Ok(None);
    }
    let abbreviations = dwarf.abbreviations(&header)?;
    // Before DWARF 5 only the attributes of its root tell a skeleton from a unit: look whether there may be one, and go on.
    if header.version() < 5 && !may_be_skeleton(&header, &abbreviations) {
        return Ok(None);
    }
    let unit = dwarf.unit(header)?;
    let (Some(id), Some(name)) = (unit.dwo_id, unit.dwo_name()?) else {
        return Ok(None);
    };
    let name = dwarf.attr_string(&unit, name)?;
    let name = PathBuf::from(&*name.to_string_lossy());
    let folder = unit
        .comp_dir
        .map(|folder| folder.to_string_lossy())
        .unwrap_or_default();
    let name = Path::new(&*folder).join(name).display().to_string();
    Ok(Some(Skeleton { name, id }))
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
