//! Why there is no module.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use hyper::StatusCode;

use crate::config::{OciReference, RepositoryName};
use crate::files::ReadError;
use crate::types::Digest;

/// Why a module could not be had, or was not what it should have been.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or directory cannot be read.
    #[error("cannot read the module {}", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        source: ReadError,
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
    /// A download of more than is read.
    #[error("{what} has more than {bytes_max} bytes, the most that are read")]
    TooLarge {
        /// The part of the download.
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
    /// Nothing that the key's owner stands by.
    #[error(
        "{what} is not signed by the owner of {}; signatures found: {signatures}", .key.display()
    )]
    NotSigned {
        /// The module.
        what: String,
        /// The public key.
        key: PathBuf,
        /// How many there are, of whomever.
        signatures: usize,
    },
    /// The key's owner stands by it somewhere else.
    #[error(
        "{what} is signed by the owner of {}, but for {named}, not for {expected}; if it is a mirror \
         of that, set signed-for = \"{named}\"", .key.display()
    )]
    SignedElsewhere {
        /// The module.
        what: String,
        /// The public key.
        key: PathBuf,
        /// What the signature names.
        named: String,
        /// What it should.
        expected: RepositoryName,
    },
    /// No connection, or none that lasted for a whole answer.
    #[error("cannot fetch {url}")]
    Fetch {
        /// Without its query, which may be a secret.
        url: String,
        /// The reason.
        source: Box<dyn Error + Send + Sync>,
    },
    /// It took too long altogether.
    #[error("no module from {from} within {limit:?}")]
    TimedOut {
        /// Whom was asked.
        from: String,
        /// How long.
        limit: Duration,
    },
    /// A registry without this.
    #[error("{0} is not in its registry")]
    Missing(OciReference),
    /// An answer other than the one asked for.
    #[error("{url} answered {status}{detail}")]
    Refused {
        /// Without its query, which may be a secret.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// What more it said, or what can be done; with a separator before it.
        detail: String,
    },
    /// An answer that is sent where none is taken from.
    #[error("{url} sends on to {location:?}, {problem}")]
    Redirect {
        /// Without its query, which may be a secret.
        url: String,
        /// Where to.
        location: String,
        /// Why that is not followed.
        problem: &'static str,
    },
    /// An answer that makes no sense.
    #[error("{what} {problem}")]
    Malformed {
        /// What of the answer.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No certificate of a server could be checked.
    #[error("cannot read the certificates of authorities; set SSL_CERT_FILE to a file of them")]
    NoRoots {
        /// The system's reason.
        source: io::Error,
    },
    /// A file that a registry or a signature needs.
    #[error("cannot use {}: {problem}", .path.display())]
    Setup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}
