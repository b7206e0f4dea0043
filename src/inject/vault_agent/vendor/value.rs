//! How the values of annotations are read: as the vendors read them, and refused before the agent would refuse them.

/// Words of the agent's log.
pub(super) const LOG_LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
pub(super) const LOG_FORMATS: [&str; 2] = ["standard", "json"];
/// What `disable_idle_connections` and `disable_keep_alives` may name.
const FEATURES: [&str; 4] = ["auto-auth", "caching", "proxying", "templating"];
/// Go's units of time.
const UNITS: [&str; 7] = ["ns", "us", "\u{b5}s", "ms", "s", "m", "h"];
const SUFFIXES: [&str; 14] = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Go's `strconv.ParseBool`, and nothing for no, as the vendors read it.
pub(in super::super) fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("`{value}` is no boolean")),
    }
}

/// Go's `time.ParseDuration`, of what is not negative.
pub(super) fn duration(value: &str) -> Result<&str, String> {
    let mut rest = value;
    while let Some(end) = rest.find(|character: char| !character.is_ascii_digit() && character != '.') {
        let (number, after) = rest.split_at(end);
        let unit_end = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        if number.parse::<f64>().is_err() || !UNITS.contains(&unit) {
            break;
        }
        if next.is_empty() {
            return Ok(value);
        }
        rest = next;
    }
    Err(format!("`{value}` is no duration such as `30s`"))
}

/// A number that the agent reads by itself.
pub(super) fn digits(value: &str) -> Result<&str, String> {
    count(value).map(|_| value)
}

/// A number from nought.
pub(super) fn count(value: &str) -> Result<i64, String> {
    value.parse().ok().filter(|count| *count >= 0).ok_or_else(|| format!("`{value}` is no number"))
}

/// A user or group other than root.
pub(super) fn user(value: &str) -> Result<i64, String> {
    count(value).and_then(|user| if user > 0 { Ok(user) } else { Err("the agent never runs as root".into()) })
}

/// A share of a lease's lifetime.
pub(super) fn fraction(value: &str) -> Result<f64, String> {
    value.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0).ok_or_else(|| format!("`{value}` is no number above 0 and up to 1"))
}

/// A Kubernetes quantity, or nothing for none.
pub(super) fn quantity(value: &str) -> Result<&str, String> {
    let end = value.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(value.len());
    let (number, suffix) = value.split_at(end);
    let is_number = number.parse::<f64>().is_ok() && SUFFIXES.contains(&suffix);
    if value.is_empty() || is_number { Ok(value) } else { Err(format!("`{value}` is no quantity")) }
}

/// One of some words.
pub(super) fn one_of<'a>(value: &'a str, words: &[&str]) -> Result<&'a str, String> {
    if words.contains(&value) { Ok(value) } else { Err(format!("`{value}` is none of `{}`", words.join("`, `"))) }
}

/// A list of the agent's features, separated by commas.
pub(super) fn features(value: &str) -> Result<Vec<&str>, String> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(|name| one_of(name, &FEATURES)).collect()
}

/// File permissions as octal digits.
pub(super) fn permissions(value: &str) -> Result<&str, String> {
    let digits = value.strip_prefix('0').unwrap_or(value);
    let is_octal = digits.len() == 3 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    if is_octal { Ok(value) } else { Err(format!("`{value}` is no file mode such as `0640`")) }
}

/// A file of a directory.
pub(super) fn path_below<'a>(value: &'a str, directory: &str) -> Result<&'a str, String> {
    let below = value.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
    if below.is_some_and(is_relative) {
        Ok(value)
    } else {
        Err(format!("`{value}` is no file of `{directory}`, where `tls-secret` is mounted"))
    }
}

/// A directory of its own in a container.
pub(super) fn directory(value: &str) -> Result<&str, String> {
    let plain = value.trim_end_matches('/');
    if plain.strip_prefix('/').is_some_and(is_relative) {
        Ok(plain)
    } else {
        Err(format!("`{value}` is no directory such as `/vault/secrets`"))
    }
}

/// A path of plain steps that leads nowhere else.
pub(super) fn is_relative(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    path.split('/').all(|step| !matches!(step, "" | "." | "..") && step.len() <= 63 && step.bytes().all(is_plain))
}

/// The delimiters of a template: punctuation that means nothing inside an action, so that no action can hide behind it.
pub(super) fn delimiter(value: &str) -> Result<&str, String> {
    let is_plain = |byte: u8| b"[]<>{}%#@~^!?&".contains(&byte);
    if (2..=4).contains(&value.len()) && value.bytes().all(is_plain) {
        Ok(value)
    } else {
        Err(format!("`{value}` is no delimiter of two to four of `[]<>{{}}%#@~^!?&`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_the_vendors_read_them() {
        for (value, is_one) in [("5m", true), ("1h30m", true), ("1.5s", true), ("", false), ("5", false), ("5 m", false), ("m", false)] {
            assert_eq!(duration(value).is_ok(), is_one, "{value}");
        }
        for (value, is_one) in [("", true), ("250m", true), ("64Mi", true), ("0.5", true), ("Mi", false), ("1Xi", false), ("-1", false)] {
            assert_eq!(quantity(value).is_ok(), is_one, "{value}");
        }
        for (value, is_one) in [("0640", true), ("400", true), ("0888", false), ("4755", false), ("", false)] {
            assert_eq!(permissions(value).is_ok(), is_one, "{value}");
        }
        for (value, is_one) in [("[[", true), ("<%", true), ("{", false), (":=", false), ("ab", false), ("[[[[[", false)] {
            assert_eq!(delimiter(value).is_ok(), is_one, "{value}");
        }
        for (value, is_one) in [("/app/config", true), ("/", false), ("app", false), ("/a/../b", false), ("/a:b", false)] {
            assert_eq!(directory(value).is_ok(), is_one, "{value}");
        }
        assert_eq!(user("0"), Err("the agent never runs as root".into()));
        assert_eq!(features("auto-auth, templating"), Ok(vec!["auto-auth", "templating"]));
        assert_eq!((boolean(""), boolean("T")), (Ok(false), Ok(true)));
        assert_eq!(boolean("yes"), Err("`yes` is no boolean".into()));
    }
}
