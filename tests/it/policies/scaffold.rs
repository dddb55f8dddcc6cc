//! `rutter policy new` and `rutter policy build` with the tools that are here: what an author with
//! the program alone gets, in each language.

mod learned;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::guests;

fn rutter() -> Command {
    let mut rutter = Command::new(env!("CARGO_BIN_EXE_rutter"));
    rutter.arg("policy");
    rutter
}

/// A new policy in an empty directory, in Rust with the versions of crates that this checkout is
/// locked to: whatever a registry has today must not decide whether a test passes.
fn new_policy(language: &str, directory: &Path) -> PathBuf {
    written(language, &["opt-in"], directory)
}

/// As the arguments say, whose first is its name.
fn written(language: &str, arguments: &[&str], directory: &Path) -> PathBuf {
    let output = rutter()
        .arg("new")
        .args(arguments)
        .args(["--lang", language])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let policy = directory.join(arguments[0]);
    if language == "rust" {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
        fs::copy(lock, policy.join("Cargo.lock")).unwrap();
    }
    policy
}

/// Builds it in the directory that all guests of this checkout are built in.
fn build(policy: &Path, arguments: &[&str], environment: &[(&str, &OsStr)]) -> Output {
    rutter()
        .args(["build", "--target-dir"])
        .arg(guests::target_dir())
        .args(arguments)
        .current_dir(policy)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

fn run(command: &[&str], policy: &Path) -> Output {
    let [program, arguments @ ..] = command else {
        panic!("no command");
    };
    let mut command = Command::new(program);
    // What cargo tells this test about itself is not for another cargo.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO") && name != "CARGO_HOME" {
            command.env_remove(&*name);
        }
    }
    command
        .args(arguments)
        .current_dir(policy)
        .env("CARGO_TARGET_DIR", guests::target_dir().join("native"))
        .output()
        .unwrap()
}

/// Who starts a policy, and has what is written tested, built and tested again.
struct Author {
    language: &'static str,
    /// What is asked for: its name first.
    arguments: &'static [&'static str],
    /// Its native test, and what that says in the end.
    test: &'static [&'static str],
    passed: &'static str,
    /// How many cases it has.
    cases: usize,
}

/// What goes wrong in a language.
struct Mistakes {
    /// A source, and a mistake to make there: for these words, those.
    source: &'static str,
    mistake: [&'static str; 2],
    /// What the compiler says of it.
    complaint: &'static [&'static str],
    /// A source that compiles to no policy, as far as the language can, and what is said of it.
    empty: Option<[&'static str; 2]>,
}

const OPT_IN: &[&str] = &["opt-in"];

#[test]
fn a_new_policy_in_rust_passes_its_tests_is_built_and_decides() {
    let author = Author {
        language: "rust",
        arguments: OPT_IN,
        test: &["cargo", "test"],
        passed: "1 passed",
        cases: 4,
    };
    let policy = author.goes_from_nothing_to_a_tested_module();
    let formatted = run(&["cargo", "fmt", "--check"], &policy);
    assert!(formatted.status.success(), "{}", told(&formatted));
    let mistakes = Mistakes {
        source: "src/lib.rs",
        mistake: ["Decision::abstain()", "Decision::maybe()"],
        complaint: &["src/lib.rs", "maybe"],
        empty: Some(["//! Nothing.\n", "compiles, but the agent would refuse it"]),
    };
    mistakes.are_told_and_leave_the_module_alone(&policy);
    let decides = "        match candidate.service() {\n";
    let logs = "        if candidate.is_served() {\n            \
                rutter_policy::log::info(\"served\");\n        }\n";
    log_is_printed_with_the_case(
        &policy,
        "src/lib.rs",
        &[(decides, &[logs, decides].concat())],
    );
}

#[test]
fn a_new_policy_in_c_passes_its_tests_is_built_and_decides() {
    let author = Author {
        language: "c",
        arguments: OPT_IN,
        test: &["sh", "rutter-policy/test"],
        passed: "2 passed",
        cases: 4,
    };
    let policy = author.goes_from_nothing_to_a_tested_module();
    texts_of_settings_are_read_with_their_escapes(&policy);
    let mistakes = Mistakes {
        source: "policy.c",
        mistake: ["text_same(", "text_equal("],
        complaint: &["policy.c:", "'text_equal'", "the policy does not compile"],
        empty: None,
    };
    mistakes.are_told_and_leave_the_module_alone(&policy);
    let includes = "#include \"text.h\"\n";
    let kit = "#include \"log.h\"\n#include \"serving.h\"\n";
    let decides = "    decisions[i].reason.is_some = false;\n";
    let logs = "    policy_string_t line;\n    policy_string_set(&line, \"served\");\n    \
                if (is_served(&batch->candidates.ptr[i])) {\n      log_info(line);\n    }\n";
    let changes: [(&str, &str); 2] = [
        (includes, &[kit, includes].concat()),
        (decides, &[logs, decides].concat()),
    ];
    log_is_printed_with_the_case(&policy, "policy.c", &changes);
    let tested = run(&["sh", "rutter-policy/test"], &policy);
    assert!(tested.status.success(), "{}", told(&tested));
}

#[test]
fn a_new_policy_in_javascript_passes_its_tests_is_built_and_decides() {
    let author = Author {
        language: "js",
        arguments: OPT_IN,
        test: &["node", "--test"],
        passed: "# pass 2",
        cases: 4,
    };
    let policy = author.goes_from_nothing_to_a_tested_module();
    let mistakes = Mistakes {
        source: "src/policy.js",
        mistake: ["const reasons = [];", "const = [];"],
        complaint: &["src/policy.js:", "the policy does not compile"],
        empty: Some([
            "export const nothing = {};\n",
            "does not export module and announce, as the world \"policy\" asks",
        ]),
    };
    mistakes.are_told_and_leave_the_module_alone(&policy);
    let exports = "export const module = {\n";
    let imports = "import log from \"rutter:policy/log@1.0.0\";\n";
    let decides = "batch.candidates.map(({ origin }) => {\n";
    let logs = "batch.candidates.map(({ origin, serving }) => {\n      \
                if (serving !== null && serving.tag !== \"unserved\") {\n        \
                log.log(\"info\", \"served\");\n      }\n";
    let changes: [(&str, &str); 2] = [(exports, &[imports, exports].concat()), (decides, logs)];
    log_is_printed_with_the_case(&policy, "src/policy.js", &changes);
}

impl Author {
    fn goes_from_nothing_to_a_tested_module(&self) -> PathBuf {
        // Always the same one: compilers keep what they compile by its path.
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scaffold");
        let directory = directory.join(self.arguments.concat()).join(self.language);
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let policy = written(self.language, self.arguments, &directory);

        let tested = run(self.test, &policy);
        assert!(tested.status.success(), "{}", told(&tested));
        assert!(told(&tested).contains(self.passed), "{}", told(&tested));
        assert!(!told(&tested).contains("warning"), "{}", told(&tested));

        the_module_is_as_it_is_told(&policy);
        let name = self.arguments[0];
        let tested = rutter()
            .args(["test", "--module", &format!("{name}.wasm")])
            .current_dir(&policy)
            .output()
            .unwrap();
        assert!(tested.status.success(), "{}", told(&tested));
        let summary = format!("{name} 0.1.0: {} passed, 0 failed", self.cases);
        assert!(told(&tested).contains(&summary), "{}", told(&tested));
        policy
    }
}

impl Mistakes {
    fn are_told_and_leave_the_module_alone(&self, policy: &Path) {
        let before = fs::read(module(policy)).unwrap();
        let source = policy.join(self.source);
        let good = fs::read_to_string(&source).unwrap();
        let [from, to] = self.mistake;
        assert!(good.contains(from), "{good}");
        let last = "error: the policy in . was not built: see above";
        let complaint = [self.complaint, &[last]].concat();
        refused(policy, &source, &good.replace(from, to), &complaint);
        if let Some([empty, words]) = self.empty {
            refused(policy, &source, empty, &[words]);
        }
        assert_eq!(fs::read(module(policy)).unwrap(), before);
    }
}

/// With this text as its source the policy is not built, for the reason that these words tell.
fn refused(policy: &Path, source: &Path, text: &str, expected: &[&str]) {
    let good = fs::read_to_string(source).unwrap();
    fs::write(source, text).unwrap();
    let failed = build(policy, &[], &[]);
    fs::write(source, good).unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let told = told(&failed);
    for words in expected {
        assert!(told.contains(words), "{words}: {told}");
    }
}

/// Where the module of a new policy is: both are called after the policy.
fn module(policy: &Path) -> PathBuf {
    let name = policy.file_name().unwrap();
    policy.join(name).with_extension("wasm")
}

fn the_module_is_as_it_is_told(policy: &Path) {
    let built = build(policy, &["-o", "json"], &[]);
    assert!(built.status.success(), "{}", told(&built));
    let report: Value = serde_json::from_slice(&built.stdout).unwrap();
    let bytes = fs::read(module(policy)).unwrap();
    let name = policy.file_name().unwrap().to_str().unwrap();
    let expected = json!({
        "module": format!("./{name}.wasm"),
        "name": name,
        "version": "0.1.0",
        "bytes": bytes.len(),
        "digest": format!("sha256:{}", rutter::wasm::digest(&bytes)),
    });
    assert_eq!(report, expected);
}

/// With the changes, which have it write a line for each address that is served, the policy is built
/// again and asked: the word for serving and the log are the same in every language.
fn log_is_printed_with_the_case(policy: &Path, source: &str, changes: &[(&str, &str)]) {
    let source = policy.join(source);
    let mut text = fs::read_to_string(&source).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{text}");
        text = text.replace(from, to);
    }
    fs::write(&source, text).unwrap();
    let built = build(policy, &[], &[]);
    assert!(built.status.success(), "{}", told(&built));
    let tested = rutter()
        .args(["test", "--module", "opt-in.wasm"])
        .current_dir(policy)
        .output()
        .unwrap();
    assert!(tested.status.success(), "{}", told(&tested));
    // One family has an endpoint on the node in each of the first two cases, or both have.
    let lines = told(&tested).matches("log info: served\n").count();
    assert!(lines >= 2, "{}", told(&tested));
}

/// The kit in C reads JSON itself.
fn texts_of_settings_are_read_with_their_escapes(policy: &Path) {
    let case = r#"
settings = { label = "a\"b\\c\td\u001fé/" }

[node]

[[services]]
name = "shop/web"
type = "LoadBalancer"
load-balancer-ips = ["192.0.2.10"]
labels = { "a\"b\\c\td\u001fé/" = "true" }
endpoints-here = 1

[advertise]
service-load-balancer-cidrs = ["192.0.2.10/32"]

[[cases]]
name = "it has the label"
expect = [{ service = "shop/web", prefix = "192.0.2.10/32", verdict = "abstain" }]
"#;
    fs::write(policy.join("escapes.toml"), case).unwrap();
    let tested = rutter()
        .args(["test", "escapes.toml", "--module", "opt-in.wasm"])
        .current_dir(policy)
        .output()
        .unwrap();
    assert!(tested.status.success(), "{}", told(&tested));
}

#[test]
fn a_toolchain_that_is_named_and_not_there_is_told() {
    let directory = TempDir::new().unwrap();
    let policy = new_policy("rust", directory.path());
    let nowhere = [("RUTTER_GUEST_TOOLCHAIN", OsStr::new("/nonexistent"))];
    let failed = build(&policy, &[], &nowhere);
    assert_eq!(failed.status.code(), Some(1));
    let told = told(&failed);
    assert!(
        told.contains("RUTTER_GUEST_TOOLCHAIN is /nonexistent"),
        "{told}"
    );
    assert!(!policy.join("opt-in.wasm").exists());
}

/// A directory with links to these programs, to be all that is on `PATH`.
fn with_only(programs: &[&str]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for program in programs {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|directory| directory.join(program))
            .find(|candidate| candidate.is_file());
        symlink(found.unwrap(), directory.path().join(program)).unwrap();
    }
    directory
}

/// Debian's toolchain, where it is installed, is found without `PATH`, but not the linker.
#[test]
fn without_rust_on_path_the_way_to_install_it_is_told() {
    let directory = TempDir::new().unwrap();
    let policy = new_policy("rust", directory.path());
    let path = with_only(&["bash", "dirname", "env", "sed", "sh", "sort"]);
    let cache = directory.path().join("cache");
    let environment = [
        ("PATH", path.path().as_os_str()),
        ("RUTTER_GUEST_CACHE", cache.as_os_str()),
    ];
    let failed = build(&policy, &[], &environment);
    assert_eq!(failed.status.code(), Some(1));
    let told = told(&failed);
    assert!(told.contains("rustup"), "{told}");
    assert!(told.contains("was not built: see above"), "{told}");
    assert!(!policy.join("opt-in.wasm").exists());
}

const SHELL: [&str; 4] = ["dirname", "env", "sed", "sh"];

#[test]
fn a_tool_that_is_missing_is_named_with_the_command_that_installs_it() {
    let install_c = "apt-get install -y --no-install-recommends clang lld";
    let install_js = "apt-get install -y --no-install-recommends nodejs npm";
    for (language, there, missing, install) in [
        ("c", None, "clang is missing", install_c),
        ("c", Some("clang"), "wasm-ld is missing", install_c),
        ("js", None, "node is missing", install_js),
        ("js", Some("node"), "npm is missing", install_js),
    ] {
        let directory = TempDir::new().unwrap();
        let policy = new_policy(language, directory.path());
        let programs: Vec<&str> = SHELL.into_iter().chain(there).collect();
        let path = with_only(&programs);
        let failed = build(&policy, &[], &[("PATH", path.path().as_os_str())]);
        assert_eq!(failed.status.code(), Some(1));
        let told = told(&failed);
        for words in [missing, install, "was not built: see above"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(!policy.join("opt-in.wasm").exists());
    }
}

/// `Cargo.toml`, then `package.json`, then `policy.c`: what is lacking then is complained about.
#[test]
fn the_first_of_three_files_says_what_the_language_is() {
    let policy = TempDir::new().unwrap();
    let nowhere = [("RUTTER_GUEST_TOOLCHAIN", OsStr::new("/nonexistent"))];
    for (file, text, words) in [
        ("policy.c", "", "there is no kit in "),
        ("package.json", "{}", "package-lock.json: run npm"),
        ("package-lock.json", "{}", "names no entry: add \"main\""),
        ("package.json", r#"{"main": "policy.js"}"#, "there is no "),
        ("policy.js", "", "there is no contract in "),
        ("Cargo.toml", "", "RUTTER_GUEST_TOOLCHAIN is /nonexistent"),
    ] {
        fs::write(policy.path().join(file), text).unwrap();
        let failed = build(policy.path(), &[], &nowhere);
        assert_eq!(failed.status.code(), Some(1));
        assert!(told(&failed).contains(words), "{file}: {}", told(&failed));
    }
}

#[test]
fn a_packer_that_cannot_be_fetched_is_told_and_leaves_nothing_half() {
    let directory = TempDir::new().unwrap();
    let policy = new_policy("js", directory.path());
    let failed = rutter()
        .arg("build")
        .current_dir(&policy)
        .env("npm_config_registry", "http://127.0.0.1:1")
        .env("npm_config_fetch_retries", "0")
        .env("npm_config_cache", directory.path().join("cache"))
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let told = told(&failed);
    for words in ["127.0.0.1:1", "npm could not fetch what ", "see above"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let kept = fs::read_dir(policy.join("target/guest")).unwrap();
    assert_eq!(kept.count(), 0);
}

#[test]
fn a_directory_without_a_policy_is_left_as_it_is_and_told_how_to_start_one() {
    let directory = TempDir::new().unwrap();
    let built = |at: &Path| {
        let output = rutter().arg("build").arg(at).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        told(&output)
    };
    let at = directory.path().display();
    let expected = format!(
        "build: error: there is no Cargo.toml, package.json or policy.c in {at}; \
         `rutter policy new` starts a policy\n\
         error: the policy in {at} was not built: see above\n"
    );
    assert_eq!(built(directory.path()), expected);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let told = built(&directory.path().join("missing"));
    let expected = format!("build: error: there is no directory {at}/missing\n");
    assert!(told.starts_with(&expected), "{told}");
}

#[test]
fn a_name_that_is_not_good_starts_no_policy_in_any_language() {
    let directory = TempDir::new().unwrap();
    for language in ["rust", "c", "js"] {
        for (name, words) in [
            ("Opt_In", "lower-case letters, digits and `-`"),
            ("componentize-qjs", "choose another"),
        ] {
            let output = rutter()
                .args(["new", name, "--lang", language])
                .current_dir(directory.path())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2));
            assert!(told(&output).contains(words), "{}", told(&output));
        }
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
