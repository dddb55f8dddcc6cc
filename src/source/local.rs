//! Modules on this node: a file, or a directory with one in it (a ConfigMap's or Secret's mount).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::SourceError;
use crate::wasm::MODULE_BYTES_MAX;

/// What a directory's module is called where there are several.
const PREFERRED: &str = "module.wasm";

/// A signature takes some hundred bytes.
pub(super) const SIGNATURE_BYTES_MAX: usize = 16 << 10;

/// Reads the module in a file, or the one in a directory; gives its file, too.
///
/// # Errors
/// It cannot be read, is too large, or the directory does not say which file it is.
pub(super) fn read(path: &Path) -> Result<(PathBuf, Vec<u8>), SourceError> {
    let unreadable = |source: io::Error| SourceError::Read {
        path: path.into(),
        source,
    };
    let file = if fs::metadata(path).map_err(unreadable)?.is_dir() {
        module_of(path)?
    } else {
        path.to_owned()
    };
    let bytes = read_at_most(&file, MODULE_BYTES_MAX)?;
    Ok((file, bytes))
}

/// The signature beside a file: under its name and `.sig`. None where there is none.
///
/// # Errors
/// It cannot be read.
pub(super) fn signature_of(file: &Path) -> Result<Option<String>, SourceError> {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    match read_at_most(Path::new(&name), SIGNATURE_BYTES_MAX) {
        Ok(signature) => Ok(String::from_utf8(signature).ok()),
        Err(SourceError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Everything in a file, if it is no more than that.
///
/// # Errors
/// It cannot be read, or is larger.
pub(super) fn read_at_most(path: &Path, bytes_max: usize) -> Result<Vec<u8>, SourceError> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits.
    File::open(path)
        .and_then(|file| file.take(bytes_max as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| SourceError::Read {
            path: path.into(),
            source,
        })?;
    if bytes.len() > bytes_max {
        return Err(SourceError::TooLarge {
            what: path.display().to_string(),
            bytes_max,
        });
    }
    Ok(bytes)
}

/// The module in a directory: `module.wasm`, or the one file whose name ends in `.wasm`. Names
/// that begin with a full stop are the kubelet's (`..data`) and editors'.
fn module_of(folder: &Path) -> Result<PathBuf, SourceError> {
    let unreadable = |source: io::Error| SourceError::Read {
        path: folder.into(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.ends_with(".wasm") && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    match &names[..] {
        [only] => Ok(folder.join(only)),
        _ if names.iter().any(|name| name == PREFERRED) => Ok(folder.join(PREFERRED)),
        [] => Err(SourceError::NoModule {
            folder: folder.into(),
        }),
        [_, ..] => Err(SourceError::SeveralModules {
            folder: folder.into(),
            names: names.join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn folder(files: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), file).unwrap();
        }
        folder
    }

    fn read_in(files: &[&str]) -> Result<String, String> {
        let folder = folder(files);
        match read(folder.path()) {
            Ok((_, bytes)) => Ok(String::from_utf8(bytes).unwrap()),
            Err(error) => Err(error
                .to_string()
                .replace(folder.path().to_str().unwrap(), "DIR")),
        }
    }

    #[test]
    fn a_directorys_only_module_is_taken_whatever_its_name() {
        assert_eq!(
            read_in(&["a.wasm", "README", ".b.wasm", "a.wasm.sig"]),
            Ok("a.wasm".into())
        );
    }

    #[test]
    fn among_several_the_one_called_module_is_taken() {
        assert_eq!(
            read_in(&["a.wasm", "module.wasm"]),
            Ok("module.wasm".into())
        );
    }

    #[test]
    fn a_directory_that_leaves_a_choice_or_none_is_refused_with_what_to_do() {
        assert_eq!(
            read_in(&["b.wasm", "a.wasm"]),
            Err(
                "the directory DIR has several modules (a.wasm, b.wasm); name one of them, or \
                 call it module.wasm"
                    .into()
            )
        );
        assert_eq!(
            read_in(&["a.wat"]),
            Err("the directory DIR has no file whose name ends in .wasm".into())
        );
    }

    #[test]
    fn a_mounted_configmaps_links_are_followed() {
        let mount = tempfile::tempdir().unwrap();
        let version = mount.path().join("..2026");
        fs::create_dir(&version).unwrap();
        fs::write(version.join("policy.wasm"), "mounted").unwrap();
        symlink("..2026", mount.path().join("..data")).unwrap();
        symlink("..data/policy.wasm", mount.path().join("policy.wasm")).unwrap();
        assert_eq!(read(mount.path()).unwrap().1, b"mounted");
    }

    #[test]
    fn what_is_not_there_or_too_large_is_said_by_its_path() {
        let error = read(Path::new("/nonexistent/a.wasm")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the module /nonexistent/a.wasm"
        );
        let folder = folder(&[]);
        let path = folder.path().join("large.wasm");
        let file = File::create(&path).unwrap();
        file.set_len(100_000_000).unwrap();
        assert!(matches!(
            read(folder.path()),
            Err(SourceError::TooLarge { .. })
        ));
        fs::write(&path, [0; 11]).unwrap();
        assert!(read_at_most(&path, 11).is_ok());
        let error = read_at_most(&path, 10).unwrap_err().to_string();
        assert!(
            error.ends_with("has more than 10 bytes, the most that are read"),
            "{error}"
        );
    }
}
