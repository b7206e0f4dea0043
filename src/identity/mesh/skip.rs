//! What may go past the proxy: ports, ranges of ports and networks, compared by what they mean and not by how they are written.

use std::net::IpAddr;

/// Whether everything that an entry names is in the setting `mesh.allowedSkip`, or among the ports in `own`.
///
/// What is neither a port, a range nor a network (a name, a wildcard) is allowed only if it is listed word for word.
pub(super) fn is_allowed(entry: &str, allowed: &[String], own: &[u16]) -> bool {
    if allowed.iter().any(|listed| listed == "*" || listed == entry) {
        return true;
    }
    if let Some(ports) = Ports::parse(entry) {
        return ports
            .are_within(allowed.iter().filter_map(|listed| Ports::parse(listed)).chain(own.iter().map(|port| Ports(*port, *port))));
    }
    Network::parse(entry)
        .is_some_and(|network| allowed.iter().filter_map(|listed| Network::parse(listed)).any(|listed| listed.contains(network)))
}

/// The entries of an annotation or a flag; blanks and empty ones are nothing.
pub(super) fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// Ports from the first to the last.
#[derive(Clone, Copy)]
struct Ports(u16, u16);

impl Ports {
    fn parse(entry: &str) -> Option<Self> {
        let port = |text: &str| text.trim().parse::<u16>().ok();
        let ports = match entry.split_once('-') {
            Some((first, last)) => Self(port(first)?, port(last)?),
            None => Self(port(entry)?, port(entry)?),
        };
        (ports.0 <= ports.1).then_some(ports)
    }

    /// Whether the union of the listed ranges holds every port.
    fn are_within(self, listed: impl Iterator<Item = Self>) -> bool {
        let mut listed: Vec<Self> = listed.collect();
        listed.sort_unstable_by_key(|range| range.0);
        let mut next = u32::from(self.0);
        for range in listed.iter().filter(|range| range.1 >= self.0) {
            if u32::from(range.0) > next {
                break;
            }
            next = next.max(u32::from(range.1) + 1);
        }
        next > u32::from(self.1)
    }
}

/// A network as CIDR; an address by itself is a network of one.
#[derive(Clone, Copy)]
struct Network {
    address: u128,
    prefix: u32,
    bits: u32,
}

impl Network {
    fn parse(entry: &str) -> Option<Self> {
        let (address, prefix) = entry.split_once('/').map_or((entry, None), |(address, prefix)| (address, Some(prefix)));
        let (address, bits) = match address.parse().ok()? {
            IpAddr::V4(address) => (u128::from(address.to_bits()), 32),
            IpAddr::V6(address) => (address.to_bits(), 128),
        };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= bits)?,
            None => bits,
        };
        Some(Self { address, prefix, bits })
    }

    fn contains(self, other: Self) -> bool {
        let host = self.bits - self.prefix;
        let start = |address: u128| address.checked_shr(host).unwrap_or(0);
        self.bits == other.bits && self.prefix <= other.prefix && start(self.address) == start(other.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_ranges_and_networks_are_compared_by_meaning() {
        let allowed = ["25", "1000-2000", "2001-2010", "10.0.0.0/8", "fd00::/16", "metrics"].map(str::to_owned);
        for (entry, expected) in [
            ("25", true),
            ("025", true),
            ("26", false),
            ("1500", true),
            ("1000-2010", true),
            ("1000-2011", false),
            ("24-25", false),
            ("1-65535", false),
            ("2000-1000", false),
            ("4190", true),
            ("65536", false),
            ("-1", false),
            ("10.1.0.0/16", true),
            ("10.1.2.3", true),
            ("10.0.0.0/7", false),
            ("11.0.0.0/8", false),
            ("0.0.0.0/0", false),
            ("::/0", false),
            ("fd00:1::/32", true),
            ("10.0.0.0/33", false),
            ("metrics", true),
            ("http", false),
            ("*", false),
        ] {
            assert_eq!(is_allowed(entry, &allowed, &[4190]), expected, "{entry}");
        }
        assert!(is_allowed("1-65535", &["*".to_owned()], &[]));
        assert!(is_allowed("0.0.0.0/0", &["0.0.0.0/0".to_owned()], &[]));
        assert!(is_allowed("1.2.3.4/31", &["0.0.0.0/0".to_owned()], &[]));
        assert_eq!(entries(" 25, ,80-81 ").collect::<Vec<_>>(), ["25", "80-81"]);
    }
}
