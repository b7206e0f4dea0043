//! Where a client of Vault connects, and whether that is one of the operator's servers (`hardening.md` A13).

use serde::Serialize;

use super::Host;
use crate::settings::Settings;

/// One address that a client of Vault connects to, or goes through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultAddress {
    /// The host, without user and path, which may hold secrets; absent where the address is not written here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Whether the address is written here whole.
    pub readable: bool,
    /// Whether its scheme is `https`.
    pub https: bool,
    /// Whether it leads to the pod itself: a listener of its own agent.
    pub local: bool,
    /// Whether it is one of the settings' addresses, or those take any.
    pub listed: bool,
    /// Where it stands.
    pub field_path: String,
}

/// The operator's servers.
#[derive(Clone, Debug)]
pub(in super::super) struct Servers<'s> {
    any: bool,
    hosts: Vec<Host<'s>>,
}

impl<'s> Servers<'s> {
    pub(in super::super) fn of(settings: &'s Settings) -> Self {
        let vault = &settings.vault;
        let urls = || vault.address.iter().chain(&vault.addresses);
        Self { any: urls().next().is_none() || urls().any(|url| url == "*"), hosts: urls().filter_map(|url| Host::of(url)).collect() }
    }

    /// An address as it is written. `in_pod` tells whether it is a pod that connects, so that loopback is its own.
    pub(in super::super) fn judge(&self, url: &str, in_pod: bool, field_path: String) -> VaultAddress {
        let (scheme, rest) = parts(url);
        // A variable can put anything in its place; behind the host it changes nothing of where this leads.
        if authority(rest).contains(['$', '`']) {
            return Self::unreadable(field_path);
        }
        if scheme == "unix" {
            return VaultAddress { host: None, readable: true, https: false, local: in_pod, listed: in_pod, field_path };
        }
        let host = authority_host(rest);
        let local = in_pod && is_loopback(&host);
        VaultAddress {
            readable: true,
            https: scheme == "https",
            local,
            listed: local || self.any || self.hosts.iter().any(|known| known.is(&host)),
            host: Some(host),
            field_path,
        }
    }

    /// An address that comes from elsewhere.
    pub(in super::super) fn unreadable(field_path: String) -> VaultAddress {
        VaultAddress { host: None, readable: false, https: false, local: false, listed: false, field_path }
    }
}

/// A URL's scheme in lower case, if it has one, and what follows it.
fn parts(url: &str) -> (String, &str) {
    let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(of_scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => (String::new(), url),
    }
}

/// The host of what follows a scheme, or of `host:port`, in lower case and without the dot of the DNS's root.
fn authority_host(rest: &str) -> String {
    let authority = authority(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let name = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#', '\\']).next().unwrap_or_default()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Host<'_> {
    /// Whether a host is this one. Of a Service any of its names in the cluster's DNS; what follows `.svc` must be the cluster's domain, or
    /// anybody's could follow.
    fn is(&self, host: &str) -> bool {
        let Some(rest) = host.get(..self.name.len()).filter(|start| start.eq_ignore_ascii_case(self.name)).and(host.get(self.name.len()..))
        else {
            return false;
        };
        rest.is_empty() || (self.service && (rest == ".svc" || rest == ".svc.cluster.local" || rest.eq_ignore_ascii_case(self.domain)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardening_a13_only_the_operators_hosts_are_listed() {
        let mut settings = Settings::default();
        settings.vault.address = Some("https://vault.vault.svc.cluster.local:8200".into());
        settings.vault.addresses = vec!["https://vault.example.com".into(), "https://bao.ops.svc.corp.internal".into()];
        let servers = Servers::of(&settings);
        for (url, listed) in [
            ("https://vault.vault.svc.cluster.local:8200", true),
            ("https://vault.vault.svc:8200", true),
            ("https://VAULT.vault", true),
            ("https://vault.vault.svc.evil.com", false),
            ("https://vault.vault.evil.com", false),
            ("https://vault.example.com./v1", true),
            ("https://vault.example.com@evil.com", false),
            ("https://user:secret@vault.example.com", true),
            ("https://evil.com#@vault.example.com", false),
            ("https://evil.com?@vault.example.com", false),
            ("https://evil.com\\@vault.example.com", false),
            ("https://vault.example.com.evil.com", false),
            ("https://xvault.example.com", false),
            ("https://bao.ops.svc.corp.internal:8200", true),
            ("https://bao.ops.svc", true),
            ("https://bao.ops.svc.evil.internal", false),
            ("https://127.0.0.1:8200", false),
            ("evil.com/?x=://vault.example.com", false),
            ("", false),
        ] {
            assert_eq!(servers.judge(url, false, String::new()).listed, listed, "{url}");
        }
        let secret = servers.judge("https://user:secret@vault.example.com/x", false, String::new());
        assert_eq!(secret.host.as_deref(), Some("vault.example.com"));
        for url in ["http://127.0.0.1:8200", "http://localhost:8200", "http://[::1]:8200", "unix:///run/agent.sock"] {
            let address = servers.judge(url, true, String::new());
            assert!(address.local && address.listed, "{url}");
        }
        for url in ["https://$(HOST)", "https://vault.example.com:$(PORT)", "$(SCHEME)://vault.example.com", "https://$HOST/", "$(ADDRESS)"]
        {
            assert!(!servers.judge(url, true, String::new()).readable, "{url}");
        }
        for url in ["http://evil.com/$(NOTHING)", "http://evil.com?$(NOTHING)"] {
            let address = servers.judge(url, true, String::new());
            assert!(address.readable && !address.listed, "{url}");
        }
        assert!(Servers::of(&Settings::default()).judge("http://anything", false, String::new()).listed, "nothing is set");
    }
}
