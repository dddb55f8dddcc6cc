//! What the commands' text has in common: tables, times, attributes, and foreign words made safe.

use std::io::{self, Write};

use comfy_table::{ColumnConstraint, ContentLineStyle, LineStyle, Table, TableStyle, Width};
use jiff::{SignedDuration, Timestamp};

use crate::types::RouteAttributes;

/// Stands in a cell that has nothing to say.
pub(super) const NOTHING: &str = "-";

/// The borders that `calicoctl` draws, which operators' scripts may already cut apart.
const BORDERS: TableStyle = {
    let line = LineStyle::new('+', '-', '+', '+');
    let content = ContentLineStyle::new('|', '|', '|');
    TableStyle::new()
        .top_border(line)
        .header_lines(content)
        .header_separator(line)
        .content_lines(content)
        .bottom_border(line)
};

/// A table as wide as its content: nothing is cut off or wrapped, so that every row is one line
/// for the tools it is piped into.
pub(super) fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Table {
    let mut table = Table::new();
    table.load_style(BORDERS).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    table
}

/// A table of any length, printed in parts: no more of it is held than one of them. Its columns are
/// as wide as the parts so far needed.
pub(super) struct LongTable<const COLUMNS: usize> {
    header: [&'static str; COLUMNS],
    widths: [u16; COLUMNS],
    /// The line at its end, once there is something above it.
    bottom: Option<String>,
}

/// The lines above the first row: a border, the header, and another border.
const HEADER_LINES: usize = 3;

impl<const COLUMNS: usize> LongTable<COLUMNS> {
    pub(super) fn new(header: [&'static str; COLUMNS]) -> Self {
        Self {
            header,
            widths: [0; COLUMNS],
            bottom: None,
        }
    }

    /// Whether nothing was printed.
    pub(super) fn is_empty(&self) -> bool {
        self.bottom.is_none()
    }

    /// Prints a part, at least one row.
    ///
    /// # Errors
    /// Only those of `out`.
    pub(super) fn print(
        &mut self,
        rows: Vec<[String; COLUMNS]>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut table = table(self.header, rows);
        let widths = table.column_max_content_widths();
        for (width, needed) in self.widths.iter_mut().zip(widths) {
            *width = needed.max(*width);
        }
        for (column, width) in table.column_iter_mut().zip(self.widths) {
            let padded = width + PADDING;
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(padded)));
        }
        let text = table.to_string();
        let above = if self.is_empty() { 0 } else { HEADER_LINES };
        let mut lines = text.lines().skip(above).peekable();
        while let Some(line) = lines.next() {
            if lines.peek().is_some() {
                writeln!(out, "{line}")?;
            } else {
                self.bottom = Some(line.to_owned());
            }
        }
        Ok(())
    }

    /// Prints the end.
    ///
    /// # Errors
    /// Only those of `out`.
    pub(super) fn end(self, out: &mut dyn Write) -> io::Result<()> {
        match self.bottom {
            Some(line) => writeln!(out, "{line}"),
            None => Ok(()),
        }
    }
}

/// A space on either side of what is in a cell.
const PADDING: u16 = 2;

/// Text of a peer, a module or the API server on one line and without control characters, which
/// could otherwise break a table or command the reader's terminal. White space of any kind and
/// length becomes one space, any other control character its escape.
pub(super) fn printable(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut printed = String::with_capacity(text.len());
    for character in words.join(" ").chars() {
        if character.is_control() {
            printed.extend(character.escape_default());
        } else {
            printed.push(character);
        }
    }
    printed
}

/// A moment as `calicoctl` prints it: the time if it is within a day of `now`, else the date,
/// both in UTC. `at` is in seconds since 1970.
pub(super) fn since(at: u64, now: Timestamp) -> String {
    let moment = i64::try_from(at).map(Timestamp::from_second);
    let Ok(Ok(moment)) = moment else {
        return NOTHING.to_owned();
    };
    let format = if now.duration_since(moment).abs() < SignedDuration::from_hours(24) {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d"
    };
    moment.strftime(format).to_string()
}

/// The attributes a policy gave a route, in words; empty for a route with none.
pub(super) fn attributes(attributes: &RouteAttributes) -> String {
    let RouteAttributes {
        med,
        local_pref,
        prepend,
        next_hop,
        communities,
        large_communities,
        extended_communities,
    } = attributes;
    let mut words = Vec::new();
    words.extend(med.map(|med| format!("MED {med}")));
    words.extend(local_pref.map(|preference| format!("local preference {preference}")));
    words.extend((*prepend > 0).then(|| format!("prepend {prepend}")));
    words.extend(next_hop.map(|address| format!("next hop {address}")));
    words.extend(list("communities", communities));
    words.extend(list("large communities", large_communities));
    words.extend(list("extended communities", extended_communities));
    words.join(", ")
}

fn list(name: &str, items: &[impl ToString]) -> Option<String> {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    (!items.is_empty()).then(|| format!("{name} {}", items.join(" ")))
}

/// `text`, or [`NOTHING`] where it is empty.
pub(super) fn or_nothing(text: String) -> String {
    if text.is_empty() {
        NOTHING.to_owned()
    } else {
        text
    }
}

/// `1 route`, `2 routes`.
pub(super) fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("{number} {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

#[cfg(test)]
mod tests;
