//! Learned routes in the kernel, in `rutter status`.

use std::io::{self, Write};

use super::{detail, field};
use crate::api::KernelStatus;
use crate::cli::text;

/// Prints how many there are, and what keeps others out.
pub(super) fn print(kernel: &KernelStatus, out: &mut dyn Write) -> io::Result<()> {
    let KernelStatus {
        installs,
        table,
        metric,
        protocol,
        waits_for_facts,
        routes,
        blackholes,
        leftovers,
        unfit,
        refused,
        refusal,
        failures: _,
        error,
    } = kernel;
    let place = format!("table {table}, protocol {protocol}");
    let routes = text::count(*routes, "learned route");
    let what = if *installs {
        format!("{routes} in {place}, metric {metric}")
    } else {
        format!("no learned routes are installed; {routes} left in {place}")
    };
    field("Kernel", &what, out)?;
    if let Some(error) = error {
        detail(&format!("FAILING: {error}"), out)?;
    }
    if *waits_for_facts {
        detail(
            "nothing is changed yet: waiting for the node's own prefixes",
            out,
        )?;
    }
    if *blackholes > 0 {
        let words = "packets to what no pod has there are discarded";
        let blocks = text::count(*blackholes, "own block");
        detail(&format!("{blocks}: {words}"), out)?;
    }
    if *leftovers > 0 {
        let words = "of a former agent, kept until the peers have announced all they have";
        detail(&format!("{leftovers} {words}"), out)?;
    }
    if *unfit > 0 {
        let words = "not installed: see `rutter routes --received` for why";
        detail(&format!("{unfit} {words}"), out)?;
    }
    match refusal {
        Some(refusal) => detail(
            &format!("{refused} refused by the kernel, the first: {refusal}"),
            out,
        ),
        None => Ok(()),
    }
}

/// Whether all that should be in the kernel is.
pub(super) fn is_well(kernel: &KernelStatus) -> bool {
    kernel.error.is_none() && kernel.refused == 0
}
