//! `tests/setup` finds programs by what they are, not by a name alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::process::{program, run};

/// As OpenBGPD's answers what it does not understand.
const OPENBGPD: &str = "#!/bin/sh
echo 'usage: bgpd [-cdnv] [-D macro=value] [-f file]' >&2
exit 1
";

#[test]
fn frrs_bgpd_is_found_though_openbgpds_is_first_on_path() {
    let folder = tempfile::tempdir().unwrap();
    let bgpd = folder.path().join("bgpd");
    fs::write(&bgpd, OPENBGPD).unwrap();
    fs::set_permissions(&bgpd, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut setup = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/setup"));
    setup.env("PATH", format!("{}:{path}", folder.path().display()));
    // A cache of its own, into which nothing is built.
    setup.env("RUTTER_TEST_CACHE", folder.path().join("cache"));
    setup.env_remove("KUBEBUILDER_ASSETS");
    for name in [
        "KUBE_APISERVER",
        "KUBE_CONTROLLER_MANAGER",
        "KUBE_PROXY",
        "ETCD",
        "KUBECTL",
    ] {
        let given = program(&format!("RUTTER_TEST_{name}"));
        setup.env(format!("TEST_ASSET_{name}"), given);
    }

    let environment = run(&mut setup).unwrap();
    let environment = fs::read_to_string(environment.trim_end()).unwrap();
    let found = format!("RUTTER_TEST_BGPD={}\n", program("RUTTER_TEST_BGPD"));
    assert!(environment.contains(&found), "{environment}");
    assert!(
        !environment.contains(bgpd.to_str().unwrap()),
        "{environment}"
    );
}
