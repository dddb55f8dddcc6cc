//! What makes a speaker one of those that know AS numbers of two octets only (RFC 6793 calls them
//! OLD): its OPEN and the one it is answered with lack the capability.

use rutter::bgp::wire::HEADER_BYTES;

const OPEN: u8 = 1;
/// Version, AS, hold time and identifier: what comes before the optional parameters.
const FIXED_BYTES: usize = 9;
const CAPABILITIES_PARAMETER: u8 = 2;
const FOUR_OCTET_ASN: u8 = 65;
/// For private use (IANA): nobody knows what it means.
const UNHEARD_OF: u8 = 254;

/// Makes the 4-octet AS capability of every OPEN among these messages one that nobody knows, of
/// the same length: a driver counts octets. What is no OPEN stays as it is.
pub(super) fn forget_four_octets(messages: &mut [u8]) {
    let mut rest = messages;
    while rest.len() >= HEADER_BYTES {
        let length = usize::from(u16::from_be_bytes([rest[16], rest[17]]));
        if length < HEADER_BYTES || length > rest.len() {
            return;
        }
        let (message, behind) = rest.split_at_mut(length);
        if message[HEADER_BYTES - 1] == OPEN {
            rename_capability(&mut message[HEADER_BYTES + FIXED_BYTES + 1..]);
        }
        rest = behind;
    }
}

fn rename_capability(mut parameters: &mut [u8]) {
    while let [kind, length, rest @ ..] = parameters {
        let (value, behind) = rest.split_at_mut(usize::from(*length));
        if *kind == CAPABILITIES_PARAMETER {
            let mut capabilities = value;
            while let [code, length, rest @ ..] = capabilities {
                if *code == FOUR_OCTET_ASN {
                    *code = UNHEARD_OF;
                }
                capabilities = &mut rest[usize::from(*length)..];
            }
        }
        parameters = behind;
    }
}
