//! TCP MD5 signatures (RFC 2385): the kernel signs and checks, we give it the keys.
//!
//! Unsafe code, for a socket option that no library wraps. It needs no
//! capability.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};

use socket2::SockAddr;

use crate::types::Password;

const KEY_BYTES_MAX: usize = 80;

/// `struct tcp_md5sig` of `linux/tcp.h`.
#[repr(C)]
struct TcpMd5Sig {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface_index: libc::c_int,
    key: [u8; KEY_BYTES_MAX],
}

/// Segments to and from `peer` on this socket are signed with `password`; `None` takes the key
/// away. On a listening socket it holds for the connections it will accept.
///
/// # Errors
/// The kernel's: `ENOENT` when a key is taken away that was not there.
#[expect(unsafe_code, reason = "no safe wrapper of TCP_MD5SIG exists")]
pub(super) fn set_key(
    socket: BorrowedFd<'_>,
    peer: IpAddr,
    password: Option<&Password>,
) -> io::Result<()> {
    let octets = password.map_or(&[][..], Password::expose);
    let mut key = [0; KEY_BYTES_MAX];
    key[..octets.len()].copy_from_slice(octets);
    // SAFETY: `as_storage` copies a fully initialised sockaddr_storage of the same layout.
    let address =
        unsafe { std::mem::transmute_copy(&SockAddr::from(SocketAddr::new(peer, 0)).as_storage()) };
    let option = TcpMd5Sig {
        address,
        flags: 0,
        prefix_length: 0,
        key_length: u16::try_from(octets.len()).expect("a Password has at most 80 octets"),
        interface_index: 0,
        key,
    };
    let length = libc::socklen_t::try_from(size_of::<TcpMd5Sig>()).expect("216 octets");
    // SAFETY: the pointer and length describe `option`, which outlives the call; the kernel only
    // reads it.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_MD5SIG,
            (&raw const option).cast(),
            length,
        )
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_kernel_takes_and_forgets_a_key() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = IpAddr::from([127, 0, 0, 9]);
        let password = Password::new(b"secret").unwrap();
        set_key(listener.as_fd(), peer, Some(&password)).unwrap();
        set_key(listener.as_fd(), peer, None).unwrap();
        let error = set_key(listener.as_fd(), peer, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
