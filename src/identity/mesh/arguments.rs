//! What the mesh's own containers are told by their arguments. Each function gives the first thing that the injector would not have
//! written: a flag that it does not set fails whatever it means, since `--simulate` alone would leave every packet where it was.

use std::net::{IpAddr, SocketAddr};

use super::super::pod::Container;
use super::skip::{entries, is_allowed};
use super::words::{ISTIO_UID, Words};
use super::written;
use crate::object::quoted;
use crate::settings::Mesh;

/// Programs that `linkerd-init` may program the kernel with; `-save` at the end is the one that reads it back.
const FIREWALLS: [&str; 3] = ["iptables", "iptables-nft", "iptables-legacy"];

/// Where Linkerd's validator connects to: addresses that nothing answers at unless the traffic is redirected.
const UNANSWERED: [&str; 2] = ["1.1.1.1:20001", "[fd00::1]:20001"];

/// Flags and their values; `bare` ones have none. One flag more than once comes more than once.
fn flags<'a>(container: &'a Container<'a>, bare: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
    let mut arguments = container.words.iter().filter(|word| word.field == "args").map(|word| word.text);
    std::iter::from_fn(move || {
        let argument = arguments.next()?;
        Some(match argument.split_once('=').filter(|_| argument.starts_with("--")) {
            Some(pair) => pair,
            None if bare.contains(&argument) => (argument, ""),
            None => (argument, arguments.next().unwrap_or_default()),
        })
    })
}

fn unexpected(flag: &str, value: &str, expected: &str) -> String {
    format!("`{flag}` is `{}`, not {expected}", quoted(value))
}

fn foreign(flag: &str) -> String {
    format!("`{}` is no flag that the injector sets", quoted(flag))
}

/// What of a list of ports or networks may not go past the proxy.
fn past(flag: &str, list: &str, mesh: &Mesh, own: &[u16]) -> Option<String> {
    let entry = entries(list).find(|entry| !is_allowed(entry, &mesh.allowed_skip, own))?;
    Some(format!("`{flag}` lets `{}` past the proxy, which `mesh.allowedSkip` does not list", quoted(entry)))
}

/// Whether `linkerd-init` redirects all but what the settings allow, to where the proxy listens.
pub(super) fn linkerd_init(container: &Container<'_>, mesh: &Mesh, words: &Words) -> Option<String> {
    flags(container, &["--ipv6", "--use-wait-flag"]).find_map(|(flag, value)| {
        if written::is_word(flag, value, mesh) {
            return None;
        }
        let is_uid = value.parse() == Ok(mesh.proxy_uid);
        let firewall = |program: Option<&str>| program.is_some_and(|program| FIREWALLS.contains(&program));
        match flag {
            "--proxy-uid" | "--proxy-gid" => (!is_uid).then(|| unexpected(flag, value, &mesh.proxy_uid.to_string())),
            "--incoming-proxy-port" => (value != "4143").then(|| unexpected(flag, value, "4143, where the proxy listens")),
            "--outgoing-proxy-port" => (value != "4140").then(|| unexpected(flag, value, "4140, where the proxy listens")),
            "--firewall-bin-path" => (!firewall(Some(value))).then(|| unexpected(flag, value, "a firewall of the mesh's image")),
            "--firewall-save-bin-path" => {
                (!firewall(value.strip_suffix("-save"))).then(|| unexpected(flag, value, "a firewall of the mesh's image"))
            }
            "--iptables-mode" => (!matches!(value, "legacy" | "nft")).then(|| unexpected(flag, value, "`legacy` or `nft`")),
            "--inbound-ports-to-ignore" | "--outbound-ports-to-ignore" | "--subnets-to-ignore" => past(flag, value, mesh, words.own_ports),
            "--timeout-close-wait-secs" | "--log-format" | "--log-level" | "--ipv6" | "--use-wait-flag" => None,
            flag => Some(foreign(flag)),
        }
    })
}

/// Whether Linkerd's validator would fail without a redirection: it must connect to where nobody answers, and listen where the
/// redirection leads.
pub(super) fn linkerd_validator(container: &Container<'_>, mesh: &Mesh) -> Option<String> {
    flags(container, &[]).find_map(|(flag, value)| {
        if written::is_word(flag, value, mesh) {
            return None;
        }
        match flag {
            "--connect-addr" => (!UNANSWERED.contains(&value)).then(|| unexpected(flag, value, "where nobody answers: `1.1.1.1:20001`")),
            "--listen-addr" => (!listens_at(value, 4140)).then(|| unexpected(flag, value, "where the redirection leads: `0.0.0.0:4140`")),
            "--timeout" | "--log-format" | "--log-level" => None,
            flag => Some(foreign(flag)),
        }
    })
}

/// Whether an address, or each of several, is this port of the pod itself.
pub(super) fn listens_at(addresses: &str, port: u16) -> bool {
    addresses.split(',').all(|address| {
        let address = address.trim().parse::<SocketAddr>();
        address.is_ok_and(|address| {
            let ip = match address.ip() {
                IpAddr::V6(ip) => ip.to_canonical(),
                ip @ IpAddr::V4(_) => ip,
            };
            address.port() == port && (ip.is_unspecified() || ip.is_loopback())
        })
    })
}

/// Whether Istio's agent is started as the injector starts it.
pub(super) fn istio_proxy(container: &Container<'_>, mesh: &Mesh) -> Option<String> {
    let mut flags = flags(container, &["--log_as_json"]);
    if flags.next() != Some(("proxy", "sidecar")) {
        return Some("proxy is not started as `proxy sidecar`".to_owned());
    }
    flags.find_map(|(flag, value)| {
        let is_known = matches!(
            flag,
            "--domain"
                | "--proxyLogLevel"
                | "--proxyComponentLogLevel"
                | "--log_output_level"
                | "--log_as_json"
                | "--stsPort"
                | "--outlierLogPath"
                | "--serviceCluster"
                | "--trust-domain"
                | "--concurrency"
        );
        (!is_known && !written::is_word(flag, value, mesh)).then(|| foreign(flag))
    })
}

/// Whether `istio-iptables` redirects all but what the settings allow or, as validator, fails where that was not done. What it is not
/// told to capture it does not.
pub(super) fn istio_iptables(container: &Container<'_>, mesh: &Mesh, words: &Words, validates: bool) -> Option<String> {
    const BARE: [&str; 6] =
        ["istio-iptables", "--log_as_json", "--run-validation", "--skip-rule-apply", "--force-apply", "--native-nftables"];
    let mut flags = flags(container, &BARE);
    if flags.next() != Some(("istio-iptables", "")) {
        return Some("container does not run `istio-iptables`".to_owned());
    }
    let (mut inbound, mut outbound, mut applies, mut checks) = (false, false, true, false);
    let all = |value: &str| value == "*" || mesh.allowed_skip.iter().any(|listed| listed == "*");
    let wrong = flags.find_map(|(flag, value)| {
        inbound |= flag == "-b";
        outbound |= flag == "-i";
        applies &= flag != "--skip-rule-apply";
        checks |= flag == "--run-validation";
        if written::is_word(flag, value, mesh) {
            return None;
        }
        match flag {
            "-p" => (value != "15001").then(|| unexpected(flag, value, "15001, where the proxy listens")),
            "-z" => (value != "15006").then(|| unexpected(flag, value, "15006, where the proxy listens")),
            "-u" | "-g" => (value.parse() != Ok(ISTIO_UID)).then(|| unexpected(flag, value, &ISTIO_UID.to_string())),
            "-m" => (!matches!(value, "REDIRECT" | "TPROXY")).then(|| unexpected(flag, value, "`REDIRECT` or `TPROXY`")),
            "-i" | "-b" => (!all(value)).then(|| unexpected(flag, value, "`*`, so the rest goes past the proxy")),
            "-x" | "-d" | "-o" | "-c" | "-k" => past(flag, value, mesh, words.own_ports),
            "-q" | "--log_output_level" => None,
            flag if BARE.contains(&flag) && value.is_empty() => None,
            flag => Some(foreign(flag)),
        }
    });
    if wrong.is_some() {
        return wrong;
    }
    if !inbound || !outbound {
        let flag = if inbound { "-i" } else { "-b" };
        return Some(format!("`{flag} *` is not set, so nothing is led to the proxy"));
    }
    if validates && !checks {
        return Some("`--run-validation` is not set, so nothing is checked".to_owned());
    }
    (!validates && !applies).then(|| "`--skip-rule-apply` leaves every packet where it was".to_owned())
}
