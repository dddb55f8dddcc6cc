//! Modules on this node: a file, or a directory with one in it (a ConfigMap's or Secret's mount).

use std::fs;
use std::path::{Path, PathBuf};

use super::SourceError;
use crate::files::{self, ReadError};
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
    let unreadable = |source: ReadError| SourceError::Read {
        path: path.into(),
        source,
    };
    let metadata = fs::metadata(path).map_err(|error| unreadable(error.into()))?;
    let file = if metadata.is_dir() {
        module_of(path)?
    } else {
        path.to_owned()
    };
    let bytes = files::read(&file, MODULE_BYTES_MAX).map_err(|source| SourceError::Read {
        path: file.clone(),
        source,
    })?;
    Ok((file, bytes))
}

/// The signature beside a file: under its name and `.sig`. None where there is none.
///
/// # Errors
/// It cannot be read.
pub(super) fn signature_of(file: &Path) -> Result<Option<String>, SourceError> {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    let path = PathBuf::from(name);
    match files::read(&path, SIGNATURE_BYTES_MAX) {
        Ok(signature) => Ok(String::from_utf8(signature).ok()),
        Err(error) if error.is_not_found() => Ok(None),
        Err(source) => Err(SourceError::Read { path, source }),
    }
}

/// The module in a directory: `module.wasm`, or the one file whose name ends in `.wasm`. Names
/// that begin with a full stop are the kubelet's (`..data`) and editors'.
fn module_of(folder: &Path) -> Result<PathBuf, SourceError> {
    let unreadable = |error: std::io::Error| SourceError::Read {
        path: folder.into(),
        source: error.into(),
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
    use crate::files::tests::make_pipe;

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

    /// An error with its cause, the folder called DIR.
    fn refusal(folder: &Path, path: &Path) -> String {
        let error = anyhow::Error::from(read(path).unwrap_err());
        format!("{error:#}").replace(folder.to_str().unwrap(), "DIR")
    }

    #[test]
    fn what_is_not_there_too_large_or_no_file_is_said_by_its_path() {
        let folder = folder(&[]);
        let path = folder.path().join("a.wasm");
        assert_eq!(
            refusal(folder.path(), &path),
            "cannot read the module DIR/a.wasm: No such file or directory (os error 2)"
        );
        let file = fs::File::create(&path).unwrap();
        file.set_len(100_000_000).unwrap();
        assert_eq!(
            refusal(folder.path(), folder.path()),
            "cannot read the module DIR/a.wasm: it has 100000000 bytes, and at most 16777216 are read"
        );
        fs::remove_file(&path).unwrap();
        make_pipe(&path);
        for named in [&path, folder.path()] {
            assert_eq!(
                refusal(folder.path(), named),
                "cannot read the module DIR/a.wasm: it is a named pipe; name a regular file"
            );
        }
    }

    #[test]
    fn a_signature_that_is_no_file_is_not_waited_for() {
        let folder = folder(&["a.wasm"]);
        let module = folder.path().join("a.wasm");
        assert_eq!(signature_of(&module).unwrap(), None);
        make_pipe(&folder.path().join("a.wasm.sig"));
        let error = anyhow::Error::from(signature_of(&module).unwrap_err());
        let said = format!("{error:#}");
        assert!(
            said.ends_with("a.wasm.sig: it is a named pipe; name a regular file"),
            "{said}"
        );
    }
}
