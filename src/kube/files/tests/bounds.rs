//! What is no file, and what is too much: said, and without loss of what was there.

use super::*;
use crate::files::tests::make_pipe;

fn services(names: &[&str]) -> String {
    let objects: Vec<_> = names.iter().map(|name| service(name)).collect();
    yaml(&objects)
}

#[tokio::test]
async fn a_pipe_among_the_manifests_is_told_and_hinders_no_other_file() {
    let here = yaml(&[node(HERE)]);
    let mut rig = Rig::start(&[("a.yaml", &here), ("b.yaml", &services(&["kept"]))]).await;
    fs::remove_file(rig.path("b.yaml")).unwrap();
    make_pipe(&rig.root.path().join("pipe"));
    fs::rename(rig.root.path().join("pipe"), rig.path("c.yaml")).unwrap();
    rig.until_trouble("file c.yaml: cannot be read: it is a named pipe; name a regular file")
        .await;
    rig.replace("d.yaml", &services(&["new"]));
    rig.until("the new one", |view| has(view, "new")).await;
}

#[tokio::test]
async fn a_file_that_becomes_a_pipe_or_huge_keeps_its_objects() {
    let here = yaml(&[node(HERE)]);
    let mut rig = Rig::start(&[("a.yaml", &here), ("b.yaml", &services(&["kept"]))]).await;
    make_pipe(&rig.root.path().join("pipe"));
    fs::rename(rig.root.path().join("pipe"), rig.path("b.yaml")).unwrap();
    rig.until_trouble("file b.yaml: cannot be read: it is a named pipe")
        .await;
    let huge = rig.root.path().join("huge");
    let file = fs::File::create(&huge).unwrap();
    file.set_len(1 << 40).unwrap();
    fs::rename(huge, rig.path("b.yaml")).unwrap();
    rig.until_trouble("file b.yaml: cannot be read: it has 1099511627776 bytes")
        .await;
    assert!(has(rig.index.view(), "kept"));
    rig.replace("b.yaml", &services(&["kept", "more"]));
    rig.until_health(|error| error.is_none()).await;
    rig.until("the new one", |view| has(view, "more")).await;
    assert!(has(rig.index.view(), "kept"));
}

#[test]
fn a_directory_has_room_for_so_much() {
    let text = services(&["a", "b"]);
    let room = |bytes, objects| Room {
        bytes,
        objects,
        calico: Calico::Ignored,
    };
    assert_eq!(room(text.len(), 2).parse(&text).unwrap().len(), 2);
    let refused = room(text.len() - 1, 2).parse(&text).unwrap_err();
    assert!(refused.contains("67108864 bytes"), "{refused}");
    let refused = room(text.len(), 1).parse(&text).unwrap_err();
    assert!(refused.contains("50000 objects"), "{refused}");
    // What is refused takes no room, and what is taken does.
    let mut left = room(text.len() + 10, 3);
    left.parse(&text).unwrap();
    assert!(left.parse(&text).is_err());
    assert_eq!((left.bytes, left.objects), (10, 1));
}

#[test]
fn of_too_many_files_those_that_were_read_before_stay() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..FILES_MAX + 3 {
        fs::write(folder.path().join(format!("{number:05}.yaml")), "").unwrap();
    }
    let last = format!("{:05}.yaml", FILES_MAX + 2);
    for (held, has_last) in [("", false), (last.as_str(), true)] {
        let Listing { names, left_out } =
            manifest_names(folder.path(), |name| name == held).unwrap();
        assert_eq!((names.len(), left_out), (FILES_MAX, 3));
        assert_eq!(names.contains(&last), has_last);
        assert!(names.contains("00000.yaml"));
    }
}

#[tokio::test]
async fn of_problems_the_first_are_told_and_how_many_there_are() {
    let here = yaml(&[node(HERE)]);
    let same = services(&["same"]);
    let long = "a".repeat(10_000);
    let long = format!("? {long}\n: 1\n? {long}\n: 2\n");
    let names: Vec<_> = (0..PROBLEMS_MAX + 5)
        .map(|number| format!("x{number:02}.yaml"))
        .collect();
    let mut files = vec![("a.yaml", here.as_str()), ("b.yaml", same.as_str())];
    files.extend(names.iter().map(|name| (name.as_str(), long.as_str())));
    let rig = Rig::start(&files).await;
    let problems = rig.source.health.problems();
    assert_eq!(problems.len(), PROBLEMS_MAX + 1);
    let error = rig.source.health.error().unwrap();
    assert!(error.contains("has 5 more problems"), "{error}");
    assert!(error.len() < (PROBLEMS_MAX + 1) * (PROBLEM_BYTES_MAX + 100));
}

#[test]
fn a_file_that_is_small_and_says_much_is_refused() {
    let brackets = format!("a: [{}]", "[],".repeat(manifest::NODES_MAX));
    assert!(brackets.len() < FILE_BYTES_MAX);
    let refused = manifest::parse(&brackets, Calico::Ignored).unwrap_err();
    assert!(refused.len() < PROBLEM_BYTES_MAX, "{refused}");
    let documents = "--- a\n".repeat(manifest::DOCUMENTS_MAX + 1);
    let refused = manifest::parse(&documents, Calico::Ignored).unwrap_err();
    assert!(refused.len() < PROBLEM_BYTES_MAX, "{refused}");
}
