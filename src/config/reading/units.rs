//! Durations such as `1h30m` and sizes such as `35MB`, as the configuration writes them.
//!
//! A number always has its unit, and no unit is ambiguous: `m` is minutes, `MB` is 10^6 octets, `MiB` is 2^20.
//! (Neither `M` for months nor a decimal fraction is known, unlike in the crates for this, whose errors also do not say
//! what was expected.)

use std::time::Duration;

/// Largest first: parts of a duration are in this order, each once at most.
const TIME_UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Decimal ones first, so that a size is printed as people say it.
const SIZE_UNITS: [(&str, u64); 7] = [
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Reads a duration; `None` when it is none, or longer than 2^64 seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut units, mut seconds) = (text, TIME_UNITS.as_slice(), 0_u64);
    while !rest.is_empty() {
        let (number, tail) = split_number(rest)?;
        let unit_ends = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_ends);
        let at = units.iter().position(|(name, _)| *name == unit)?;
        seconds = seconds.checked_add(number.checked_mul(units[at].1)?)?;
        (rest, units) = (tail, &units[at + 1..]);
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

/// Reads a size in octets; the unit may be in any case.
pub(in crate::config) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, octets) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*octets)
}

/// Reads a number of messages and the time that they are for: `25/m`, `5/2s`.
pub(in crate::config) fn parse_pace(text: &str) -> Option<(u64, Duration)> {
    let (number, per) = text.split_once('/')?;
    let (messages, "") = split_number(number)? else { return None };
    let unit = TIME_UNITS.iter().find(|(name, _)| *name == per);
    let per = unit.map(|(_, seconds)| Duration::from_secs(*seconds)).or_else(|| parse_duration(per))?;
    Some((messages, per))
}

/// The digits at the front as a number, and the rest.
fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// A number of seconds as the configuration would write it.
pub(in crate::config) fn spell_duration(mut seconds: u64) -> String {
    if seconds == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, length) in TIME_UNITS {
        if seconds >= length {
            text.push_str(&format!("{}{name}", seconds / length));
            seconds %= length;
        }
    }
    text
}

/// A number of octets as the configuration would write it, exactly.
pub(in crate::config) fn spell_size(octets: u64) -> String {
    let fits = |(_, unit): &&(&str, u64)| octets >= *unit && octets.is_multiple_of(*unit);
    SIZE_UNITS.iter().find(fits).map_or_else(|| format!("{octets}B"), |(name, unit)| format!("{}{name}", octets / unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        parse_duration(text).map(|duration| duration.as_secs())
    }

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        assert_eq!(seconds("30s"), Some(30));
        assert_eq!(seconds("5m"), Some(300));
        assert_eq!(seconds("1h30m"), Some(5_400));
        assert_eq!(seconds("4d"), Some(345_600));
        assert_eq!(seconds("1d2h3m4s"), Some(93_784));
        for bad in [
            "",
            "5",
            "m",
            "5M",
            "5 m",
            "1m1h",
            "1m1m",
            "1.5h",
            "-1s",
            "5ms",
            "5min",
            "1h30",
            "ü",
            "99999999999999999999s",
            "18446744073709551615d",
        ] {
            assert_eq!(seconds(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary_by_their_unit() {
        assert_eq!(parse_size("35MB"), Some(35_000_000));
        assert_eq!(parse_size("35 mb"), Some(35_000_000));
        assert_eq!(parse_size("1MiB"), Some(1_048_576));
        assert_eq!(parse_size("0B"), Some(0));
        for bad in ["", "35", "35M", "MB", "1.5GB", "-1B", "1MB1kB", "1  MB", "18446744073709551615GB"] {
            assert_eq!(parse_size(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_pace_is_a_number_of_messages_in_a_time() {
        let pace = |text: &str| parse_pace(text).map(|(messages, per)| (messages, per.as_secs()));
        assert_eq!(pace("25/m"), Some((25, 60)));
        assert_eq!((pace("1/s"), pace("7/h"), pace("500/d")), (Some((1, 1)), Some((7, 3_600)), Some((500, 86_400))));
        assert_eq!((pace("5/2s"), pace("9/1h30m")), (Some((5, 2)), Some((9, 5_400))));
        for bad in ["", "25", "25/", "/m", "25/M", "25 /m", "25/ m", "2.5/m", "-1/m", "25/min", "25/60", "1/m/m"] {
            assert_eq!(pace(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read_back(number: u64) {
            prop_assert_eq!(seconds(&spell_duration(number)), Some(number));
            prop_assert_eq!(parse_size(&spell_size(number)), Some(number));
        }

        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = (parse_duration(&text), parse_size(&text), parse_pace(&text));
        }
    }
}
