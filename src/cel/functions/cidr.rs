//! Networks (Kubernetes 1.30), as Go's `net/netip` reads them; bits after the mask may be set, IPv4-mapped addresses are refused.

use std::net::IpAddr;

use super::stdlib::count;
use super::strconv::quote;
use super::{Context, Cost, Function, GLOBAL, METHOD, PARSED, ip, no_such_overload, row};
use crate::cel::cost::traversal;
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::opaque::{self, Opaque};
use crate::cel::types::Type;
use crate::cel::value::Value;

use Cost::{Call, Of, Size};
use Type::{Bool, Int, String as Str};

const IP: Type = Type::Opaque(opaque::IP);
const CIDR: Type = Type::Opaque(opaque::CIDR);

pub(super) const FUNCTIONS: &[Function] = &[
    row("cidr", GLOBAL, &[Str], CIDR, Size(0, 1.0), "1.30", "a text such as 10.0.0.0/8 as network", cidr),
    row("isCIDR", GLOBAL, &[Str], Bool, Size(0, 1.0), "1.30", "whether a text is a network", is_cidr),
    row("string", GLOBAL, &[CIDR], Str, Call, "1.30", "the network as text", |_, arguments| {
        of("string", arguments, |network| Value::string(network.to_string()))
    })
    .taking(PARSED),
    row("containsIP", METHOD, &[CIDR, Str], Bool, Of(cost_of_ip), "1.30", "whether an address is in the network", contains_ip),
    row("containsIP", METHOD, &[CIDR, IP], Bool, Of(cost_of_ip), "1.30", "whether an address is in the network", contains_ip),
    row("containsCIDR", METHOD, &[CIDR, Str], Bool, Of(cost_of_cidr), "1.30", "whether a whole network is in the network", contains_cidr),
    row("containsCIDR", METHOD, &[CIDR, CIDR], Bool, Of(cost_of_cidr), "1.30", "whether a whole network is in the network", contains_cidr),
    row("ip", METHOD, &[CIDR], IP, Call, "1.30", "the address before the slash", |_, arguments| {
        of("ip", arguments, |network| Value::opaque(Opaque::Ip(network.address)))
    }),
    row("prefixLength", METHOD, &[CIDR], Int, Call, "1.30", "the number after the slash", |_, arguments| {
        of("prefixLength", arguments, |network| Value::Int(i64::from(network.bits)))
    }),
    row("masked", METHOD, &[CIDR], CIDR, Call, "1.30", "the network with all bits after the mask zero", |_, arguments| {
        of("masked", arguments, |network| Value::opaque(Opaque::Cidr(network.masked(network.bits))))
    }),
];

/// An address and the length of its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.address, self.bits)
    }
}

impl Cidr {
    /// `netip.ParsePrefix`, and no IPv4-mapped address.
    fn parse(text: &str) -> Result<Self, String> {
        let context = "network address parse error during conversion from string";
        let fail = |reason: String| format!("{context}: netip.ParsePrefix({}): {reason}", quote(text));
        let (address, bits) = text.rsplit_once('/').ok_or_else(|| fail("no '/'".to_owned()))?;
        let address = ip::Address::parse(address.as_bytes()).map_err(fail)?;
        if address.has_zone {
            return Err(fail("IPv6 zones cannot be present in a prefix".to_owned()));
        }
        let well_formed =
            !bits.is_empty() && bits.bytes().all(|digit| digit.is_ascii_digit()) && (bits.len() == 1 || !bits.starts_with('0'));
        let bits =
            bits.parse::<i64>().ok().filter(|_| well_formed).ok_or_else(|| fail(format!("bad bits after slash: {}", quote(bits))))?;
        let most = if address.ip.is_ipv4() { 32 } else { 128 };
        let bits = u8::try_from(bits).ok().filter(|bits| *bits <= most).ok_or_else(|| fail("prefix length out of range".to_owned()))?;
        if address.is_mapped() {
            return Err(format!("IPv4-mapped IPv6 address {} is not allowed", quote(text)));
        }
        Ok(Self { address: address.ip, bits })
    }

    /// The number of bytes that the prefix touches: its size where costs are counted.
    pub(in crate::cel) fn prefix_bytes(&self) -> u64 {
        u64::from(self.bits.div_ceil(8))
    }

    /// The first `bits` of the address, zeros after them.
    fn masked(self, bits: u8) -> Self {
        let address = match self.address {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0);
                IpAddr::V4((ip.to_bits() & mask).into())
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0);
                IpAddr::V6((ip.to_bits() & mask).into())
            }
        };
        Self { address, bits }
    }

    fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.masked(self.bits) == Self { address, bits: self.bits }.masked(self.bits)
    }
}

fn error(reason: &str) -> EvaluationError {
    EvaluationError::failed(format!("network address parse error during conversion from string: {reason}"))
}

fn cidr<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("cidr", arguments) };
    count(context, text, 2 * PARSED)?;
    Cidr::parse(text.as_str()).map(|network| Value::opaque(Opaque::Cidr(network))).map_err(|reason| error(&reason))
}

fn is_cidr<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("isCIDR", arguments) };
    count(context, text, 2 * PARSED)?;
    Ok(Value::Bool(Cidr::parse(text.as_str()).is_ok()))
}

/// What is read off the network that is the only argument.
fn of<'a>(name: &str, arguments: &[Value<'a>], read: fn(&Cidr) -> Value<'static>) -> Outcome<'a> {
    match arguments {
        [value] if let Some(Opaque::Cidr(network)) = value.as_opaque() => Ok(read(network)),
        _ => no_such_overload(name, arguments),
    }
}

/// What reading a text costs; Kubernetes adds it only where the overload is known when the expression is compiled.
fn cost_of_text(arguments: &[Value<'_>], known: bool) -> u64 {
    match arguments {
        [_, text @ Value::String(_)] if known => traversal(text.cost_size(), 0.1),
        _ => 0,
    }
}

fn cost_of_ip(arguments: &[Value<'_>], known: bool) -> u64 {
    let size = arguments.first().map_or(1, Value::cost_size);
    traversal(2 * size, 0.1) + cost_of_text(arguments, known)
}

fn cost_of_cidr(arguments: &[Value<'_>], known: bool) -> u64 {
    let size = arguments.first().map_or(1, Value::cost_size);
    traversal(2 * size, 0.1) + traversal(size, 0.1) + 1 + cost_of_text(arguments, known)
}

fn contains_ip<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [network, address] = arguments else { return no_such_overload("containsIP", arguments) };
    let Some(Opaque::Cidr(network)) = network.as_opaque() else { return no_such_overload("containsIP", arguments) };
    let address = match (address, address.as_opaque()) {
        // Kubernetes does not say what is wrong with the text.
        (Value::String(text), _) => {
            count(context, text, 2 * PARSED)?;
            ip::parse(text.as_str()).map_err(|_| EvaluationError::no_such_overload())?
        }
        (_, Some(Opaque::Ip(address))) => *address,
        _ => return no_such_overload("containsIP", arguments),
    };
    Ok(Value::Bool(network.contains(address)))
}

fn contains_cidr<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [network, other] = arguments else { return no_such_overload("containsCIDR", arguments) };
    let Some(Opaque::Cidr(network)) = network.as_opaque() else { return no_such_overload("containsCIDR", arguments) };
    let other = match (other, other.as_opaque()) {
        (Value::String(text), _) => {
            count(context, text, 2 * PARSED)?;
            Cidr::parse(text.as_str()).map_err(|reason| error(&reason))?
        }
        (_, Some(Opaque::Cidr(other))) => *other,
        _ => return no_such_overload("containsCIDR", arguments),
    };
    Ok(Value::Bool(network.bits <= other.bits && network.contains(other.address)))
}
