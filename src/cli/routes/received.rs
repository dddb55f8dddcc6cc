//! `rutter routes --received`: a row or, with `--all`, a block of lines for each route, printed as it
//! comes, for there may be a million of them.

use std::io::{self, Write};

use serde::de::Error as _;
use serde_json::Value;

use super::{decider, usage_text};
use crate::api::ReceivedRoute;
use crate::cli::Outcome;
use crate::cli::client::{Client, ClientError, Lines};
use crate::cli::learned;
use crate::cli::output::OutputFormat;
use crate::cli::text::{self, LongTable};
use crate::types::RouteAttributes;

/// Routes printed at once. The widths of a table's columns are those that its first ones need, so a
/// listing that is not longer looks like any other table.
const PAGE_ROUTES: usize = 1000;

/// The lines around the routes.
const HEAD: &str = "{\"routes\":[";
const TAIL: &str = "]}";

/// What of each route is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// A row of a table.
    Line,
    /// All there is, a block of lines each.
    All,
}

/// Asks and prints.
///
/// # Errors
/// There is no answer, or not all of it, the agent knows no such peer, or `out` fails.
pub(super) async fn run(
    client: &Client,
    peer: Option<&str>,
    detail: Detail,
    format: OutputFormat,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    let query: Vec<_> = peer.iter().map(|peer| ("peer", *peer)).collect();
    let mut lines = client.ask_lines("/v1/received", &query).await?;
    expect_head(&mut lines).await?;
    match format {
        OutputFormat::Json => {
            let mut document = Document::default();
            while let Some(route) = next(&mut lines).await? {
                document.add(&route, out)?;
            }
            document.end(out)?;
        }
        OutputFormat::Text => {
            let mut printer = Printer::of(detail);
            while let Some(route) = next(&mut lines).await? {
                let route = serde_json::from_value(route).map_err(|error| lines.skew(error))?;
                printer.add(route, out)?;
            }
            printer.end(out)?;
        }
    }
    Ok(Outcome::Done)
}

async fn expect_head(lines: &mut Lines) -> Result<(), ClientError> {
    match lines.next().await? {
        Some(head) if head == HEAD => Ok(()),
        Some(_) | None => {
            let error = serde_json::Error::custom("no list of routes begins like this");
            Err(lines.skew(error))
        }
    }
}

/// The next route; none where the list ends, as it is meant to.
async fn next(lines: &mut Lines) -> Result<Option<Value>, ClientError> {
    match lines.next().await? {
        None => Err(lines.broken("the list of routes has no end")),
        Some(line) if line == TAIL => Ok(None),
        Some(line) => {
            let route = line.strip_suffix(',').unwrap_or(&line);
            let route = serde_json::from_str(route).map_err(|error| lines.skew(error))?;
            Ok(Some(route))
        }
    }
}

/// The agent's document, indented as all others are.
#[derive(Default)]
struct Document {
    has_routes: bool,
}

impl Document {
    fn add(&mut self, route: &Value, out: &mut dyn Write) -> io::Result<()> {
        let before = if self.has_routes {
            ",\n"
        } else {
            "{\n  \"routes\": [\n"
        };
        self.has_routes = true;
        let route = serde_json::to_string_pretty(route)?;
        write!(out, "{before}    {}", route.replace('\n', "\n    "))
    }

    fn end(self, out: &mut dyn Write) -> io::Result<()> {
        if self.has_routes {
            writeln!(out, "\n  ]\n}}")
        } else {
            writeln!(out, "{{\n  \"routes\": []\n}}")
        }
    }
}

const HEADER: [&str; 8] = [
    "PEER",
    "PREFIX",
    "NEXT HOP",
    "AS PATH",
    "USED",
    "DECIDED BY",
    "REASON",
    "ATTRIBUTES",
];

/// What peers announced, with what became of it and who decided that.
enum Printer {
    Table {
        table: LongTable<8>,
        /// What is to be printed next.
        page: Vec<[String; 8]>,
    },
    Blocks {
        /// What stands between two: nothing before the first.
        separator: &'static str,
    },
}

impl Printer {
    fn of(detail: Detail) -> Self {
        match detail {
            Detail::Line => Self::Table {
                table: LongTable::new(HEADER),
                page: Vec::new(),
            },
            Detail::All => Self::Blocks { separator: "" },
        }
    }

    fn add(&mut self, route: ReceivedRoute, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Table { table, page } => {
                page.push(row(route));
                if page.len() == PAGE_ROUTES {
                    table.print(std::mem::take(page), out)?;
                }
                Ok(())
            }
            Self::Blocks { separator } => {
                write!(out, "{separator}")?;
                *separator = "\n";
                learned::print(&route, out)
            }
        }
    }

    fn end(self, out: &mut dyn Write) -> io::Result<()> {
        let is_empty = match self {
            Self::Table { mut table, page } => {
                if !page.is_empty() {
                    table.print(page, out)?;
                }
                let is_empty = table.is_empty();
                table.end(out)?;
                is_empty
            }
            Self::Blocks { separator } => separator.is_empty(),
        };
        if is_empty {
            return writeln!(out, "No routes are received.");
        }
        Ok(())
    }
}

fn row(route: ReceivedRoute) -> [String; 8] {
    let step = route.decision.as_ref().and_then(|made| made.steps.last());
    let reason = step.and_then(|step| step.reason.clone());
    // It has a column of its own.
    let attributes = RouteAttributes {
        next_hop: None,
        ..route.attributes.clone()
    };
    [
        route.peer.clone(),
        route.prefix.to_string(),
        route.next_hop.to_string(),
        text::or_nothing(route.as_path.clone()),
        usage_text(&route.usage, route.kernel.as_ref()),
        step.map_or_else(|| text::NOTHING.to_owned(), decider),
        text::or_nothing(reason.unwrap_or_default()),
        text::or_nothing(text::attributes(&attributes)),
    ]
}

#[cfg(test)]
mod tests;
