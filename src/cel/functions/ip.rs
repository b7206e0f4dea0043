//! IP addresses (Kubernetes 1.30), as Go's `net/netip` reads them; zones and IPv4-mapped IPv6 addresses are refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::stdlib::count;
use super::strconv::quote;
use super::{Context, Cost, Function, GLOBAL, METHOD, PARSED, no_such_overload, row};
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::opaque::{self, Opaque};
use crate::cel::types::Type;
use crate::cel::value::Value;

use Cost::{Call, Size};
use Type::{Bool, Int, String as Str};

const IP: Type = Type::Opaque(opaque::IP);

pub(super) const FUNCTIONS: &[Function] = &[
    row("ip", GLOBAL, &[Str], IP, Size(0, 1.0), "1.30", "a text as IP address", ip),
    row("isIP", GLOBAL, &[Str], Bool, Size(0, 1.0), "1.30", "whether a text is an IP address", is_ip),
    row(
        "ip.isCanonical",
        GLOBAL,
        &[Str],
        Bool,
        Size(0, 2.0),
        "1.30",
        "whether an address is written in its one canonical form",
        is_canonical,
    ),
    row("string", GLOBAL, &[IP], Str, Call, "1.30", "the canonical form of an address", |_, arguments| {
        of("string", arguments, |ip| Value::string(ip.to_string()))
    })
    .taking(PARSED),
    row("family", METHOD, &[IP], Int, Call, "1.30", "4 or 6", |_, arguments| {
        of("family", arguments, |ip| Value::Int(if ip.is_ipv4() { 4 } else { 6 }))
    }),
    row("isUnspecified", METHOD, &[IP], Bool, Call, "1.30", "whether it is 0.0.0.0 or ::", |_, arguments| {
        of("isUnspecified", arguments, |ip| Value::Bool(ip.is_unspecified()))
    }),
    row("isLoopback", METHOD, &[IP], Bool, Call, "1.30", "whether it is in 127.0.0.0/8, or ::1", |_, arguments| {
        of("isLoopback", arguments, |ip| Value::Bool(ip.is_loopback()))
    }),
    row("isLinkLocalMulticast", METHOD, &[IP], Bool, Call, "1.30", "whether it is in 224.0.0.0/24 or ff02::/16", |_, arguments| {
        of("isLinkLocalMulticast", arguments, |ip| Value::Bool(is_link_local_multicast(ip)))
    }),
    row("isLinkLocalUnicast", METHOD, &[IP], Bool, Call, "1.30", "whether it is in 169.254.0.0/16 or fe80::/10", |_, arguments| {
        of("isLinkLocalUnicast", arguments, |ip| Value::Bool(is_link_local_unicast(ip)))
    }),
    row(
        "isGlobalUnicast",
        METHOD,
        &[IP],
        Bool,
        Call,
        "1.30",
        "whether it is an address of one host, private ones included",
        |_, arguments| of("isGlobalUnicast", arguments, |ip| Value::Bool(is_global_unicast(ip))),
    ),
];

/// An address as `netip.ParseAddr` reads it.
pub(super) struct Address {
    pub(super) ip: IpAddr,
    pub(super) has_zone: bool,
}

impl Address {
    /// `netip.ParseAddr`
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        match text.iter().find(|byte| matches!(byte, b'.' | b':' | b'%')) {
            Some(b'.') => {
                let [a, b, c, d] = parse_v4(text, text)?;
                Ok(Self { ip: Ipv4Addr::new(a, b, c, d).into(), has_zone: false })
            }
            Some(b':') => parse_v6(text),
            Some(_) => Err(refused(text, "missing IPv6 address", b"")),
            None => Err(refused(text, "unable to parse IP", b"")),
        }
    }

    pub(super) fn is_mapped(&self) -> bool {
        matches!(self.ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
    }
}

/// Go's error; `at` is where it stopped reading.
fn refused(text: &[u8], reason: &str, at: &[u8]) -> String {
    let place = if at.is_empty() { String::new() } else { format!(" (at {})", quote(at)) };
    format!("ParseAddr({}): {reason}{place}", quote(text))
}

/// Four fields; `text` is what is reported, `fields` the part of it that holds them.
fn parse_v4(text: &[u8], fields: &[u8]) -> Result<[u8; 4], String> {
    let fail = |reason: &str, at: &[u8]| Err(refused(text, reason, at));
    let mut parsed = [0; 4];
    let mut places = parsed.iter_mut();
    let mut field: Option<u8> = None;
    let mut rest = fields;
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'0'..=b'9' => {
                if field == Some(0) {
                    return fail("IPv4 field has octet with leading zero", b"");
                }
                let larger = field.unwrap_or(0).checked_mul(10).and_then(|value| value.checked_add(byte - b'0'));
                let Some(larger) = larger else { return fail("IPv4 field has value >255", b"") };
                field = Some(larger);
            }
            b'.' => {
                let (Some(value), false) = (field.take(), after.is_empty()) else {
                    return fail("IPv4 field must have at least one digit", rest);
                };
                // The last place is for what follows the last dot.
                match places.next() {
                    Some(place) if places.len() > 0 => *place = value,
                    _ => return fail("IPv4 address too long", b""),
                }
            }
            _ => return fail("unexpected character", rest),
        }
        rest = after;
    }
    match (places.next(), places.next()) {
        (Some(place), None) => *place = field.unwrap_or(0),
        _ => return fail("IPv4 address too short", b""),
    }
    Ok(parsed)
}

fn parse_v6(text: &[u8]) -> Result<Address, String> {
    let fail = |reason: &str, at: &[u8]| Err(refused(text, reason, at));
    let percent = text.iter().position(|byte| *byte == b'%').unwrap_or(text.len());
    let (mut rest, zone) = text.split_at(percent);
    if zone.len() == 1 {
        return fail("zone must be a non-empty string", b"");
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(16);
    // Where `::` stands, in bytes.
    let mut ellipsis = None;
    let mut ended = false;
    if let Some(after) = rest.strip_prefix(b"::") {
        ellipsis = Some(0);
        rest = after;
        ended = rest.is_empty();
    }
    while bytes.len() < 16 && !ended {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (group, after) = rest.split_at(digits);
        if digits > 4 {
            return fail("each group must have 4 or less digits", rest);
        }
        let group = std::str::from_utf8(group).ok().and_then(|group| u16::from_str_radix(group, 16).ok());
        let Some(group) = group else { return fail("each colon-separated field must have at least one digit", rest) };
        if after.first() == Some(&b'.') {
            if ellipsis.is_none() && bytes.len() != 12 {
                return fail("embedded IPv4 address must replace the final 2 fields of the address", rest);
            }
            if bytes.len() > 12 {
                return fail("too many hex fields to fit an embedded IPv4 at the end of the address", rest);
            }
            bytes.extend(parse_v4(text, rest)?);
            rest = b"";
            break;
        }
        bytes.extend(group.to_be_bytes());
        rest = after;
        match after {
            [] => break,
            [b':'] => return fail("colon must be followed by more characters", after),
            [b':', b':', after @ ..] => {
                if ellipsis.is_some() {
                    return fail("multiple :: in address", rest.get(1..).unwrap_or_default());
                }
                ellipsis = Some(bytes.len());
                rest = after;
                ended = rest.is_empty();
            }
            [b':', after @ ..] => rest = after,
            _ => return fail("unexpected character, want colon", after),
        }
    }
    if !rest.is_empty() {
        return fail("trailing garbage after address", rest);
    }
    match ellipsis {
        None if bytes.len() < 16 => return fail("address string too short", b""),
        Some(_) if bytes.len() == 16 => return fail("the :: must expand to at least one field of zeros", b""),
        Some(place) => {
            let tail = bytes.split_off(place);
            bytes.resize(16 - tail.len(), 0);
            bytes.extend(tail);
        }
        None => {}
    }
    let bytes: [u8; 16] = bytes.try_into().map_err(|_| refused(text, "address string too short", b""))?;
    Ok(Address { ip: Ipv6Addr::from(bytes).into(), has_zone: !zone.is_empty() })
}

/// What `ip(text)` accepts.
pub(super) fn parse(text: &str) -> Result<IpAddr, String> {
    let address = Address::parse(text.as_bytes())
        .map_err(|error| format!("IP Address {} parse error during conversion from string: {error}", quote(text)))?;
    if address.has_zone {
        return Err(format!("IP address {} with zone value is not allowed", quote(text)));
    }
    if address.is_mapped() {
        return Err(format!("IPv4-mapped IPv6 address {} is not allowed", quote(text)));
    }
    Ok(address.ip)
}

fn is_link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => matches!(ip.octets(), [224, 0, 0, _]),
        // Whatever the flags of the multicast address say.
        IpAddr::V6(ip) => matches!(ip.octets(), [0xff, scope, ..] if scope & 0x0f == 2),
    }
}

fn is_link_local_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_global_unicast(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(Ipv4Addr::BROADCAST));
    !(is_broadcast || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_link_local_unicast(ip))
}

fn ip<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("ip", arguments) };
    count(context, text, 2 * PARSED)?;
    parse(text.as_str()).map(|ip| Value::opaque(Opaque::Ip(ip))).map_err(EvaluationError::failed)
}

fn is_ip<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("isIP", arguments) };
    count(context, text, 2 * PARSED)?;
    Ok(Value::Bool(parse(text.as_str()).is_ok()))
}

fn is_canonical<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("ip.isCanonical", arguments) };
    count(context, text, 3 * PARSED)?;
    let ip = parse(text.as_str()).map_err(EvaluationError::failed)?;
    Ok(Value::Bool(ip.to_string() == text.as_str()))
}

/// What is read off the address that is the only argument.
fn of<'a>(name: &str, arguments: &[Value<'a>], read: fn(IpAddr) -> Value<'static>) -> Outcome<'a> {
    match arguments {
        [value] if let Some(Opaque::Ip(ip)) = value.as_opaque() => Ok(read(*ip)),
        _ => no_such_overload(name, arguments),
    }
}
