//! Values that have no form in JSON: what the libraries of Kubernetes make of a text.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::error::EvaluationError;
use super::functions::cidr::Cidr;
use super::functions::named_format::NamedFormat;
use super::functions::quantity::Quantity;
use super::functions::semver::Version;
use super::functions::url::Url;
use super::value::Value;

/// The names of the types.
pub(super) const URL: &str = "kubernetes.URL";
pub(super) const IP: &str = "net.IP";
pub(super) const CIDR: &str = "net.CIDR";
pub(super) const QUANTITY: &str = "kubernetes.Quantity";
pub(super) const SEMVER: &str = "kubernetes.Semver";
pub(super) const NAMED_FORMAT: &str = "kubernetes.NamedFormat";

/// A value of a type of Kubernetes' own.
#[derive(Debug)]
pub enum Opaque {
    /// `kubernetes.URL`
    Url(Url),
    /// `net.IP`
    Ip(IpAddr),
    /// `net.CIDR`
    Cidr(Cidr),
    /// `kubernetes.Quantity`
    Quantity(Quantity),
    /// `kubernetes.Semver`
    Semver(Version),
    /// `kubernetes.NamedFormat`
    Format(&'static NamedFormat),
}

impl Opaque {
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Url(_) => URL,
            Self::Ip(_) => IP,
            Self::Cidr(_) => CIDR,
            Self::Quantity(_) => QUANTITY,
            Self::Semver(_) => SEMVER,
            Self::Format(_) => NAMED_FORMAT,
        }
    }

    /// The name of the type in the API server's code, which some of its errors show.
    pub(super) fn go_type(&self) -> &'static str {
        match self {
            Self::Url(_) => "cel.URL",
            Self::Ip(_) => "cel.IP",
            Self::Cidr(_) => "cel.CIDR",
            Self::Quantity(quantity) if quantity.is_result() => "*cel.Quantity",
            Self::Quantity(_) => "cel.Quantity",
            Self::Semver(_) => "cel.Semver",
            Self::Format(_) => "cel.Format",
        }
    }

    /// The canonical text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Url(url) => url.text().to_owned(),
            Self::Ip(ip) => ip.to_string(),
            Self::Cidr(network) => network.to_string(),
            Self::Quantity(quantity) => quantity.to_string(),
            Self::Semver(version) => version.to_string(),
            Self::Format(format) => format.title().to_owned(),
        }
    }

    /// cel-go's size: the bytes of addresses and of prefixes; 1 for the others.
    pub(super) fn cost_size(&self) -> u64 {
        match self {
            Self::Ip(ip) if ip.is_ipv4() => 4,
            Self::Ip(_) => 16,
            Self::Cidr(network) => network.prefix_bytes(),
            Self::Url(_) | Self::Quantity(_) | Self::Semver(_) | Self::Format(_) => 1,
        }
    }

    /// Bytes that reading the whole value takes, where these may be many.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Url(url) => url.text().len(),
            Self::Quantity(quantity) => quantity.digits(),
            Self::Ip(_) | Self::Cidr(_) | Self::Semver(_) | Self::Format(_) => 0,
        }
    }

    /// `self == other`
    ///
    /// # Errors
    /// A value of another type is not unequal, as everywhere else in CEL: the comparison fails.
    pub(super) fn equals(&self, other: &Value<'_>) -> Result<bool, EvaluationError> {
        Ok(match (self, other.as_opaque()) {
            (Self::Url(left), Some(Self::Url(right))) => left.text() == right.text(),
            (Self::Ip(left), Some(Self::Ip(right))) => left == right,
            (Self::Cidr(left), Some(Self::Cidr(right))) => left == right,
            // The result of an addition has another type in Go, which is not looked for on the right side.
            (Self::Quantity(left), Some(Self::Quantity(right))) if !right.is_result() => left.amount_order(right).is_eq(),
            (Self::Semver(left), Some(Self::Semver(right))) => left.precedence(right).is_eq(),
            (Self::Format(left), Some(Self::Format(right))) => left.title() == right.title(),
            _ => return Err(EvaluationError::no_such_overload()),
        })
    }

    /// Whether the value may be a key of a map: Go cannot hash the others.
    pub(super) fn check_key(&self) -> Result<(), EvaluationError> {
        match self {
            Self::Semver(_) | Self::Format(_) => {
                Err(EvaluationError::failed(format!("internal error: runtime error: hash of unhashable type {}", self.go_type())))
            }
            Self::Url(_) | Self::Ip(_) | Self::Cidr(_) | Self::Quantity(_) => Ok(()),
        }
    }

    /// The order of keys: addresses and networks are one key if they are equal, all others only if they are one and the same value.
    pub(super) fn key_order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Ip(left), Self::Ip(right)) => left.cmp(right),
            (Self::Cidr(left), Self::Cidr(right)) => left.cmp(right),
            (left, right) => {
                let place = |value: &Self| std::ptr::from_ref(value).addr();
                left.type_name()
                    .cmp(right.type_name())
                    .then_with(|| left.text().cmp(&right.text()))
                    .then_with(|| place(left).cmp(&place(right)))
            }
        }
    }
}
