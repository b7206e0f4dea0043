//! Where the requests go: an https URL that stays on this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::Uri;
use rustls::pki_types::ServerName;

/// A checked URL. No other type opens a socket here, so nothing but loopback is ever loaded.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) uri: Uri,
    pub(crate) address: SocketAddr,
    pub(crate) server_name: ServerName<'static>,
}

impl Target {
    /// Reads `https://HOST:PORT/PATH?QUERY` with HOST one of `127.0.0.1`, `[::1]`, `localhost`.
    ///
    /// `localhost` is taken as 127.0.0.1 and never resolved: a hosts file could say otherwise.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("`{url}` is not a URL: {error}"))?;
        if uri.scheme_str() != Some("https") {
            return Err(format!("`{url}` must begin with https://"));
        }
        let host = uri.host().unwrap_or_default();
        let ip = match host {
            "localhost" | "127.0.0.1" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            "[::1]" => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
            _ => {
                return Err(format!("`{host}` is not loopback: use 127.0.0.1, [::1] or localhost"));
            }
        };
        let server_name = if host == "localhost" {
            ServerName::try_from("localhost").map_err(|error| format!("`{url}`: {error}"))?
        } else {
            ServerName::from(ip)
        };
        let address = SocketAddr::new(ip, uri.port_u16().unwrap_or(443));
        Ok(Self { uri, address, server_name })
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn loopback_is_taken() {
        for (url, address) in [
            ("https://127.0.0.1:8443/validate", "127.0.0.1:8443"),
            ("https://localhost:1/mutate?timeout=10s", "127.0.0.1:1"),
            ("https://[::1]:9/", "[::1]:9"),
            ("https://127.0.0.1/", "127.0.0.1:443"),
        ] {
            let target = Target::parse(url).expect("a loopback URL");
            assert_eq!(target.address.to_string(), address, "{url}");
        }
    }

    #[test]
    fn every_other_host_is_refused() {
        for url in [
            "https://example.com/",
            "https://127.0.0.2:1/",
            "https://0.0.0.0:1/",
            "https://localhost.example.com/",
            "https://localhost@example.com/",
            "https://[::ffff:127.0.0.1]:1/",
        ] {
            let reason = Target::parse(url).expect_err(url);
            assert!(reason.contains("is not loopback"), "{url}: {reason}");
        }
    }

    #[test]
    fn plain_http_is_refused() {
        let reason = Target::parse("http://127.0.0.1:80/").expect_err("no TLS");
        assert!(reason.contains("must begin with https://"), "{reason}");
    }
}
