//! That the seeds of properties that failed once are kept, and tried first.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// As `proptest!` does it, but for the number of cases.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2,
        source_file: Some(file!()),
        ..ProptestConfig::default()
    }
}

/// What a property is tried on in one run.
fn tried() -> Vec<u64> {
    let tried = RefCell::new(Vec::new());
    let run = TestRunner::new(config()).run(&any::<u64>(), |value| {
        tried.borrow_mut().push(value);
        Ok(())
    });
    run.unwrap();
    tried.into_inner()
}

#[test]
fn a_committed_seed_is_tried_before_any_other() {
    let (one, other) = (tried(), tried());
    // The one in `tests/proptest-regressions/properties.txt`, and two by chance.
    assert_eq!((one.len(), other.len()), (3, 3));
    assert_eq!(one[0], other[0]);
    assert_ne!(one[1..], other[1..]);
}

/// Sources with properties, but for this one.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with(file!())
        {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn no_property_switches_that_off_and_git_ignores_no_seed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["src", "tests", "policies"] {
        sources(&root.join(folder), &mut found);
    }
    assert!(found.iter().any(|(_, text)| text.contains("proptest!")));
    for (path, text) in found {
        assert!(!text.contains("failure_persistence"), "{path}");
    }
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap();
    assert!(!ignored.contains("regressions"), "{ignored}");
}
