//! What a session is like beyond who it is with: the keys that a peer, a template of peers and the
//! mesh have in common.

use std::num::NonZeroU8;
use std::time::Duration;

use super::raw::{Report, Section, Value};
use super::{BgpConfig, bgp, hold_time};
use crate::types::{Asn, NextHopMode};

pub(super) const KEYS: &[&str] = &[
    "next-hop",
    "local-asn",
    "allow-own-asn",
    "ttl-security",
    "keepalive-time",
];

/// What those keys say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SessionOptions {
    pub(super) next_hop_mode: NextHopMode,
    pub(super) local_asn: Option<Asn>,
    pub(super) own_asn_allowed: u8,
    pub(super) ttl_security: Option<NonZeroU8>,
    pub(super) keepalive_time: Option<Duration>,
}

pub(super) fn read(section: &Section<'_>, bgp: &BgpConfig, report: &mut Report) -> SessionOptions {
    const NEXT_HOPS: [(&str, NextHopMode); 3] = [
        ("auto", NextHopMode::Auto),
        ("self", NextHopMode::SelfAddress),
        ("keep", NextHopMode::Keep),
    ];
    let next_hop = section.value("next-hop");
    let next_hop_mode = next_hop.and_then(|value| value.choice(&NEXT_HOPS, report));
    let local_asn = section.value("local-asn");
    let own_asn_allowed = section.value("allow-own-asn");
    let own_asn_allowed = own_asn_allowed.and_then(|value| octet(&value, 0, report));
    let ttl_security = section.value("ttl-security");
    let ttl_security = ttl_security.and_then(|value| octet(&value, 1, report));
    let keepalive_time = section.value("keepalive-time");
    SessionOptions {
        next_hop_mode: next_hop_mode.unwrap_or_default(),
        local_asn: local_asn.and_then(|value| bgp::asn(&value, report)),
        own_asn_allowed: own_asn_allowed.unwrap_or_default(),
        ttl_security: ttl_security.and_then(NonZeroU8::new),
        keepalive_time: keepalive_time.and_then(|value| keepalive(&value, bgp, report)),
    }
}

fn octet(value: &Value<'_>, min: u32, report: &mut Report) -> Option<u8> {
    let number = value.integer(min, u8::MAX.into(), report)?;
    u8::try_from(number).ok()
}

fn keepalive(value: &Value<'_>, bgp: &BgpConfig, report: &mut Report) -> Option<Duration> {
    let text = value.text("a time with its unit, such as \"20s\"", report)?;
    let hold_time = bgp.hold_time.as_secs();
    match hold_time::seconds(text) {
        // RFC 4271 4.4: never more often than each second.
        Some(seconds) if (1..u64::from(hold_time)).contains(&seconds) => {
            Some(Duration::from_secs(seconds))
        }
        Some(_) => {
            let problem = format!(
                "is {text:?}; write at least \"1s\" and less than bgp.hold-time, which is \
                 \"{hold_time}s\""
            );
            value.problem(problem, report);
            None
        }
        None => {
            let problem = format!("is {text:?}; write a time with its unit, such as \"20s\"");
            value.problem(problem, report);
            None
        }
    }
}
