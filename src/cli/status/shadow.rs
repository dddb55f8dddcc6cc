//! Policies in shadow mode, in `rutter status`.

use std::io::{self, Write};

use super::{detail, field};
use crate::api::PolicyStatus;
use crate::cli::policy::shadow_summary;
use crate::cli::text;

/// Prints how one is, and how much it would change.
pub(super) fn print(kind: &str, policy: &PolicyStatus, out: &mut dyn Write) -> io::Result<()> {
    let name = format!("{} ({})", policy.name, policy.module);
    match &policy.error {
        None => field(kind, &format!("{name}, in shadow mode"), out)?,
        Some(error) => {
            let failures = text::count(policy.failures, "failure");
            let retry = policy.retry_in;
            let retry = retry.map_or_else(String::new, |seconds| format!(", retry in {seconds} s"));
            let failing = format!(
                "{name}, in shadow mode, FAILING: {failures}, nothing depends on it{retry}"
            );
            field(kind, &failing, out)?;
            detail(error, out)?;
        }
    }
    let Some(groups) = &policy.shadow else {
        return detail("nothing compared yet", out);
    };
    groups
        .iter()
        .try_for_each(|counts| detail(&shadow_summary(counts, ""), out))
}
