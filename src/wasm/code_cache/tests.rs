//! An entry counts only if it is whole, ours and of this very module and engine.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

const MODULE: &[u8] = b"(component)";

fn engine() -> wasmtime::Engine {
    wasmtime::Engine::default()
}

/// A cache with one entry; its directory lives as long as the first.
fn filled() -> (TempDir, CodeCache, Key, wasmtime::Engine) {
    let directory = TempDir::new().unwrap();
    let cache = CodeCache::open(&directory.path().join("code")).unwrap();
    let engine = engine();
    let key = Key::new(&engine, MODULE);
    cache.store(&key, &component(&engine));
    assert_eq!(cache.fault(), None);
    (directory, cache, key, engine)
}

fn component(engine: &wasmtime::Engine) -> Component {
    Component::new(engine, wat::parse_bytes(MODULE).unwrap()).unwrap()
}

#[test]
fn what_was_stored_is_loaded() {
    let (_directory, cache, key, engine) = filled();
    assert!(cache.load(&engine, &key).is_some());
    let other = Key::new(&engine, b"(component (type u8))");
    assert!(cache.load(&engine, &other).is_none());
}

#[test]
fn another_engine_has_entries_of_its_own() {
    let (_directory, cache, key, _) = filled();
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let other = wasmtime::Engine::new(&config).unwrap();
    assert_ne!(Key::new(&other, MODULE).0, key.0);
    // And were the names the same, the code would not be taken.
    assert!(cache.load(&other, &key).is_none());
}

#[test]
fn an_entry_that_was_cut_short_is_none() {
    let (_directory, cache, key, engine) = filled();
    let whole = fs::read(cache.entry(&key)).unwrap();
    for length in [
        0,
        4,
        MAGIC.len(),
        MAGIC.len() + DIGEST_BYTES,
        whole.len() - 1,
    ] {
        fs::write(cache.entry(&key), &whole[..length]).unwrap();
        assert!(cache.load(&engine, &key).is_none(), "{length} bytes");
    }
}

#[test]
fn an_entry_with_a_flipped_bit_is_none() {
    let (_directory, cache, key, engine) = filled();
    let whole = fs::read(cache.entry(&key)).unwrap();
    for place in (0..whole.len()).step_by(whole.len() / 50 + 1) {
        let mut altered = whole.clone();
        altered[place] ^= 1;
        fs::write(cache.entry(&key), &altered).unwrap();
        assert!(cache.load(&engine, &key).is_none(), "byte {place}");
    }
}

#[test]
fn an_entry_under_the_name_of_another_is_none() {
    let (_directory, cache, key, engine) = filled();
    let other = Key::new(&engine, b"(component (type u8))");
    fs::rename(cache.entry(&key), cache.entry(&other)).unwrap();
    assert!(cache.load(&engine, &other).is_none());
}

#[test]
fn an_entry_that_others_could_write_is_none() {
    let (_directory, cache, key, engine) = filled();
    fs::set_permissions(cache.entry(&key), fs::Permissions::from_mode(0o620)).unwrap();
    assert!(cache.load(&engine, &key).is_none());
}

#[test]
fn an_entry_that_is_a_link_or_a_directory_is_none() {
    let (_directory, cache, key, engine) = filled();
    let elsewhere = cache.folder.join("elsewhere");
    fs::rename(cache.entry(&key), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, cache.entry(&key)).unwrap();
    assert!(cache.load(&engine, &key).is_none());
    fs::remove_file(cache.entry(&key)).unwrap();
    fs::create_dir(cache.entry(&key)).unwrap();
    assert!(cache.load(&engine, &key).is_none());
    cache.store(&key, &component(&engine));
    let fault = cache.fault().unwrap();
    assert!(fault.starts_with("cannot keep compiled code in"), "{fault}");
}

#[test]
fn entries_and_their_directory_are_the_owners_alone() {
    let (_directory, cache, key, _) = filled();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&cache.folder), 0o700);
    assert_eq!(mode(&cache.entry(&key)), 0o600);
}

#[test]
fn a_directory_that_others_can_enter_is_refused() {
    let directory = TempDir::new().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let refusal = CodeCache::open(directory.path()).unwrap_err().to_string();
    assert!(refusal.contains("with mode 755"), "{refusal}");
    assert!(refusal.ends_with("mode 700"), "{refusal}");
}

/// Only root can make one, and only root would be taken in.
#[test]
fn a_directory_of_another_users_is_refused_whatever_is_in_it() {
    const NOBODY: u32 = 65534;
    let directory = TempDir::new().unwrap();
    let probe = directory
        .path()
        .join(format!("probe.{UNFINISHED_EXTENSION}"));
    fs::write(&probe, "").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let is_root = fs::metadata(&probe).unwrap().uid() == 0;
    for path in [probe.as_path(), directory.path()] {
        let given = std::os::unix::fs::chown(path, Some(NOBODY), None);
        assert_eq!(given.is_ok(), is_root);
    }
    let opened = CodeCache::open(directory.path());
    if is_root {
        let refusal = opened.unwrap_err().to_string();
        assert!(refusal.contains("belongs to user 65534"), "{refusal}");
    } else {
        opened.unwrap();
    }
}

#[test]
fn what_a_killed_agent_left_unfinished_is_removed() {
    let (_directory, cache, key, engine) = filled();
    let left = cache.folder.join(format!("x.1.{UNFINISHED_EXTENSION}"));
    fs::write(&left, "half").unwrap();
    let again = CodeCache::open(&cache.folder).unwrap();
    assert!(!left.exists());
    assert!(again.load(&engine, &key).is_some());
}

#[test]
fn the_oldest_entries_make_room() {
    let (_directory, cache, key, engine) = filled();
    let old = cache.folder.join(format!("old.{ENTRY_EXTENSION}"));
    let file = File::create(&old).unwrap();
    // Sparse: it takes no room on the disk.
    file.set_len(ENTRIES_BYTES_MAX).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    cache.store(&key, &component(&engine));
    assert!(!old.exists());
    assert!(cache.load(&engine, &key).is_some());
}
