//! An answer of any length, read line by line: no more of it is held than a line and what came with
//! it.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::{Client, ClientError};

/// The longest line taken. A route is on one, with the words of every policy about it.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is still to come of an answer.
#[derive(Debug)]
pub(in crate::cli) struct Lines {
    client: Client,
    body: Incoming,
    /// What came behind the last line.
    rest: Vec<u8>,
    /// Octets of `rest` that are in no line to come.
    consumed: usize,
}

impl Lines {
    pub(super) fn new(client: Client, body: Incoming) -> Self {
        Self {
            client,
            body,
            rest: Vec::new(),
            consumed: 0,
        }
    }

    /// The next line, without its end; none where the answer ends.
    ///
    /// # Errors
    /// The agent says nothing for too long, or breaks off.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<String>, ClientError> {
        let mut searched = self.consumed;
        loop {
            if let Some(end) = self.rest[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.rest[self.consumed..searched + end].to_vec();
                self.consumed = searched + end + 1;
                let line = String::from_utf8(line).map_err(|error| self.broken(error))?;
                return Ok(Some(line));
            }
            self.rest.drain(..self.consumed);
            self.consumed = 0;
            searched = self.rest.len();
            if searched > LINE_BYTES_MAX {
                return Err(self.broken("a line is too long"));
            }
            let frame = async { Ok(self.body.frame().await) };
            let Some(frame) = self.client.in_time(frame).await? else {
                return if self.rest.is_empty() {
                    Ok(None)
                } else {
                    Err(self.broken("the last line has no end"))
                };
            };
            let frame = frame.map_err(|error| self.broken(error))?;
            if let Some(octets) = frame.data_ref() {
                self.rest.extend_from_slice(octets);
            }
        }
    }

    /// The answer is not shaped as this program expects.
    pub(in crate::cli) fn skew(&self, source: serde_json::Error) -> ClientError {
        self.client.skew(source)
    }

    /// The answer ended before its end.
    pub(in crate::cli) fn broken(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> ClientError {
        self.client.broken(source.into())
    }
}
