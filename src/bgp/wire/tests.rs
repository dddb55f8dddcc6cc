//! Tests of the whole codec: vectors written by hand from the RFCs, the rules of RFC 7606 one by
//! one, round trips and hostile input.

mod hostile;
mod notification;
mod open;
mod rfc6793;
mod rfc7606;
mod round_trip;
mod strategies;
mod updates;
mod vectors;

use super::*;
use crate::types::{Asn, HoldTime, Prefix, RouterId};

const EXTERNAL: CodecContext = CodecContext {
    as_width: AsWidth::FourOctets,
    peering: Peering::External,
    first_as: None,
};
const INTERNAL: CodecContext = CodecContext {
    as_width: AsWidth::FourOctets,
    peering: Peering::Internal,
    first_as: None,
};
const OLD: CodecContext = CodecContext {
    as_width: AsWidth::TwoOctets,
    peering: Peering::External,
    first_as: None,
};

/// Octets from hexadecimal; blanks, line ends and what follows a `#` mean nothing.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap().bytes())
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap())
        .collect();
    let (pairs, odd) = digits.as_chunks::<2>();
    assert!(odd.is_empty(), "odd number of digits in {text}");
    pairs.iter().map(|[high, low]| high << 4 | low).collect()
}

/// A message of this type around a body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER_BYTES + body.len()).unwrap();
    [&[0xFF; 16][..], &length.to_be_bytes(), &[kind], body].concat()
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().copied().map(prefix).collect()
}

fn router_id(text: &str) -> RouterId {
    text.parse::<std::net::Ipv4Addr>()
        .unwrap()
        .try_into()
        .unwrap()
}

/// Every message in `octets`, which end with one.
fn decode_all(octets: &[u8], context: CodecContext) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let (message, taken) = decode(rest, context).unwrap().unwrap();
        messages.push(message);
        rest = &rest[taken..];
    }
    messages
}

fn encoded(message: &Message, context: CodecContext) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(context, &mut out);
    out
}

/// The UPDATE that this message is.
#[track_caller]
fn into_update(message: Message) -> Update {
    let Message::Update(update) = message else {
        panic!("expected an UPDATE, got {message:?}");
    };
    update
}
