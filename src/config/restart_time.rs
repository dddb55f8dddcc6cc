//! `bgp.graceful-restart`, and a peer's `restart-time`: a restart time as people write it, or that
//! there is none.

use super::hold_time::seconds;
use super::raw::{Report, Value};
use crate::types::RestartTime;

const ADVICE: &str = "a time of \"1s\" to \"4095s\", such as \"2m\", or \"off\"";

/// What is written; the outer `None` is a mistake.
pub(super) fn read(value: &Value<'_>, report: &mut Report) -> Option<Option<RestartTime>> {
    let text = value.text(ADVICE, report)?;
    if text == "off" {
        return Some(None);
    }
    let problem = match seconds(text).map(RestartTime::from_secs) {
        Some(Ok(time)) => return Some(Some(time)),
        Some(Err(error)) => format!(": {error}"),
        None => format!("; write {ADVICE}"),
    };
    value.problem(format!("is {text:?}{problem}"), report);
    None
}
