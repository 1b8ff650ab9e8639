//! Where the bytes of futures are read from.
//!
//! A future is read as bytes, by addresses that may be wrong: a variable that was moved out leaves a pointer behind. So nothing
//! is dereferenced here. The kernel is asked to copy, and refuses what is not there.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Memory that can be read by address.
pub trait Memory {
    /// Fills the buffer with what is at the address; false if not all of it can be read.
    fn read(&self, address: u64, into: &mut [u8]) -> bool;
}

/// The memory of this process, read through the kernel, so that a wrong address is no fault.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnMemory;

impl Memory for OwnMemory {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let Ok(from) = usize::try_from(address) else {
            return false;
        };
        let here = libc::iovec {
            iov_base: into.as_mut_ptr().cast(),
            iov_len: into.len(),
        };
        let there = libc::iovec {
            iov_base: std::ptr::without_provenance_mut(from),
            iov_len: into.len(),
        };
        let Ok(own) = libc::pid_t::try_from(std::process::id()) else {
            return false;
        };
        // SAFETY: the kernel writes into `into` alone, and checks the address that it reads from.
        let read = unsafe { libc::process_vm_readv(own, &here, 1, &there, 1, 0) };
        match usize::try_from(read) {
            Ok(read) => read == into.len(),
            // A filter of system calls may forbid it; the file of the process says the same.
            Err(_) if matches!(errno(), libc::EPERM | libc::ENOSYS) => read_file(address, into),
            Err(_) => false,
        }
    }
}

/// The memory of this process, each page of which is copied once, when something of it is first asked for, and kept as long as
/// there is no other for its place. So what lies close together costs one system call, and is of one moment.
pub(crate) struct Pages(RefCell<Box<[Page]>>);

/// The unit in which memory is there or not; of greater ones, a part.
const PAGE: usize = 4096;
/// How many are kept: a quarter of a MiB.
const PAGES: usize = 64;

#[derive(Clone)]
struct Page {
    /// Where it begins; a number that is no beginning if it has not been copied.
    start: usize,
    bytes: [u8; PAGE],
}

impl Pages {
    pub(crate) fn new() -> Self {
        let empty = Page {
            start: usize::MAX,
            bytes: [0; PAGE],
        };
        Self(RefCell::new(vec![empty; PAGES].into()))
    }
}

impl Memory for Pages {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        if into.len() > PAGE {
            return OwnMemory.read(address, into);
        }
        let Ok(mut at) = usize::try_from(address) else {
            return false;
        };
        let mut pages = self.0.borrow_mut();
        let mut left = into;
        while !left.is_empty() {
            let (number, within) = (at / PAGE, at % PAGE);
            let page = &mut pages[number % PAGES];
            if page.start != number * PAGE {
                page.start = usize::MAX;
                if !OwnMemory.read((number * PAGE) as u64, &mut page.bytes) {
                    return false;
                }
                page.start = number * PAGE;
            }
            let count = left.len().min(PAGE - within);
            let (now, rest) = left.split_at_mut(count);
            now.copy_from_slice(&page.bytes[within..within + count]);
            (at, left) = (at.wrapping_add(count), rest);
        }
        true
    }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The file is opened each time: it stays that of the process which opened it, also in one that was forked since.
fn read_file(address: u64, into: &mut [u8]) -> bool {
    File::open("/proc/self/mem").is_ok_and(|file| file.read_exact_at(into, address).is_ok())
}

/// A copy of memory: pieces with their addresses.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pieces: Vec<(u64, Vec<u8>)>,
}

impl Snapshot {
    /// Makes a memory in which nothing can be read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts bytes at an address.
    pub fn insert(&mut self, address: u64, bytes: impl Into<Vec<u8>>) {
        self.pieces.push((address, bytes.into()));
    }
}

impl Memory for Snapshot {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let found = self.pieces.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..offset.checked_add(into.len())?)
        });
        match found {
            Some(bytes) => {
                into.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_is_read_and_a_wild_address_is_refused() {
        let value = [1u8, 2, 3, 4];
        let mut copy = [0; 4];
        let address = value.as_ptr().addr() as u64;
        assert!(OwnMemory.read(address, &mut copy));
        assert_eq!(copy, value);
        assert!(read_file(address, &mut copy));
        for wild in [0, 8, u64::MAX - 3, 0xdead_beef_dead_beef] {
            assert!(!OwnMemory.read(wild, &mut copy), "{wild:x}");
            assert!(!read_file(wild, &mut copy), "{wild:x}");
        }
    }

    #[test]
    fn pages_say_what_memory_says() {
        let pages = Pages::new();
        let bytes: Vec<u8> = (0..=250).cycle().take(300 * PAGE).collect();
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let [size, from] =
                [40, 20].map(|bits| usize::try_from(state >> bits).expect("64 bits"));
            let size = size % (PAGE + 2);
            let from = from % (bytes.len() - size);
            let mut copy = vec![0; size];
            assert!(pages.read(bytes[from..].as_ptr().addr() as u64, &mut copy));
            assert_eq!(copy, bytes[from..from + size]);
        }
        let mut copy = [0; 4];
        for wild in [0, 8, u64::MAX - 3, u64::MAX - 2, 0xdead_beef_dead_beef] {
            assert!(!pages.read(wild, &mut copy), "{wild:x}");
        }
    }

    #[test]
    fn a_page_that_is_not_there_ends_a_read() {
        let size = 2 * PAGE;
        // SAFETY: a new mapping of the kernel's choice.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(at, libc::MAP_FAILED);
        let second = at.wrapping_byte_add(PAGE);
        // SAFETY: nobody refers to it.
        unsafe { libc::munmap(second, PAGE) };
        let pages = Pages::new();
        let mut copy = [1; 8];
        assert!(pages.read(second.addr() as u64 - 8, &mut copy));
        assert_eq!(copy, [0; 8]);
        assert!(!pages.read(second.addr() as u64 - 4, &mut copy));
        // SAFETY: nobody refers to it.
        unsafe { libc::munmap(at, PAGE) };
    }

    #[test]
    fn a_snapshot_ends_where_its_pieces_end() {
        let mut memory = Snapshot::new();
        memory.insert(100, [1, 2, 3]);
        let mut two = [0; 2];
        assert!(memory.read(101, &mut two));
        assert_eq!(two, [2, 3]);
        assert!(!memory.read(102, &mut two));
        assert!(!memory.read(99, &mut two));
        assert!(!memory.read(u64::MAX, &mut two));
    }
}
