//! Files, directories and paths, with the names of std.
//!
//! ```text
//!   File            surface ──> transfer ──> inline: on the loop's thread, if it need not wait
//!     │                            │
//!   handle: descriptor, position   └───────> the driver's queue
//!   functions on paths: one request each, or std on a worker thread where the kernel has no request for it
//! ```
//!
//! Everything here can be dropped at any await. What has begun may happen all the same, which each function says under
//! `# Cancellation`; no descriptor, no buffer and no position is lost.

mod change;
mod control;
mod dir_builder;
mod file;
mod goal;
mod handle;
mod inline;
mod list;
mod lock;
mod metadata;
mod open;
mod path;
mod payload;
mod raw;
mod read_dir;
mod storage;
mod surface;
mod temporary;
mod transfer;
mod whole;

pub use self::dir_builder::DirBuilder;
pub use self::file::File;
pub use self::metadata::{FileType, Metadata, Permissions};
pub use self::open::OpenOptions;
pub use self::path::{
    canonicalize, create_dir, create_dir_all, hard_link, metadata, read_link, remove_dir,
    remove_dir_all, remove_file, rename, set_permissions, symlink, symlink_metadata, try_exists,
};
pub(crate) use self::raw::{RangeCopy, RawFile, Warmth};
pub use self::read_dir::{DirEntry, ReadDir, read_dir};
pub use self::temporary::{tempfile, tempfile_in};
pub use self::whole::{copy, read, read_to_string, write};
