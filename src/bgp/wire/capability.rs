//! Capabilities (RFC 5492).

use crate::types::{Asn, Family};

/// One capability of an OPEN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Carries routes of this family (RFC 4760). Families we do not know are [`Self::Unknown`].
    Multiprotocol(Family),
    /// Answers ROUTE-REFRESH (RFC 2918).
    RouteRefresh,
    /// Speaks AS numbers of four octets (RFC 6793).
    FourOctetAsn(Asn),
    /// Any other, kept as it came.
    Unknown {
        /// Its code.
        code: u8,
        /// Its value.
        value: Vec<u8>,
    },
}
