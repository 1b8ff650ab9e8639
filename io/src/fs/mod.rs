//! Files, with the names of std.

mod file;

pub use self::file::File;
