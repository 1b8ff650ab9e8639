//! Where file systems keep their data: what decides whether an ordinary system call may be made on the loop's thread.
//!
//! `statfs` would tell, but may have to ask another machine, or a process, which may be this one. What is asked here is
//! answered from the kernel's memory.

use std::cell::RefCell;
use std::fs;
use std::os::fd::RawFd;

use super::handle::status_of;

/// Where a file system keeps its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// In memory.
    Memory,
    /// On a disk of this machine, behind the page cache.
    Local,
    /// Elsewhere, or nobody knows: on another machine, with a process, on a device of its own kind.
    Foreign,
}

/// Names a mounted file system as long as it is mounted, and nothing else later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// A number that the kernel never gives again.
    Unique(u64),
    /// The device that it lies on. Those of file systems without one are given again.
    Device(u32, u32),
}

/// `STATX_MNT_ID`, kernel 5.8: a number that `/proc/self/mountinfo` uses.
const MOUNT_ID: u32 = 0x1000;
/// `STATX_MNT_ID_UNIQUE`, kernel 6.8.
const UNIQUE_ID: u32 = 0x4000;

impl Storage {
    /// How many mounts a thread remembers.
    const REMEMBERED: usize = 16;

    /// The storage of an open file. Reads the table of mounts for the first file of each.
    pub(super) fn of(fd: RawFd) -> Self {
        thread_local! {
            static KNOWN: RefCell<Vec<(Name, Storage)>> = const { RefCell::new(Vec::new()) };
        }
        let name = status_of(fd, UNIQUE_ID).and_then(|status| {
            if status.stx_mask & UNIQUE_ID != 0 {
                return Some(Name::Unique(status.stx_mnt_id));
            }
            (status.stx_dev_major != 0)
                .then_some(Name::Device(status.stx_dev_major, status.stx_dev_minor))
        });
        // Asking for each file anew would cost more than it brings.
        let Some(name) = name else {
            return Self::Foreign;
        };
        KNOWN.with_borrow_mut(|known| {
            if let Some((_, storage)) = known.iter().find(|(known, _)| *known == name) {
                return *storage;
            }
            if known.len() == Self::REMEMBERED {
                known.remove(0);
            }
            let storage = Self::look_up(fd).unwrap_or(Self::Foreign);
            known.push((name, storage));
            storage
        })
    }

    fn look_up(fd: RawFd) -> Option<Self> {
        let status = status_of(fd, MOUNT_ID).filter(|status| status.stx_mask & MOUNT_ID != 0)?;
        let table = fs::read("/proc/self/mountinfo").ok()?;
        Some(Self::of_type(type_in(&table, status.stx_mnt_id)?))
    }

    fn of_type(name: &[u8]) -> Self {
        match name {
            b"tmpfs" | b"ramfs" | b"devtmpfs" => Self::Memory,
            b"ext2" | b"ext3" | b"ext4" | b"xfs" | b"btrfs" | b"f2fs" | b"bcachefs"
            | b"overlay" => Self::Local,
            _ => Self::Foreign,
        }
    }
}

/// The type of the file system that is mounted under a number, as the table says (`proc_pid_mountinfo(5)`).
fn type_in(table: &[u8], id: u64) -> Option<&[u8]> {
    let id = id.to_string();
    let line = table
        .split(|byte| *byte == b'\n')
        .find(|line| line.split(|byte| *byte == b' ').next() == Some(id.as_bytes()))?;
    // A path can't look like the separator: its blanks are escaped.
    let mut fields = line.split(|byte| *byte == b' ');
    fields.find(|field| *field == b"-")?;
    fields.next()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_type_stands_behind_the_separator() {
        let table = b"36 35 98:0 /mnt1 /mnt2 rw master:1 shared:2 - ext3 /dev/root rw\n\
            3 35 0:7 / /a\\040- rw - tmpfs none rw\n";
        assert_eq!(type_in(table, 36), Some(&b"ext3"[..]));
        assert_eq!(type_in(table, 3), Some(&b"tmpfs"[..]));
        assert_eq!(type_in(table, 35), None);
        assert_eq!(type_in(b"7 1 0:1 / / rw", 7), None);
    }

    #[test]
    fn what_is_not_on_the_list_is_foreign() {
        let storage = |path| {
            let file = fs::File::open(path).expect("a file that every Linux has");
            Storage::of(file.as_raw_fd())
        };
        assert_eq!(storage("/proc/self/stat"), Storage::Foreign);
        assert_eq!(storage("/proc/self/stat"), Storage::Foreign);
        assert_eq!(Storage::of(-1), Storage::Foreign);
        assert_eq!(Storage::of_type(b"fuseblk"), Storage::Foreign);
        assert_eq!(Storage::of_type(b"overlay"), Storage::Local);
    }
}
