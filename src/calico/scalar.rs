//! Values as Calico writes them: AS numbers, durations, addresses with ports and lengths.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::types::Asn;

/// An AS number: 64512, `"64512"` or `"1.10"`; zero says nothing.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum AsNumber {
    Number(u64),
    Text(String),
}

impl AsNumber {
    /// # Errors
    /// What is wrong with it, to be read after its field.
    pub(super) fn read(&self) -> Result<Option<Asn>, String> {
        let number = match self {
            Self::Number(number) => u32::try_from(*number).ok(),
            Self::Text(text) => match text.split_once('.') {
                None if text.is_empty() => Some(0),
                None => text.parse().ok(),
                Some((high, low)) => match (high.parse::<u16>(), low.parse::<u16>()) {
                    (Ok(high), Ok(low)) => Some(u32::from(high) << 16 | u32::from(low)),
                    (Err(_), _) | (_, Err(_)) => None,
                },
            },
        };
        match number {
            Some(0) => Ok(None),
            Some(number) => match Asn::assignable(number) {
                Ok(asn) => Ok(Some(asn)),
                Err(error) => Err(format!("{error}; write the network's own AS number")),
            },
            None => {
                let shown = match self {
                    Self::Number(number) => number.to_string(),
                    Self::Text(text) => format!("{text:?}"),
                };
                Err(format!("is {shown}; write an AS number of four octets"))
            }
        }
    }
}

/// A duration in Go's words: `120s`, `1m30s`, `1.5h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("is {text:?}; write a duration such as 120s or 1m30s");
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, after) = rest.split_at(digits.ok_or_else(wrong)?);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(wrong()),
        };
        seconds += number.parse::<f64>().map_err(|_| wrong())? * scale;
        rest = after;
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !text.is_empty() => Ok(duration),
        Ok(_) | Err(_) => Err(wrong()),
    }
}

/// `192.0.2.1`, `192.0.2.1:1790`, `2001:db8::1`, `[2001:db8::1]:1790`.
pub(super) fn address_and_port(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address, None));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok((address.ip(), Some(address.port()))),
        Ok(_) | Err(_) => Err(format!(
            "is {text:?}; write an IP address, with a port as 192.0.2.1:1790 or [2001:db8::1]:1790"
        )),
    }
}

/// An address, with or without the length of its network: `192.0.2.1/24`.
pub(super) fn address<T: FromStr>(text: &str) -> Result<T, String> {
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    address.parse().map_err(|_| {
        format!(
            "is {text:?}; write an address of the family, such as 192.0.2.1/24 or 2001:db8::1/64"
        )
    })
}
