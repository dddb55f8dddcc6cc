//! A directory for what a policy command needs on the way, and nobody after it.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A directory that goes, with what is in it, when this is dropped.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A new one in this directory, of which others see nothing.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn inside(directory: &Path) -> io::Result<Self> {
        let mut number = 0;
        loop {
            let path = directory.join(format!("rutter-{}-{number}", std::process::id()));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be deleted lies where such things are expected to lie.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::Scratch;

    #[test]
    fn each_is_a_directory_of_its_own_that_goes_with_it() {
        let directory = tempfile::TempDir::new().unwrap();
        let one = Scratch::inside(directory.path()).unwrap();
        let two = Scratch::inside(directory.path()).unwrap();
        assert_ne!(one.path(), two.path());
        std::fs::write(two.path().join("file"), "text").unwrap();
        drop((one, two));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        Scratch::inside(&directory.path().join("missing")).unwrap_err();
    }
}
