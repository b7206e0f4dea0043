//! URLs (Kubernetes 1.0), as Go's `net/url` reads them: laxer than WHATWG's in the scheme, stricter in ports and host names.

use std::collections::BTreeMap;

use super::strconv::{quote, text_of};
use super::{Context, Cost, Function, GLOBAL, METHOD, PARSED, ip, no_such_overload, row};
use crate::cel::collections::{Growing, Key, Map};
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::opaque::{self, Opaque};
use crate::cel::types::{LIST_OF_STRING, Nested, Type};
use crate::cel::value::Value;

use Cost::{Call, Size};
use Type::{Bool, String as Str};

const URL: Type = Type::Opaque(opaque::URL);
const MAP_OF_STRING_TO_STRINGS: Type = Type::Map(Nested::Constant(&Str), Nested::Constant(&LIST_OF_STRING));

pub(super) const FUNCTIONS: &[Function] = &[
    row("url", GLOBAL, &[Str], URL, Size(0, 1.0), "1.0", "a text as URL; it must be absolute or begin with a slash", url)
        .taking(10 * PARSED),
    row("isURL", GLOBAL, &[Str], Bool, Call, "1.0", "whether a text is a URL", is_url).taking(3 * PARSED),
    row("getScheme", METHOD, &[URL], Str, Call, "1.0", "the scheme in lower case, or an empty string", |_, arguments| {
        of("getScheme", arguments, |url| url.scheme.clone())
    }),
    row("getHost", METHOD, &[URL], Str, Call, "1.0", "the host with its port, if there is one", |_, arguments| {
        of("getHost", arguments, |url| url.host.clone())
    }),
    row("getHostname", METHOD, &[URL], Str, Call, "1.0", "the host without port and without brackets", |_, arguments| {
        of("getHostname", arguments, |url| url.host_and_port().0.to_owned())
    }),
    row("getPort", METHOD, &[URL], Str, Call, "1.0", "the port, or an empty string", |_, arguments| {
        of("getPort", arguments, |url| url.host_and_port().1.to_owned())
    }),
    row("getEscapedPath", METHOD, &[URL], Str, Call, "1.0", "the path in its escaped form", |_, arguments| {
        of("getEscapedPath", arguments, |url| url.path.clone())
    }),
    row("getQuery", METHOD, &[URL], MAP_OF_STRING_TO_STRINGS, Call, "1.0", "the values of each parameter of the query", get_query),
];

/// The most parameters that Go reads of one query.
const MAX_PARAMETERS: usize = 10_000;

/// A URL, taken apart.
#[derive(Debug)]
pub struct Url {
    scheme: String,
    /// With the port; unescaped.
    host: String,
    /// Escaped.
    path: String,
    query: String,
    /// The whole, as Go writes it again.
    text: String,
}

impl Url {
    /// Go's `ParseRequestURI`, which decides, and then `Parse`, which also knows fragments.
    ///
    /// # Errors
    /// Go's words: `parse "x": invalid URI for request`.
    pub(in crate::cel) fn parse(text: &str) -> Result<Self, String> {
        check(text)?;
        let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
        let mut parts = Parts::parse(address, false).map_err(|error| refused(address, &error))?;
        parts.set_fragment(fragment).map_err(|error| refused(text, &error))?;
        Ok(Self { path: parts.escaped_path(), text: parts.text(), host: text_of(&parts.host), scheme: parts.scheme, query: parts.query })
    }

    /// The URL as Go writes it: two of the same text are equal.
    pub(in crate::cel) fn text(&self) -> &str {
        &self.text
    }

    fn host_and_port(&self) -> (&str, &str) {
        let split = self.host.rfind(':').and_then(|colon| self.host.split_at_checked(colon)).filter(|(_, port)| is_port(port));
        let (host, port) = split.unwrap_or((&self.host, ""));
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        (bare, port.strip_prefix(':').unwrap_or(port))
    }
}

/// Go's `ParseRequestURI`: whether a text is a URL at all.
pub(super) fn check(text: &str) -> Result<(), String> {
    Parts::parse(text, true).map(drop).map_err(|error| refused(text, &error))
}

fn refused(text: &str, error: &str) -> String {
    format!("parse {}: {error}", quote(text))
}

/// Where in a URL a text stands: it decides what is escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Host,
    Zone,
    User,
    Query,
    Fragment,
}

/// Whether Go leaves a byte unescaped there.
fn is_plain(byte: u8, place: Place) -> bool {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => true,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'[' | b']' | b'<' | b'>' | b'"'
            if matches!(place, Place::Host | Place::Zone) =>
        {
            true
        }
        b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' => match place {
            Place::Path => byte != b'?',
            Place::User => !matches!(byte, b'@' | b'/' | b'?' | b':'),
            Place::Fragment => true,
            Place::Host | Place::Zone | Place::Query => false,
        },
        b'!' | b'(' | b')' | b'*' => place == Place::Fragment,
        _ => false,
    }
}

fn escape(bytes: &[u8], place: Place) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        if is_plain(*byte, place) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The bytes that a text stands for.
fn unescape(text: &str, place: Place) -> Result<Vec<u8>, String> {
    let in_host = matches!(place, Place::Host | Place::Zone);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let byte = hexadecimal(*high) << 4 | hexadecimal(*low);
                // In a host only bytes beyond ASCII may be escaped, and the percent sign before the zone of an address.
                let is_percent = matches!((high, low), (b'2', b'5'));
                if place == Place::Host && byte < 0x80 && !is_percent
                    || place == Place::Zone && !is_percent && byte != b' ' && !is_plain(byte, Place::Host)
                {
                    return Err(bad_escape(rest));
                }
                out.push(byte);
                rest = after;
                continue;
            }
            (b'%', _) => return Err(bad_escape(rest)),
            (b'+', _) if place == Place::Query => out.push(b' '),
            (byte, _) if in_host && byte.is_ascii() && !is_plain(*byte, place) => {
                return Err(format!("invalid character {} in host name", quote([*byte])));
            }
            (byte, _) => out.push(*byte),
        }
        rest = after;
    }
    Ok(out)
}

fn bad_escape(rest: &[u8]) -> String {
    format!("invalid URL escape {}", quote(rest.get(..3).unwrap_or(rest)))
}

fn hexadecimal(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

/// Whether what was written is a form of escaping that Go keeps.
fn is_escaped(text: &str, place: Place) -> bool {
    let kept = |byte: u8| {
        matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' | b'[' | b']' | b'%')
    };
    text.bytes().all(|byte| kept(byte) || is_plain(byte, place))
}

/// The escaped form of a part: as it was written, if that is a good form of what it stands for.
fn escaped(written: &str, bytes: &[u8], place: Place) -> String {
    if !written.is_empty() && is_escaped(written, place) { written.to_owned() } else { escape(bytes, place) }
}

/// `:` and digits, or nothing.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Go's `url.URL`.
#[derive(Default)]
struct Parts {
    scheme: String,
    /// What follows the scheme, if it does not begin with a slash.
    opaque: String,
    /// Name and password.
    user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    host: Vec<u8>,
    /// Whether a path follows the scheme, with no `//` between them.
    omits_host: bool,
    path: Vec<u8>,
    written_path: String,
    /// Whether a question mark ends it.
    ends_in_query: bool,
    query: String,
    fragment: Vec<u8>,
    written_fragment: String,
}

impl Parts {
    /// Go's `parse`; `request` is its `viaRequest`: no relative URL, and `//` at the beginning belongs to a path.
    fn parse(text: &str, request: bool) -> Result<Self, String> {
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        if text.is_empty() && request {
            return Err("empty url".to_owned());
        }
        let mut parts = Self::default();
        if text == "*" {
            parts.path = b"*".to_vec();
            return Ok(parts);
        }
        let (scheme, mut rest) = split_scheme(text)?;
        parts.scheme = scheme.to_ascii_lowercase();
        match rest.strip_suffix('?') {
            Some(before) if !before.contains('?') => {
                parts.ends_in_query = true;
                rest = before;
            }
            _ => {
                let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
                parts.query = query.to_owned();
                rest = before;
            }
        }
        if !rest.starts_with('/') {
            if !scheme.is_empty() {
                parts.opaque = rest.to_owned();
                return Ok(parts);
            }
            if request {
                return Err("invalid URI for request".to_owned());
            }
            if rest.split('/').next().unwrap_or_default().contains(':') {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        if let Some(after) = rest.strip_prefix("//")
            && (!scheme.is_empty() || !request && !after.starts_with('/'))
        {
            let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
            parts.set_authority(authority)?;
            rest = path;
        } else if !scheme.is_empty() && rest.starts_with('/') {
            parts.omits_host = true;
        }
        parts.path = unescape(rest, Place::Path)?;
        parts.written_path = rest.to_owned();
        Ok(parts)
    }

    fn set_authority(&mut self, authority: &str) -> Result<(), String> {
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        self.host = parse_host(&self.scheme, host)?;
        let Some(user) = user else { return Ok(()) };
        let allowed = |byte: u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'.' | b'_' | b':' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')')
                || matches!(byte, b'*' | b'+' | b',' | b';' | b'=' | b'%' | b'@')
        };
        if !user.bytes().all(allowed) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        let (name, password) = user.split_once(':').map_or((user, None), |(name, password)| (name, Some(password)));
        let name = unescape(name, Place::User)?;
        self.user = Some((name, password.map(|password| unescape(password, Place::User)).transpose()?));
        Ok(())
    }

    fn set_fragment(&mut self, written: &str) -> Result<(), String> {
        self.fragment = unescape(written, Place::Fragment)?;
        self.written_fragment = written.to_owned();
        Ok(())
    }

    fn escaped_path(&self) -> String {
        if self.path == b"*" {
            return "*".to_owned();
        }
        escaped(&self.written_path, &self.path, Place::Path)
    }

    /// Go's `URL.String`.
    fn text(&self) -> String {
        let mut out = String::new();
        if !self.scheme.is_empty() {
            out.push_str(&self.scheme);
            out.push(':');
        }
        if self.opaque.is_empty() {
            let has_host = !self.host.is_empty() || self.user.is_some();
            if has_host || !self.scheme.is_empty() && !self.omits_host && !self.path.is_empty() {
                out.push_str("//");
            }
            if let Some((name, password)) = &self.user {
                out.push_str(&escape(name, Place::User));
                if let Some(password) = password {
                    out.push(':');
                    out.push_str(&escape(password, Place::User));
                }
                out.push('@');
            }
            out.push_str(&escape(&self.host, Place::Host));
            // No colon in a first segment needs `./` here: what has no scheme begins with a slash.
            out.push_str(&self.escaped_path());
        } else {
            out.push_str(&self.opaque);
        }
        if self.ends_in_query || !self.query.is_empty() {
            out.push('?');
            out.push_str(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push('#');
            out.push_str(&escaped(&self.written_fragment, &self.fragment, Place::Fragment));
        }
        out
    }
}

/// The scheme and what follows its colon; an empty scheme if there is none.
fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    for (position, sign) in text.char_indices() {
        match sign {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if position > 0 => {}
            ':' if position == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => return Ok(text.split_once(':').unwrap_or(("", text))),
            _ => return Ok(("", text)),
        }
    }
    Ok(("", text))
}

fn parse_host(scheme: &str, host: &str) -> Result<Vec<u8>, String> {
    let checked_port = |port: &str| if is_port(port) { Ok(()) } else { Err(format!("invalid port {} after host", quote(port))) };
    match host.rfind('[') {
        Some(0) => {}
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {
            // Several colons are the ports of several hosts, which databases write; not in http.
            let strict = matches!(scheme, "http" | "https");
            let colon = if strict { host.find(':') } else { host.rfind(':') };
            checked_port(colon.and_then(|colon| host.get(colon..)).unwrap_or_default())?;
            return unescape(host, Place::Host);
        }
    }
    let (inside, port) = host.rsplit_once(']').ok_or("missing ']' in host")?;
    checked_port(port)?;
    let port = unescape(port, Place::Host)?;
    let inside = inside.strip_prefix('[').unwrap_or(inside);
    let (address, zone) = inside.split_at(inside.find("%25").unwrap_or(inside.len()));
    let mut name = unescape(address, Place::Host)?;
    name.extend(unescape(zone, Place::Zone)?);
    let address = ip::Address::parse(&name).map_err(|error| format!("invalid host: {error}"))?;
    if address.ip.is_ipv4() {
        return Err("invalid IP-literal".to_owned());
    }
    Ok([b"[", name.as_slice(), b"]", &port].concat())
}

/// Go's `url.ParseQuery`; a parameter that cannot be read is left out, and more than it reads are none at all.
fn parse_query(query: &str) -> BTreeMap<String, Vec<String>> {
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if query.matches('&').count() >= MAX_PARAMETERS {
        return parameters;
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty() && !parameter.contains(';')) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if let (Ok(name), Ok(value)) = (unescape(name, Place::Query), unescape(value, Place::Query)) {
            parameters.entry(text_of(&name)).or_default().push(text_of(&value));
        }
    }
    parameters
}

/// Counts reading a URL's text, which takes longer than it costs.
fn count(context: &Context<'_>, text: &str) -> Result<(), EvaluationError> {
    context.budget.free(text.len() as u64 / 2)
}

fn url<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("url", arguments) };
    count(context, text.as_str())?;
    let parsed = Url::parse(text.as_str());
    let url = parsed.map_err(|error| EvaluationError::failed(format!("URL parse error during conversion from string: {error}")))?;
    Ok(Value::opaque(Opaque::Url(url)))
}

fn is_url<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [Value::String(text)] = arguments else { return no_such_overload("isURL", arguments) };
    count(context, text.as_str())?;
    Ok(Value::Bool(check(text.as_str()).is_ok()))
}

/// A part of the URL that is the receiver.
fn of<'a>(name: &str, arguments: &[Value<'a>], part: fn(&Url) -> String) -> Outcome<'a> {
    match arguments {
        [value] if let Some(Opaque::Url(url)) = value.as_opaque() => Ok(Value::string(part(url))),
        _ => no_such_overload(name, arguments),
    }
}

fn get_query<'a>(context: &Context<'_>, arguments: &[Value<'a>]) -> Outcome<'a> {
    let [value] = arguments else { return no_such_overload("getQuery", arguments) };
    let Some(Opaque::Url(url)) = value.as_opaque() else { return no_such_overload("getQuery", arguments) };
    context.budget.free(url.query.len() as u64 * 10)?;
    let mut entries = Growing::default();
    for (name, values) in parse_query(&url.query) {
        entries.insert(Key::new(Value::string(name))?, Value::list(values.into_iter().map(Value::string).collect())?, context.budget)?;
    }
    Ok(Value::Map(Map::from_entries(entries)?))
}
