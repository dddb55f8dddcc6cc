//! Routes for Services, in `rutter status`.

use std::io::{self, Write};

use super::{detail, field};
use crate::api::ServiceRoutes;
use crate::cli::text;

/// Prints how many are offered, and what is to be looked at.
pub(super) fn print(routes: &ServiceRoutes, out: &mut dyn Write) -> io::Result<()> {
    let ServiceRoutes {
        candidates,
        offered,
        withheld,
        concerns,
        examples,
    } = routes;
    let candidates = text::count(*candidates, "route");
    field(
        "Services",
        &format!("{offered} of {candidates} offered"),
        out,
    )?;
    if let Some(why) = withheld {
        detail(&format!("warning: none is offered: {why}"), out)?;
    }
    for concern in examples {
        detail(&format!("warning: {concern}"), out)?;
    }
    let told = examples.len() as u64;
    match concerns.values().sum::<u64>().saturating_sub(told) {
        0 => Ok(()),
        more => detail(&format!("and {}", text::count(more, "more warning")), out),
    }
}
