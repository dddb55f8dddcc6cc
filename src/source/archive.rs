//! A module packed like a container image: a gzip-compressed tar archive with one `.wasm` in it.

use std::io::{self, Read};

use flate2::read::GzDecoder;

use crate::wasm::MODULE_BYTES_MAX;

/// What unpacking may read: a module and some papers. Compressed, a terabyte of zeros fits.
const UNPACKED_BYTES_MAX: u64 = MODULE_BYTES_MAX as u64 + (1 << 20);

/// Takes the module out of a packed archive.
///
/// # Errors
/// What is wrong with the archive, to be read after its name.
pub(super) fn module_in(packed: &[u8]) -> Result<Vec<u8>, String> {
    let unpacked = GzDecoder::new(packed).take(UNPACKED_BYTES_MAX);
    let mut archive = tar::Archive::new(unpacked);
    let broken = |error: io::Error| format!("is no whole archive: {error}");
    let mut found = None;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let is_module =
            entry.header().entry_type().is_file() && entry.path_bytes().ends_with(b".wasm");
        if !is_module {
            continue;
        }
        let mut module = Vec::new();
        entry.read_to_end(&mut module).map_err(broken)?;
        if found.replace(module).is_some() {
            return Err("has several modules".to_owned());
        }
    }
    found.ok_or_else(|| "has no file whose name ends in .wasm".to_owned())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, contents) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, *contents).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn the_module_is_found_among_its_papers() {
        let packed = pack(&[("runtime-config.json", b"{}"), ("plugin.wasm", b"module")]);
        assert_eq!(module_in(&packed).unwrap(), b"module");
    }

    #[test]
    fn an_archive_that_is_not_one_module_is_refused() {
        let two = pack(&[("a.wasm", b"1"), ("b.wasm", b"2")]);
        assert_eq!(module_in(&two).unwrap_err(), "has several modules");
        let none = pack(&[("README", b"")]);
        assert!(module_in(&none).unwrap_err().starts_with("has no file"));
        let whole = pack(&[("a.wasm", &[7; 5000])]);
        for broken in [b"\0asm".as_slice(), &whole[..whole.len() / 2], b""] {
            module_in(broken).unwrap_err();
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let zeros = vec![0; MODULE_BYTES_MAX + (2 << 20)];
        let packed = pack(&[("a.wasm", &zeros)]);
        assert!(packed.len() < 1 << 20);
        let error = module_in(&packed).unwrap_err();
        assert!(error.starts_with("is no whole archive"), "{error}");
    }
}
