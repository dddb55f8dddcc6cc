//! Why there is no module.

use std::io;
use std::path::PathBuf;

use crate::types::Digest;

/// Why a module could not be had, or was not what it should have been.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or directory cannot be read.
    #[error("cannot read the module {}", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A directory without a module.
    #[error("the directory {} has no file whose name ends in .wasm", .folder.display())]
    NoModule {
        /// The directory.
        folder: PathBuf,
    },
    /// A directory that leaves a choice.
    #[error(
        "the directory {} has several modules ({names}); name one of them, or call it module.wasm",
        .folder.display()
    )]
    SeveralModules {
        /// The directory.
        folder: PathBuf,
        /// Their names.
        names: String,
    },
    /// More than is read.
    #[error("{what} has more than {bytes_max} bytes, the most that are read")]
    TooLarge {
        /// The file, or the part of a download.
        what: String,
        /// The bound.
        bytes_max: usize,
    },
    /// Other bytes than those that were pinned or promised.
    #[error("{what} has the digest {found}, not {expected}")]
    WrongDigest {
        /// The module, or the part of a download.
        what: String,
        /// What was pinned or promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
}
