//! `window`: when machines may be taken down. Pure arithmetic over the milliseconds since 1970 that it is given.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    /// From 1970-01-01, which was a Thursday.
    const SINCE_1970: [Day; 7] = [
        Day::Thu,
        Day::Fri,
        Day::Sat,
        Day::Sun,
        Day::Mon,
        Day::Tue,
        Day::Wed,
    ];
}

/// Minutes since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TimeOfDay(pub u16);

/// Minutes that a zone's clocks are ahead of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Zone(pub i16);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Window {
    pub name: String,
    /// It is about instances on nodes with these labels; all of them when it names none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// The days on which it begins; all of them when it names none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub days: BTreeSet<Day>,
    pub from: TimeOfDay,
    /// The next day's, when it is not after `from`.
    pub to: TimeOfDay,
    pub zone: Zone,
}

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

impl Window {
    /// The end of the window that is open at this moment; `None` when none is. Windows that follow one upon the other are one.
    pub fn open_until_ms(&self, now_ms: i64) -> Option<i64> {
        let zone_ms = i64::from(self.zone.0) * MINUTE_MS;
        let local_ms = now_ms.saturating_add(zone_ms);
        let today = local_ms.div_euclid(DAY_MS);
        let mut end = None;
        // The one that began yesterday may still be open; eight days are enough to see that it never closes.
        for day in today.saturating_sub(1)..=today.saturating_add(7) {
            let Some((opens, closes)) = self.on(day) else {
                continue;
            };
            if opens <= end.unwrap_or(local_ms) && closes > end.unwrap_or(local_ms) {
                end = Some(closes);
            }
        }
        end.map(|end| end.saturating_sub(zone_ms))
    }

    /// Whether something that begins at this moment and takes so long ends within the window.
    pub fn holds(&self, now_ms: i64, takes_ms: u64) -> bool {
        let end = now_ms.saturating_add(i64::try_from(takes_ms).unwrap_or(i64::MAX));
        self.open_until_ms(now_ms).is_some_and(|until| end <= until)
    }

    /// The window that begins on a day, counted from 1970.
    fn on(&self, day: i64) -> Option<(i64, i64)> {
        let weekday = usize::try_from(day.rem_euclid(7)).ok()?;
        let weekday = Day::SINCE_1970.get(weekday)?;
        if !self.days.is_empty() && !self.days.contains(weekday) {
            return None;
        }
        let midnight = day.saturating_mul(DAY_MS);
        let at = |time: TimeOfDay| midnight.saturating_add(i64::from(time.0) * MINUTE_MS);
        let (opens, closes) = (at(self.from), at(self.to));
        Some((
            opens,
            if closes > opens {
                closes
            } else {
                closes.saturating_add(DAY_MS)
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Day], from: u16, to: u16, zone: i16) -> Window {
        Window {
            name: "nights".to_owned(),
            match_labels: BTreeMap::new(),
            days: days.iter().copied().collect(),
            from: TimeOfDay(from * 60),
            to: TimeOfDay(to * 60),
            zone: Zone(zone),
        }
    }

    /// Hours since Monday, 1970-01-05, 00:00 UTC.
    fn monday_and(hours: i64) -> i64 {
        4 * DAY_MS + hours * 60 * MINUTE_MS
    }

    #[test]
    fn a_night_goes_over_midnight_and_the_end_of_the_week() {
        let (sat, sun) = (5 * 24, 6 * 24);
        let nights = window(&[Day::Sat, Day::Sun], 22, 4, 0);
        let until = |hours| nights.open_until_ms(monday_and(hours));
        assert_eq!(until(sat + 21), None);
        assert_eq!(until(sat + 22), Some(monday_and(sat + 28)));
        assert_eq!(until(sun + 3), Some(monday_and(sun + 4)));
        assert_eq!(until(sun + 4), None, "the end is no part of it");
        assert_eq!(until(sun + 23), Some(monday_and(sun + 28)));
        // Sunday's ends on Monday; Monday has none of its own.
        assert_eq!(until(sun + 24 + 3), Some(monday_and(sun + 28)));
        assert_eq!(until(3), Some(monday_and(4)), "that of the Sunday before");
        assert_eq!(until(22), None);
        assert!(nights.holds(monday_and(sat + 22), 6 * 3_600_000));
        assert!(!nights.holds(monday_and(sat + 22), 6 * 3_600_000 + 1));
        assert!(!nights.holds(monday_and(sat + 21), 0));
        assert!(!nights.holds(monday_and(sat + 22), u64::MAX));
    }

    #[test]
    fn a_zone_moves_the_day_too() {
        // Monday 00:30 in a zone that is an hour ahead is Sunday 23:30 in UTC.
        let monday = window(&[Day::Mon], 0, 2, 60);
        assert_eq!(monday.open_until_ms(monday_and(-1)), Some(monday_and(1)));
        assert_eq!(monday.open_until_ms(monday_and(1)), None);
        let behind = window(&[Day::Mon], 0, 2, -330);
        assert_eq!(behind.open_until_ms(monday_and(5)), None);
        assert!(behind.open_until_ms(monday_and(6)).is_some());
    }

    #[test]
    fn windows_that_touch_are_one() {
        let always = window(&[], 0, 0, 0);
        assert!(always.holds(monday_and(5), 7 * 24 * 3_600_000));
        let weekend = window(&[Day::Sat, Day::Sun], 0, 0, 0);
        let saturday = monday_and(5 * 24);
        assert_eq!(weekend.open_until_ms(saturday), Some(saturday + 2 * DAY_MS));
        assert_eq!(weekend.open_until_ms(saturday - 1), None);
        assert_eq!(weekend.open_until_ms(i64::MAX), None);
        let _ = weekend.open_until_ms(i64::MIN);
    }
}
