//! All that is known of a route that a peer announced, as `rutter explain` and `rutter routes
//! --received --all` print it.

use std::io::{self, Write};

use super::explain::step_text;
use super::routes::usage_text;
use super::text;
use crate::api::{Lost, PathReport, ReceivedRoute, Usage};
use crate::types::RouteAttributes;

/// The route, what became of it and why, what it says, and who decided.
///
/// # Errors
/// Only those of `out`.
pub(super) fn print(route: &ReceivedRoute, out: &mut dyn Write) -> io::Result<()> {
    let ReceivedRoute {
        peer,
        prefix,
        next_hop,
        as_path,
        attributes,
        received,
        path,
        usage,
        lost,
        kernel,
        decision,
    } = route;
    let title = format!(
        "{prefix}, learned from {peer}, next hop {next_hop}, {}",
        path_words(as_path)
    );
    writeln!(out, "{}", text::printable(&title))?;
    let usage = match usage {
        Usage::Unused { reason } => format!("not used: {reason}{}", lost_words(lost.as_ref())),
        Usage::Best { .. } | Usage::Multipath { .. } => {
            format!("used: {}", usage_text(usage, kernel.as_ref()))
        }
        Usage::Undecided => usage_text(usage, None),
    };
    writeln!(out, "  {}", text::printable(&usage))?;
    let said = said(path, attributes);
    writeln!(out, "  with {}", text::printable(&said.join(", ")))?;
    if let Some(received) = received {
        let received = text::or_nothing(text::attributes(received));
        writeln!(out, "  received with {received}")?;
    }
    let steps = decision.iter().flat_map(|decision| &decision.steps);
    for step in steps {
        writeln!(out, "    policy {}", text::printable(&step_text(step)))?;
    }
    Ok(())
}

fn path_words(as_path: &str) -> String {
    match as_path {
        "" => "empty AS path".to_owned(),
        path => format!("AS path {path}"),
    }
}

fn lost_words(lost: Option<&Lost>) -> String {
    let Some(Lost { step, best }) = lost else {
        return String::new();
    };
    match best {
        Some(peer) => format!(" ({step}); the best path is from {peer}"),
        None => format!(" ({step}); the best path is this node's own"),
    }
}

fn said(path: &PathReport, attributes: &RouteAttributes) -> Vec<String> {
    let PathReport {
        origin,
        originator_id,
        cluster_list,
    } = path;
    let mut said = vec![format!("ORIGIN {origin}")];
    // Its next hop is in the first line.
    let attributes = text::attributes(&RouteAttributes {
        next_hop: None,
        ..attributes.clone()
    });
    said.extend((!attributes.is_empty()).then_some(attributes));
    said.extend(originator_id.map(|id| format!("originator {id}")));
    let clusters: Vec<String> = cluster_list.iter().map(ToString::to_string).collect();
    said.extend((!clusters.is_empty()).then(|| format!("clusters {}", clusters.join(" "))));
    said
}
