//! Learned routes and the peers they come from, as people write them and as the agent records
//! them. What they leave out is filled in by [`scene`](super::scene).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::written::extended;
use crate::facts::StringMap;
use crate::policy::{LearnedPath, PathOrigin, PathSegment, SegmentKind};
use crate::types::{
    Asn, Community, ExtendedCommunity, LargeCommunity, Prefix, RouteAttributes, RouterId,
};

/// A peer that routes are learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Peer {
    /// Its name in the configuration.
    pub name: String,
    /// Its address; one for documentation where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Its BGP Identifier; its address, where that is IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_id: Option<RouterId>,
    /// Its group, one of the file's; absent: the one of its own name, else the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_group: Option<String>,
    /// Its AS; that of its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<Asn>,
    /// The operator's labels; those of its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<StringMap>,
}

/// A route as a peer announced it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Learned {
    /// Where to.
    pub prefix: Prefix,
    /// The peer's name; the case's peer, else the first of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// ORIGIN; IGP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<OriginText>,
    /// AS_PATH; the AS of an external peer, nothing from an internal one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_path: Option<PathText>,
    /// NEXT_HOP; the peer's address, where that is of the prefix's family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<IpAddr>,
    /// MULTI_EXIT_DISC; none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// LOCAL_PREF; none. Internal peers alone send one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// Written `64512:100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub communities: Option<Vec<Community>>,
    /// Written `64512:1:2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_communities: Option<Vec<LargeCommunity>>,
    /// Written as `explain` prints them: `0x0004fc004db2d05e`.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "extended::optional"
    )]
    pub extended_communities: Option<Vec<ExtendedCommunity>>,
}

/// ORIGIN as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OriginText {
    /// Interior to the originating AS.
    Igp,
    /// By EGP.
    Egp,
    /// By some other means.
    Incomplete,
}

/// AS_PATH as `rutter routes --received` prints it: the nearest AS first, sets in braces, as in
/// `64513 64514 {64520,64521}`. Sequences that follow each other are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathText(pub Vec<PathSegment>);

impl Learned {
    /// A route of a peer, written down.
    #[must_use]
    pub fn recorded(
        peer: &str,
        prefix: Prefix,
        path: LearnedPath,
        attributes: RouteAttributes,
    ) -> Self {
        let LearnedPath { origin, as_path } = path;
        let RouteAttributes {
            med,
            local_pref,
            prepend: _, // is nothing that a peer sends
            next_hop,
            communities,
            large_communities,
            extended_communities,
        } = attributes;
        Self {
            prefix,
            peer: Some(peer.to_owned()),
            origin: (origin != PathOrigin::Igp).then(|| origin.into()),
            as_path: Some(PathText(as_path)),
            next_hop,
            med,
            local_pref,
            communities: some(communities),
            large_communities: some(large_communities),
            extended_communities: some(extended_communities),
        }
    }

    /// This, and what it leaves out as `base` has it.
    pub(super) fn or(self, base: Self) -> Self {
        Self {
            prefix: self.prefix,
            peer: self.peer.or(base.peer),
            origin: self.origin.or(base.origin),
            as_path: self.as_path.or(base.as_path),
            next_hop: self.next_hop.or(base.next_hop),
            med: self.med.or(base.med),
            local_pref: self.local_pref.or(base.local_pref),
            communities: self.communities.or(base.communities),
            large_communities: self.large_communities.or(base.large_communities),
            extended_communities: self.extended_communities.or(base.extended_communities),
        }
    }
}

fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

impl From<PathOrigin> for OriginText {
    fn from(origin: PathOrigin) -> Self {
        match origin {
            PathOrigin::Igp => Self::Igp,
            PathOrigin::Egp => Self::Egp,
            PathOrigin::Incomplete => Self::Incomplete,
        }
    }
}

impl From<OriginText> for PathOrigin {
    fn from(origin: OriginText) -> Self {
        match origin {
            OriginText::Igp => Self::Igp,
            OriginText::Egp => Self::Egp,
            OriginText::Incomplete => Self::Incomplete,
        }
    }
}

/// A text that is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no path: write AS numbers, the nearest first and sets in braces, as in 64513 64514 \
     {{64520,64521}}"
)]
pub struct InvalidPath(String);

impl FromStr for PathText {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidPath(text.to_owned());
        let asn = |digits: &str| digits.parse().map(Asn).map_err(|_| invalid());
        let mut segments: Vec<PathSegment> = Vec::new();
        for word in text.split_whitespace() {
            let members = word
                .strip_prefix('{')
                .and_then(|word| word.strip_suffix('}'));
            if let Some(members) = members {
                segments.push(PathSegment {
                    kind: SegmentKind::Set,
                    asns: members.split(',').map(asn).collect::<Result<_, _>>()?,
                });
                continue;
            }
            let asn = asn(word)?;
            match segments.last_mut() {
                Some(last) if last.kind == SegmentKind::Sequence => last.asns.push(asn),
                Some(_) | None => segments.push(PathSegment {
                    kind: SegmentKind::Sequence,
                    asns: vec![asn],
                }),
            }
        }
        Ok(Self(segments))
    }
}

impl fmt::Display for PathText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, PathSegment { kind, asns }) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            let asns: Vec<_> = asns.iter().map(ToString::to_string).collect();
            match kind {
                SegmentKind::Sequence => f.write_str(&asns.join(" "))?,
                SegmentKind::Set => write!(f, "{{{}}}", asns.join(","))?,
            }
        }
        Ok(())
    }
}

impl Serialize for PathText {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PathText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
