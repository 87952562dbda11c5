//! Times that a configuration names. The present is none: a plan says the same whenever it is made.

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::value::Value;

use Param::String as Str;

pub const TABLE: &[Function] = &[
    row(
        "formatdate",
        "formatdate(pattern, time)",
        "A time as a text: YYYY MM DD, hh mm ss, EEE, ZZZZ and others; text in '...' stays.",
        [
            "formatdate(\"D MMM YYYY HH:mm AA\", \"2026-03-01T14:05:09Z\")",
            "\"1 Mar 2026 02:05 PM\"",
        ],
        &[Str, Str],
        |a| Ok(Value::string(formatdate(a.text(0), &time(a, 1)?)?)),
    ),
    row(
        "timeadd",
        "timeadd(time, duration)",
        "A time so much later, such as 1h30m, or earlier.",
        [
            "timeadd(\"2026-03-01T14:05:09Z\", \"-1h30m\")",
            "\"2026-03-01T12:35:09Z\"",
        ],
        &[Str, Str],
        timeadd,
    ),
    row(
        "timecmp",
        "timecmp(time, time)",
        "-1, 0 or 1: whether the first is before, the same as or after the second.",
        [
            "timecmp(\"2026-03-01T14:00:00Z\", \"2026-03-01T15:00:00+02:00\")",
            "1",
        ],
        &[Str, Str],
        |a| {
            let order = time(a, 0)?.nanos.cmp(&time(a, 1)?.nanos);
            Ok(Value::number(order as i32))
        },
    ),
    refused("timestamp", "timestamp()", ["can(timestamp())", "false"]),
    refused(
        "plantimestamp",
        "plantimestamp()",
        ["can(plantimestamp())", "false"],
    ),
    refused("uuid", "uuid()", ["can(uuid())", "false"]),
    row(
        "bcrypt",
        "bcrypt(text)",
        "Always an error: its result is another one each time, and a plan says the same whenever it is made.",
        ["can(bcrypt(\"x\"))", "false"],
        &[Str],
        |_| Err(never_the_same()),
    ),
];

const fn refused(
    name: &'static str,
    signature: &'static str,
    example: [&'static str; 2],
) -> Function {
    let doc = "Always an error: its result is another one each time, and a plan says the same whenever it is made.";
    row(
        name,
        signature,
        doc,
        example,
        &[],
        |_| Err(never_the_same()),
    )
}

fn never_the_same() -> Fail {
    let why = "its result is another one each time it is called, and a plan says the same whenever it is made; write the value \
               down, or pass it in as a variable";
    Fail::Call(why.to_owned())
}

/// An instant, and the offset it was written with.
struct Time {
    /// Since 1970, in UTC.
    nanos: i128,
    offset_s: i64,
}

/// What a clock and a calendar on the wall show.
struct Wall {
    year: i64,
    month: i64,
    day: i64,
    /// Since midnight.
    second: i64,
    /// From Sunday.
    weekday: usize,
}

const DAY_S: i64 = 86_400;
const SECOND_NS: i128 = 1_000_000_000;

impl Time {
    fn wall(&self) -> Wall {
        let local = i64::try_from(self.nanos.div_euclid(SECOND_NS)).unwrap_or(0) + self.offset_s;
        let days = local.div_euclid(DAY_S);
        let (year, month, day) = civil(days);
        Wall {
            year,
            month,
            day,
            second: local.rem_euclid(DAY_S),
            weekday: usize::try_from((days + 4).rem_euclid(7)).unwrap_or(0),
        }
    }

    fn zone(&self, colon: &str) -> String {
        let sign = if self.offset_s < 0 { '-' } else { '+' };
        let minutes = self.offset_s.abs() / 60;
        format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
    }

    /// As RFC 3339 writes it, in whole seconds.
    fn text(&self) -> String {
        let w = self.wall();
        let zone = match self.offset_s {
            0 => "Z".to_owned(),
            _ => self.zone(":"),
        };
        let (h, m, s) = (w.second / 3600, w.second / 60 % 60, w.second % 60);
        format!(
            "{:04}-{:02}-{:02}T{h:02}:{m:02}:{s:02}{zone}",
            w.year, w.month, w.day
        )
    }
}

/// Days since 1970 of a day in the Gregorian calendar, which repeats every 400 years of 146,097 days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let from_march = (month + 9) % 12;
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    (era * 400 + year + i64::from(month <= 2), month, day)
}

fn time(a: &Args<'_>, i: usize) -> Result<Time, Fail> {
    parse(a.text(i)).ok_or_else(|| {
        let text = "expected a time as RFC 3339 writes it, such as 2026-03-01T14:05:09Z";
        Fail::Arg(i, text.to_owned())
    })
}

fn parse(text: &str) -> Option<Time> {
    let digits = |range: std::ops::Range<usize>| -> Option<i64> {
        let part = text.get(range)?;
        let all = part.bytes().all(|b| b.is_ascii_digit());
        part.parse().ok().filter(|_| all)
    };
    let mark = |at: usize, c: char| text.get(at..)?.starts_with(c).then_some(());
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    for (at, c) in [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')] {
        mark(at, c)?;
    }
    let valid = (1..=12).contains(&month)
        && civil(days(year, month, day)) == (year, month, day)
        && hour < 24
        && minute < 60
        && second < 60;
    let mut rest = text.get(19..)?;
    let mut fraction = 0;
    if let Some(after) = rest.strip_prefix('.') {
        let len = after.bytes().take_while(u8::is_ascii_digit).count();
        let nine: String = after.get(..len.min(9))?.to_owned() + &"0".repeat(9 - len.min(9));
        fraction = nine.parse::<i128>().ok().filter(|_| len > 0)?;
        rest = after.get(len..)?;
    }
    let offset_s = offset(rest)?;
    let local = days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
    valid.then_some(Time {
        nanos: i128::from(local - offset_s) * SECOND_NS + fraction,
        offset_s,
    })
}

fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let two = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<i64>().ok().filter(|_| digits)
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn timeadd(a: &Args<'_>) -> Result<Value, Fail> {
    let time = time(a, 0)?;
    let wrong = || {
        let text = "expected a duration such as 1h30m, 90s or -1.5h; units are h, m, s, ms, us, ns";
        Fail::Arg(1, text.to_owned())
    };
    let added = duration(a.text(1)).ok_or_else(wrong)?;
    let later = Time {
        nanos: time.nanos + added,
        ..time
    };
    match later.wall().year {
        0..=9999 => Ok(Value::string(later.text())),
        _ => Err(Fail::Arg(1, "the year is not one of 0 to 9999".to_owned())),
    }
}

/// In nanoseconds, as Go reads durations; `None` beyond 292 years, too.
fn duration(text: &str) -> Option<i128> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() || total == 0 {
        let number = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
        let (amount, after) = rest.split_at_checked(number)?;
        let unit_len = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_len)?;
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND_NS,
            "m" => 60 * SECOND_NS,
            "h" => 3600 * SECOND_NS,
            _ => return None,
        };
        let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
        if whole.is_empty() && part.is_empty() || part.contains('.') || amount.len() > 30 {
            return None;
        }
        let digits = |text: &str| {
            if text.is_empty() {
                Some(0)
            } else {
                text.parse::<i128>().ok()
            }
        };
        let scale = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
        let part = digits(part)?.checked_mul(unit)? / scale;
        total = total.checked_add(digits(whole)?.checked_mul(unit)?.checked_add(part)?)?;
        rest = next;
        if rest.is_empty() {
            break;
        }
    }
    (total <= i128::from(i64::MAX)).then_some(sign * total)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

fn formatdate(pattern: &str, time: &Time) -> Result<String, Fail> {
    let wall = time.wall();
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        let same = rest.len() - rest.trim_start_matches(c).len();
        if c == '\'' {
            rest = quoted(rest, &mut out)?;
            continue;
        }
        let (verb, after) = rest.split_at_checked(same).unwrap_or((rest, ""));
        if c.is_ascii_alphabetic() {
            match part(verb, &wall, time) {
                Some(text) => out.push_str(&text),
                None => {
                    let text = format!("`{verb}` is no part of a date; text stands in '...'");
                    return Err(Fail::Arg(0, text));
                }
            }
        } else {
            out.push_str(verb);
        }
        rest = after;
    }
    Ok(out)
}

/// A quoted text, in which two quotes are one. Gives what follows it.
fn quoted<'t>(text: &'t str, out: &mut String) -> Result<&'t str, Fail> {
    let mut rest = text.get(1..).unwrap_or_default();
    loop {
        let Some((inside, after)) = rest.split_once('\'') else {
            return Err(Fail::Arg(0, "a text in '...' has no end".to_owned()));
        };
        out.push_str(inside);
        match after.strip_prefix('\'') {
            Some(more) => {
                out.push('\'');
                rest = more;
            }
            None => return Ok(after),
        }
    }
}

fn part(verb: &str, wall: &Wall, time: &Time) -> Option<String> {
    let at = |names: &[&'static str], i: usize| names.get(i).copied().unwrap_or_default();
    let month = at(&MONTHS, usize::try_from(wall.month - 1).unwrap_or(0));
    let weekday = at(&WEEKDAYS, wall.weekday);
    let short = |name: &str| name.chars().take(3).collect::<String>();
    let (hour, minute, second) = (wall.second / 3600, wall.second / 60 % 60, wall.second % 60);
    let twelve = (hour + 11) % 12 + 1;
    Some(match verb {
        "YYYY" => format!("{:04}", wall.year),
        "YY" => format!("{:02}", wall.year % 100),
        "MMMM" => month.to_owned(),
        "MMM" => short(month),
        "MM" => format!("{:02}", wall.month),
        "M" => wall.month.to_string(),
        "DD" => format!("{:02}", wall.day),
        "D" => wall.day.to_string(),
        "EEEE" => weekday.to_owned(),
        "EEE" => short(weekday),
        "HH" => format!("{twelve:02}"),
        "H" => twelve.to_string(),
        "hh" => format!("{hour:02}"),
        "h" => hour.to_string(),
        "AA" => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
        "aa" => (if hour < 12 { "am" } else { "pm" }).to_owned(),
        "mm" => format!("{minute:02}"),
        "m" => minute.to_string(),
        "ss" => format!("{second:02}"),
        "s" => second.to_string(),
        "ZZZZZ" => time.zone(":"),
        "ZZZZ" => time.zone(""),
        "ZZZ" if time.offset_s == 0 => "UTC".to_owned(),
        "ZZZ" => time.zone(""),
        "Z" if time.offset_s == 0 => "Z".to_owned(),
        "Z" => time.zone(":"),
        _ => return None,
    })
}
