//! Received routes as one JSON document that is made while it is read: there may be a million of them.
//!
//! It is a [`ReceivedRoutes`](crate::api::ReceivedRoutes) with each route on a line of its own, so that
//! whoever reads it need not hold it either. A listing that cannot go on breaks off, and with it the
//! connection: half of it is never taken for the whole.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;

use super::ANSWER_TIME_MAX;
use crate::agent::received::Listing;
use crate::api::ReceivedRoute;

/// What is to be written next.
enum Next {
    First(Listing, Option<Vec<ReceivedRoute>>),
    More(Listing),
    Nothing,
}

/// The document, of which the first routes are known.
pub(super) fn response(listing: Listing, first: Option<Vec<ReceivedRoute>>) -> Response {
    let pieces = stream::try_unfold(Next::First(listing, first), |next| async {
        Ok::<_, anyhow::Error>(match next {
            Next::First(listing, Some(routes)) => {
                let piece = format!("{{\"routes\":[\n{}", lines(&routes)?);
                Some((piece, Next::More(listing)))
            }
            Next::First(_, None) => Some(("{\"routes\":[\n]}\n".to_owned(), Next::Nothing)),
            Next::More(mut listing) => {
                match tokio::time::timeout(ANSWER_TIME_MAX, listing.next()).await?? {
                    Some(routes) => Some((format!(",\n{}", lines(&routes)?), Next::More(listing))),
                    None => Some(("\n]}\n".to_owned(), Next::Nothing)),
                }
            }
            Next::Nothing => None,
        })
    });
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, Body::from_stream(pieces)).into_response()
}

fn lines(routes: &[ReceivedRoute]) -> serde_json::Result<String> {
    let lines: Result<Vec<String>, _> = routes.iter().map(serde_json::to_string).collect();
    Ok(lines?.join(",\n"))
}
