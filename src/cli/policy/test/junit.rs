//! A run as JUnit XML, which build servers read: a suite for each file, a test for each case.

use std::fmt::Write as _;

use super::report::{self, CaseReport, FileReport, Report, Verdict};

/// The whole document.
pub(super) fn xml(report: &Report) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let tests = report.passed + report.failed + report.updated;
    // Writing to a string does not fail, here and below.
    let _ = writeln!(
        xml,
        "<testsuites name=\"{}\" tests=\"{tests}\" failures=\"{}\">",
        escaped(&report.name),
        report.failed
    );
    for file in &report.files {
        suite(file, &mut xml);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(file: &FileReport, xml: &mut String) {
    let failed = |case: &&CaseReport| case.verdict == Verdict::Failed;
    let name = escaped(&file.file);
    let stale = &file.stale_snapshots;
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\">",
        file.cases.len() + stale.len(),
        file.cases.iter().filter(failed).count() + stale.len()
    );
    for case in &file.cases {
        let attributes = format!(
            "name=\"{}\" classname=\"{name}\" file=\"{name}\" line=\"{}\"",
            escaped(&case.name),
            case.line
        );
        if case.problems.is_empty() {
            let _ = writeln!(xml, "    <testcase {attributes}/>");
            continue;
        }
        let _ = writeln!(xml, "    <testcase {attributes}>");
        for problem in &case.problems {
            let lines = report::lines(file, case, problem);
            let first = lines.first().map_or("", String::as_str);
            let _ = writeln!(
                xml,
                "      <failure message=\"{}\">{}</failure>",
                escaped(first),
                escaped(&lines.join("\n"))
            );
        }
        xml.push_str("    </testcase>\n");
    }
    for case in stale {
        let _ = writeln!(
            xml,
            "    <testcase name=\"{}\" classname=\"{name}\">\n      <failure message=\"only the \
             snapshot has this case\"/>\n    </testcase>",
            escaped(case)
        );
    }
    xml.push_str("  </testsuite>\n");
}

/// Text that may stand between tags and in attributes. Control characters, which XML 1.0 cannot
/// have, are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(character),
            '\u{FFFE}' | '\u{FFFF}' => {}
            other if other.is_control() => {}
            other => escaped.push(other),
        }
    }
    escaped
}
