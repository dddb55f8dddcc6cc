//! Where an answer may lead: to a place that it sends on to, to a server of tokens, to one for uploads.
//!
//! Whoever answers is believed in what it has, not in whom we ask next: never without TLS but on this
//! host, and from no other host to this one, where servers may trust whoever reaches them. Hosts are
//! judged by how they are written; what a name resolves to is not asked.

use std::net::{IpAddr, Ipv6Addr};

use hyper::Uri;

use crate::config::is_loopback;

/// Whether what `from` says may lead to `to`.
///
/// # Errors
/// Why not, to be read after where to.
pub(super) fn check_way(from: &Uri, to: &Uri) -> Result<(), &'static str> {
    let authority = to.authority().ok_or("which names no host")?;
    if authority.as_str().contains('@') {
        return Err("with a name or a password in it");
    }
    match to.scheme_str() {
        Some("https") => {}
        Some("http") if !is_loopback(authority.as_str()) => {
            return Err("without TLS to another host");
        }
        Some("http") if from.scheme_str() != Some("http") => return Err("from TLS to none"),
        Some("http") => {}
        Some(_) | None => return Err("which is neither https: nor http:"),
    }
    if may_be_this_host(authority.host()) && !from.host().is_some_and(may_be_this_host) {
        return Err("from another host to this one");
    }
    Ok(())
}

/// Whether both are of one scheme, host and port, as they are written.
pub(super) fn same_origin(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && one.authority() == other.authority()
}

/// Whether a host, as URLs write it, is this one or may be: by name, or by an address in any of the
/// ways that resolvers read one.
fn may_be_this_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if let Some(v6) = host.strip_prefix('[') {
        let address = v6.trim_end_matches(']').parse::<Ipv6Addr>();
        return address.is_ok_and(|address| match address.to_canonical() {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_unspecified(),
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified(),
        });
    }
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => {
            let last = host.rsplit('.').next().unwrap_or_default();
            // 2130706433, 0x7f.1, 0177.0.0.1 and their like; no name of a host ends in a number.
            let is_number = last.starts_with(|digit: char| digit.is_ascii_digit())
                && last
                    .bytes()
                    .all(|digit| digit.is_ascii_hexdigit() || digit == b'x');
            last == "localhost" || is_number
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(from: &str, to: &str) -> Result<(), &'static str> {
        check_way(&from.parse().unwrap(), &to.parse().unwrap())
    }

    #[test]
    fn an_answer_leads_to_tls_only_and_on_this_host_to_this_host() {
        for (from, to) in [
            ("https://a.example/", "https://b.example/x"),
            ("https://a.example/", "https://a.example:8443/x"),
            ("https://a.example/", "https://192.0.2.1/x"),
            ("http://127.0.0.1:5000/", "http://localhost:6000/x"),
            ("http://[::1]/", "https://a.example/x"),
            ("http://localhost/", "https://localhost/x"),
        ] {
            assert_eq!(way(from, to), Ok(()), "{from} {to}");
        }
        let (plain, none) = ("without TLS to another host", "from TLS to none");
        for (from, to, problem) in [
            ("https://a.example/", "http://b.example/", plain),
            ("https://a.example/", "http://a.example/", plain),
            ("http://localhost/", "http://localhost.evil/", plain),
            ("http://localhost/", "http://192.0.2.1/", plain),
            ("http://localhost/", "http://2130706433/", plain),
            ("https://localhost/", "http://localhost/", none),
            ("https://a.example/", "http://127.0.0.1/", none),
            (
                "http://localhost/",
                "ftp://localhost/",
                "which is neither https: nor http:",
            ),
        ] {
            assert_eq!(way(from, to), Err(problem), "{from} {to}");
        }
    }

    #[test]
    fn who_is_asked_is_told_by_the_host_and_not_by_what_stands_before_it() {
        for to in [
            "http://127.0.0.1:0@registry.example/",
            "http://localhost@registry.example/",
            "http://localhost:pw@registry.example:80/",
            "https://user:password@registry.example/",
            "https://registry.example@localhost/",
        ] {
            for from in ["http://localhost/", "https://a.example/"] {
                assert_eq!(
                    way(from, to),
                    Err("with a name or a password in it"),
                    "{to}"
                );
            }
        }
    }

    #[test]
    fn nobody_else_leads_to_this_host_however_it_is_written() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9:443",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "0",
            "0.0.0.0",
            "[::1]",
            "[::]:443",
            "[::ffff:127.0.0.1]",
        ] {
            let to = format!("https://{host}/");
            let from_another = way("https://a.example/", &to);
            assert_eq!(from_another, Err("from another host to this one"), "{host}");
            assert_eq!(way("https://localhost/", &to), Ok(()), "{host}");
        }
        for host in [
            "localhost.example",
            "127.0.0.1.example",
            "[2001:db8::1]",
            "10.0.0.1",
            "a1.b2",
        ] {
            let to = format!("https://{host}/");
            assert_eq!(way("https://a.example/", &to), Ok(()), "{host}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same =
            |one: &str, other: &str| same_origin(&one.parse().unwrap(), &other.parse().unwrap());
        assert!(same("https://a.example/x", "https://A.example/y?z"));
        assert!(!same("https://a.example/", "http://a.example/"));
        assert!(!same("https://a.example/", "https://a.example:8443/"));
        assert!(!same("https://a.example/", "https://b.example/"));
    }
}
