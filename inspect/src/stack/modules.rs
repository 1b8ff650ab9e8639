//! The files that this process is made of: the program, libraries, and what the kernel adds.
//!
//! The dynamic linker lists them as they are in memory. What is read of them is copied by the kernel: a library may be unloaded by
//! another thread at any time.

use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;
use std::sync::Arc;

use libc::{PF_X, PT_GNU_EH_FRAME, PT_LOAD, dl_phdr_info, size_t};

/// A file in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Module {
    /// Whether it is the program itself.
    pub(crate) is_program: bool,
    /// Its path. It is empty if it is the program, and may be if the kernel has added it.
    name: Arc<str>,
    /// How far from where it was linked it is.
    pub(crate) bias: u64,
    /// Where it is, and what of that is code.
    loaded: Vec<(Range<u64>, bool)>,
    /// Where the index of what is needed to unwind its functions is, or 0.
    pub(crate) index: u64,
}

impl Module {
    /// Whether the code at an address belongs to it.
    pub(crate) fn runs(&self, address: u64) -> bool {
        let mut code = self.loaded.iter().filter(|(_, code)| *code);
        code.any(|(range, _)| range.contains(&address))
    }

    /// What was loaded in one piece with an address, from there on.
    pub(crate) fn rest_of(&self, address: u64) -> Option<Range<u64>> {
        let mut loaded = self.loaded.iter().map(|(range, _)| range);
        let range = loaded.find(|range| range.contains(&address))?;
        Some(address..range.end)
    }

    /// The name of its file without the folder.
    pub(crate) fn file(&self) -> &str {
        let name = self.name.rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            return "a file without a name";
        }
        name
    }
}

/// The files of this process; the program comes first.
pub(crate) fn modules() -> Vec<Module> {
    extern "C" fn add(info: *mut dl_phdr_info, _: size_t, list: *mut c_void) -> c_int {
        // SAFETY: the linker passes a valid record.
        let info = unsafe { &*info };
        // SAFETY: it is the list below, which outlives the call.
        let list = unsafe { &mut *list.cast::<Vec<Module>>() };
        list.push(module(info, list.is_empty()));
        0
    }
    let mut list = Vec::<Module>::new();
    // SAFETY: the callback takes what is passed here.
    unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut list).cast()) };
    list
}

fn module(info: &dl_phdr_info, is_program: bool) -> Module {
    let name = match info.dlpi_name.is_null() || is_program {
        true => Arc::from(""),
        // SAFETY: the linker ends it with a zero, and keeps it during the call.
        false => unsafe { CStr::from_ptr(info.dlpi_name) }
            .to_string_lossy()
            .into(),
    };
    let mut module = Module {
        is_program,
        name,
        bias: info.dlpi_addr,
        ..Module::default()
    };
    // SAFETY: the linker keeps an array of that many during the call.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    for header in headers {
        let start = module.bias.wrapping_add(header.p_vaddr);
        match header.p_type {
            PT_LOAD => {
                let range = start..start.saturating_add(header.p_memsz);
                module.loaded.push((range, header.p_flags & PF_X != 0));
            }
            PT_GNU_EH_FRAME => module.index = start,
            _ => {}
        }
    }
    module
}

/// The function of a library that covers an address, if the library names it for others.
pub(crate) fn exported(address: u64) -> Option<String> {
    let address = usize::try_from(address).ok()?;
    // SAFETY: all of its fields are pointers.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: it is given room for the answer, and only compares the address.
    let found = unsafe { libc::dladdr(std::ptr::without_provenance(address), &raw mut info) };
    if found == 0 || info.dli_sname.is_null() {
        return None;
    }
    // SAFETY: it ends with a zero and is a part of the library, which is loaded: one of its functions has not returned.
    let name = unsafe { CStr::from_ptr(info.dli_sname) };
    Some(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_own_code() {
        let list = modules();
        assert!(list[0].is_program && !list[1..].iter().any(|module| module.is_program));
        let here = modules as *const () as usize as u64;
        let there = libc::qsort as *const () as usize as u64;
        assert!(list[0].runs(here) && !list[0].runs(there));
        let library = list.iter().find(|module| module.runs(there));
        assert!(library.is_some_and(|library| library.file().contains("libc")));
        assert_eq!(exported(there).as_deref(), Some("qsort"));
        assert!(
            list.iter()
                .all(|module| !module.runs(0) && !module.runs(u64::MAX))
        );
    }

    #[test]
    fn what_the_kernel_adds_may_have_no_name() {
        for name in [std::ptr::null(), c"".as_ptr()] {
            // SAFETY: all of its fields are numbers and pointers.
            let mut info: dl_phdr_info = unsafe { std::mem::zeroed() };
            info.dlpi_name = name;
            info.dlpi_phdr = std::ptr::NonNull::dangling().as_ptr();
            let added = module(&info, false);
            assert!(!added.is_program);
            assert!(!added.file().is_empty());
            assert!(module(&info, true).is_program);
        }
    }
}
