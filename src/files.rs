//! Files that an operator names, read whole: regular ones only, and up to a bound.
//!
//! The agent reads its configuration again and again for as long as it runs. A name that leads to
//! a pipe would stop that for ever, one that leads to a device or a huge file would take all of
//! the memory: neither is read. Links are followed, for that is how Kubernetes mounts files.
//!
//! Everything that is read by name goes through here, but for what kube and rustls read by
//! themselves: the pod's own service account and the system's certificates.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

/// A configuration of a thousand peers has some 200 kB.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;

/// A password has 80 bytes at most; some come with a line of explanation.
pub const PASSWORD_BYTES_MAX: usize = 4 << 10;

/// A key in PEM form has some hundred bytes, and may follow what a tool says about it.
pub const KEY_BYTES_MAX: usize = 64 << 10;

/// A recording holds what a policy is told of every Service of a cluster.
pub const CASES_BYTES_MAX: usize = 256 << 20;

/// Why a file is not read; to stand behind words that name it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It could keep whoever reads it waiting, or has no end.
    #[error("it is {0}; name a regular file")]
    Irregular(&'static str),
    /// All of it is not wanted.
    #[error("it has {bytes} bytes, and at most {bytes_max} are read")]
    TooLarge {
        /// What it has, or had when it was given up.
        bytes: u64,
        /// What is read.
        bytes_max: usize,
    },
    /// It was to be text.
    #[error("it is no UTF-8 text")]
    NotText,
}

impl ReadError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::NotFound,
            Self::Irregular(_) | Self::TooLarge { .. } | Self::NotText => false,
        }
    }
}

/// Everything in a file, if it is a regular one and has no more than that.
///
/// # Errors
/// It cannot be read, is something else, or is larger.
pub fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    // Before it is opened: opening alone may do something to a device.
    must_be_regular(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new()
        .read(true)
        // The name may lead to a pipe by now, and opening one waits for a writer.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    must_be_regular(&file.metadata()?)?;
    read_open(&file, bytes_max)
}

/// The same as text.
///
/// # Errors
/// As [`read`], and where it is no text.
pub fn read_text(path: &Path, bytes_max: usize) -> Result<String, ReadError> {
    text(read(path, bytes_max)?)
}

/// The same of whatever can be read, such as `/dev/stdin`: for a command that somebody waits for,
/// who can end it.
///
/// # Errors
/// It cannot be read, or has no end before that.
pub fn read_anything(path: &Path, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    read_open(&File::open(path)?, bytes_max)
}

/// [`read_anything`] as text.
///
/// # Errors
/// As there, and where it is no text.
pub fn read_any_text(path: &Path, bytes_max: usize) -> Result<String, ReadError> {
    text(read_anything(path, bytes_max)?)
}

fn text(bytes: Vec<u8>) -> Result<String, ReadError> {
    String::from_utf8(bytes).map_err(|_| ReadError::NotText)
}

fn read_open(file: &File, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    let too_large = |bytes| ReadError::TooLarge { bytes, bytes_max };
    let bytes_said = file.metadata()?.len();
    if bytes_said > bytes_max as u64 {
        return Err(too_large(bytes_said));
    }
    let mut bytes = Vec::new();
    // It may have more by now. One byte beyond the bound tells it from what just fits.
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

fn must_be_regular(metadata: &Metadata) -> Result<(), ReadError> {
    match other_than_regular(metadata.file_type()) {
        Some(kind) => Err(ReadError::Irregular(kind)),
        None => Ok(()),
    }
}

fn other_than_regular(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    /// Makes a pipe with a name, which nobody writes to.
    pub(crate) fn make_pipe(path: &Path) {
        let status = Command::new("mkfifo").arg(path).status().unwrap();
        assert!(status.success(), "mkfifo: {status}");
    }

    fn refusal(path: &Path) -> String {
        read(path, 10).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_read_through_links_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        symlink("file", &link).unwrap();
        assert!(read(&link, 10).unwrap_err().is_not_found());
        fs::write(&file, "0123456789").unwrap();
        assert_eq!(read(&link, 10).unwrap(), b"0123456789");
        assert_eq!(read_text(&link, 10).unwrap(), "0123456789");
        fs::write(&file, "0123456789a").unwrap();
        assert_eq!(
            refusal(&link),
            "it has 11 bytes, and at most 10 are read",
            "one more"
        );
        assert!(!read(&link, 10).unwrap_err().is_not_found());
        fs::write(&file, [0xff]).unwrap();
        for said in [read_text(&link, 10), read_any_text(&link, 10)] {
            assert_eq!(said.unwrap_err().to_string(), "it is no UTF-8 text");
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, socket) = (folder.path().join("pipe"), folder.path().join("socket"));
        make_pipe(&pipe);
        let _listening = UnixListener::bind(&socket).unwrap();
        assert_eq!(
            refusal(&pipe),
            "it is a named pipe; name a regular file",
            "nobody writes to it"
        );
        assert_eq!(refusal(&socket), "it is a socket; name a regular file");
        for device in ["/dev/zero", "/dev/full"] {
            let said = refusal(Path::new(device));
            assert_eq!(said, "it is a device; name a regular file", "{device}");
        }
        let said = refusal(folder.path());
        assert_eq!(said, "it is a directory; name a regular file");
    }

    #[test]
    fn what_says_no_size_or_has_no_end_is_given_up_at_the_bound() {
        for path in ["/proc/self/maps", "/dev/zero"] {
            let path = Path::new(path);
            assert_eq!(std::fs::metadata(path).unwrap().len(), 0);
            let said = read_anything(path, 10).unwrap_err().to_string();
            assert_eq!(said, "it has 11 bytes, and at most 10 are read");
        }
        assert_eq!(
            refusal(Path::new("/proc/self/maps")),
            "it has 11 bytes, and at most 10 are read"
        );
    }

    #[test]
    fn a_huge_file_is_refused_by_its_size_and_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 40).unwrap();
        assert_eq!(
            refusal(file.path()),
            "it has 1099511627776 bytes, and at most 10 are read"
        );
    }
}
