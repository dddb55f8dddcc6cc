//! The generalized TTL security mechanism (RFC 5082): what we send starts with the highest TTL there
//! is, and of a peer that is to be near, the kernel drops what has come from farther.
//!
//! Unsafe code, for socket options that no library wraps.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What every segment of ours starts with (RFC 5082 section 3).
pub(super) const TTL_MAX: u32 = 255;

/// Segments on this socket count only if they come from `peer` over at most so many hops, the peer on
/// our own network being one away.
///
/// # Errors
/// The kernel's.
#[expect(unsafe_code, reason = "no safe wrapper of IP_MINTTL exists")]
pub(super) fn demand_near(socket: BorrowedFd<'_>, peer: IpAddr, hops: NonZeroU8) -> io::Result<()> {
    let (level, option) = match peer {
        IpAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MINTTL),
        IpAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MINHOPCOUNT),
    };
    let least = libc::c_int::from(u8::MAX - (hops.get() - 1));
    let length = libc::socklen_t::try_from(size_of_val(&least)).expect("four octets");
    // SAFETY: the pointer and length describe `least`, which outlives the call; the kernel only
    // reads it.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const least).cast(),
            length,
        )
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
