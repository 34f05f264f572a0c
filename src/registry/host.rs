//! Which host a name's registry is at, and what may be asked over plain HTTP.

use std::net::{IpAddr, Ipv4Addr};

/// What `docker.io` is really asked at.
const DOCKER_HUB: &str = "registry-1.docker.io";

/// Where a registry is asked: `registry-1.docker.io` for `docker.io`, else its own name.
pub(super) fn address(domain: &str) -> &str {
    if domain == "docker.io" { DOCKER_HUB } else { domain }
}

/// Whether a host, with or without a port, is this machine: nobody else can listen in.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4: Ipv4Addr| v4.is_loopback())
        }
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:5000", true),
            ("127.0.0.1:5000", true),
            ("127.8.8.8", true),
            ("[::1]:5000", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com:5000", false),
            ("10.0.0.1:5000", false),
            ("[::2]", false),
            ("docker.io", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
        assert_eq!((address("docker.io"), address("ghcr.io")), (DOCKER_HUB, "ghcr.io"));
    }
}
