//! Making directories with options.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::path::make_dir;
use crate::offload::offload;

/// How a directory is to be made.
///
/// # Examples
///
/// ```no_run
/// # use camshaft_io as camshaft;
/// # async fn make() -> std::io::Result<()> {
/// use camshaft::fs::DirBuilder;
///
/// DirBuilder::new().recursive(true).mode(0o700).create("/tmp/a/b/c").await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct DirBuilder {
    recursive: bool,
    mode: u32,
}

impl Default for DirBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl DirBuilder {
    /// One directory, with the permissions 0777 less the umask.
    pub const fn new() -> Self {
        Self {
            recursive: false,
            mode: 0o777,
        }
    }

    /// Whether missing parents are made, with the same permissions. It is then no error if the directory exists.
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.recursive = recursive;
        self
    }

    /// The permissions, less the umask.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// Makes the directory.
    ///
    /// # Errors
    ///
    /// As [`create_dir`](super::create_dir), or as [`create_dir_all`](super::create_dir_all) if it is recursive.
    ///
    /// # Panics
    ///
    /// If polled outside of a camshaft runtime.
    ///
    /// # Cancellation
    ///
    /// It may happen all the same.
    pub async fn create(&self, path: impl AsRef<Path>) -> io::Result<()> {
        if !self.recursive {
            return make_dir(path.as_ref(), self.mode).await;
        }
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(self.mode);
        let path = path.as_ref().to_owned();
        offload(move || builder.create(path)).await
    }
}
