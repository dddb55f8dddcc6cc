//! Routes that a policy fails on while it is well about others.

use std::io::{self, Write};

use super::detail;
use crate::api::HeldRoute;
use crate::cli::text;
use crate::policy::OnError;

pub(super) fn print(
    count: u64,
    routes: &[HeldRoute],
    on_error: OnError,
    out: &mut dyn Write,
) -> io::Result<()> {
    let effect = match on_error {
        OnError::KeepLast => "last decisions kept",
        OnError::Withdraw => "withdrawn",
        OnError::Skip => "skipped",
    };
    let counted = text::count(count, "route");
    detail(&format!("FAILING on {counted}, {effect}:"), out)?;
    for route in routes {
        let HeldRoute {
            prefix,
            service,
            peers,
            error,
            retry_in,
        } = route;
        let service = service.as_ref();
        let service = service.map_or_else(String::new, |service| format!(" of {service}"));
        let line = format!("  {prefix}{service} ({peers}), retry in {retry_in} s: {error}");
        detail(&line, out)?;
    }
    match count.saturating_sub(routes.len() as u64) {
        0 => Ok(()),
        more => detail(&format!("  and {more} more"), out),
    }
}
