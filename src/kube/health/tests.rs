//! What is logged, and what status shows.

use super::*;
use crate::agent::testing::logged;

#[test]
fn a_problem_is_logged_once_and_its_end_once() {
    let (reporter, health) = HealthReporter::new();
    let lines = logged(|| {
        for _ in 0..100 {
            reporter.failed("Services", "connection refused");
        }
        reporter.recovered("Services");
        reporter.recovered("Services");
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(
        lines[0],
        "WARN source in trouble, its last state stands subject=Services \
         problem=connection refused"
    );
    assert!(lines[1].starts_with("INFO source recovered subject=Services after="));
    assert_eq!(health.error(), None);
}

#[test]
fn a_problem_that_takes_turns_with_another_is_logged_once_each() {
    let (reporter, health) = HealthReporter::new();
    let lines = logged(|| {
        for _ in 0..10 {
            reporter.failed("Services", "connection refused");
            reporter.failed("Services", "no answer");
        }
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(health.error().as_deref(), Some("Services: no answer"));
}

#[test]
fn a_problem_in_ever_new_words_does_not_fill_the_log() {
    let (reporter, health) = HealthReporter::new();
    let lines = logged(|| {
        for n in 0..100 {
            reporter.failed("Services", &format!("request {n} failed"));
        }
    });
    assert_eq!(lines.len(), TEXTS_LOGGED_MAX, "{lines:?}");
    assert_eq!(
        health.error().as_deref(),
        Some("Services: request 99 failed")
    );
}

#[test]
fn the_start_of_a_problem_is_kept_while_its_words_change() {
    let (reporter, health) = HealthReporter::new();
    reporter.failed("Services", "connection refused");
    let since = health.problems()["Services"].since;
    reporter.failed("Services", "no answer");
    assert_eq!(health.problems()["Services"].since, since);
}

#[test]
fn replacing_ends_what_is_no_longer_wrong_and_keeps_the_rest() {
    let (reporter, health) = HealthReporter::new();
    let problem = |subject: &str| (subject.to_owned(), "broken".to_owned());
    let lines = logged(|| {
        reporter.replace(&[problem("a"), problem("b")].into());
        reporter.replace(&[problem("b"), problem("c")].into());
    });
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(health.error().as_deref(), Some("b: broken; c: broken"));
}
