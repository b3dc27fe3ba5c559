//! Whether a text is a date (RFC 5322 3.3, with the obsolete years and zones of 4.3).

use crate::smtp::header::{AddressTokens, TokenKind};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// More tokens than a date can have, comments aside.
const MOST: usize = 16;

/// `Mon, 30 Nov 2026 18:00:00 +0100 (CET)`; the name of the day and the seconds may be missing.
pub(super) fn is_date(body: &[u8]) -> bool {
    let list = AddressTokens::split(body);
    let tokens = list.tokens().iter().filter(|token| token.kind != TokenKind::Comment);
    let words: Option<Vec<&str>> =
        tokens.take(MOST).map(|token| str::from_utf8(&body[token.start..token.end]).ok()).collect();
    let Some(words) = words else { return false };
    let words = match &words[..] {
        [day, ",", rest @ ..] if is_one_of(day, &DAYS).is_some() => rest,
        all => all,
    };
    let (date, time, zone) = match words {
        [day, month, year, hour, ":", minute, ":", second, zone] => ([day, month, year], [hour, minute, second], zone),
        [day, month, year, hour, ":", minute, zone] => ([day, month, year], [hour, minute, &"00"], zone),
        _ => return false,
    };
    is_day(date) && is_time(time) && is_zone(zone)
}

fn is_one_of(word: &str, words: &[&str]) -> Option<usize> {
    words.iter().position(|known| known.eq_ignore_ascii_case(word))
}

/// A number of these digits.
fn number(word: &str, digits: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let is_number = digits.contains(&word.len()) && word.bytes().all(|octet| octet.is_ascii_digit());
    word.parse().ok().filter(|_| is_number)
}

fn is_day([day, month, year]: [&&str; 3]) -> bool {
    let (Some(day), Some(month), Some(year)) = (number(day, 1..=2), is_one_of(month, &MONTHS), number(year, 2..=4))
    else {
        return false;
    };
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 => 28 + u32::from(is_leap),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    };
    (1..=days).contains(&day)
}

/// RFC 5322 3.3: a leap second is one.
fn is_time([hour, minute, second]: [&&str; 3]) -> bool {
    let below = |word: &str, limit: u32| number(word, 1..=2).is_some_and(|number| number < limit);
    below(hour, 24) && below(minute, 60) && below(second, 61)
}

/// RFC 5322 4.3: an unknown name of a zone is read as -0000.
fn is_zone(zone: &str) -> bool {
    match zone.strip_prefix(['+', '-']) {
        Some(digits) => number(digits, 4..=4).is_some_and(|digits| digits % 100 < 60),
        None => (1..=5).contains(&zone.len()) && zone.bytes().all(|octet| octet.is_ascii_alphabetic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_now_and_of_old_are_dates() {
        for date in [
            " Mon, 30 Nov 2026 18:00:00 +0100",
            " Mon, 30 Nov 2026 18:00:00 +0100 (CET)\r\n",
            "30 Nov 2026 8:00 GMT",
            "Sat,\r\n 29 Feb 2020 23:59:60 -0000",
            "mon , 1 jan 99 00:00:00 UT",
            "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600",
            "1 Jan 2026 00:00:00 Z",
        ] {
            assert!(is_date(date.as_bytes()), "{date}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "today",
            "30/11/2026 18:00",
            "2026-11-30T18:00:00Z",
            "Mon, 30 Nov 2026 18:00:00",
            "Mon Nov 30 18:00:00 2026",
            "Mon, 31 Nov 2026 18:00:00 +0000",
            "Sun, 29 Feb 2026 18:00:00 +0000",
            "Mon, 30 Nov 2026 24:00:00 +0000",
            "Mon, 30 Nov 2026 18:60:00 +0000",
            "Mon, 30 Nov 2026 18:00:00 +1",
            "Mon, 30 Nov 2026 18:00:00 +0160",
            "Montag, 30 Nov 2026 18:00:00 +0100",
            "Mon, 30 Nov 2026 18:00:00 +0000 and more",
            "Mon, 0 Nov 2026 18:00:00 +0000",
            "Mon, 30 Nov 20266 18:00:00 +0000",
        ] {
            assert!(!is_date(text.as_bytes()), "{text}");
        }
        assert!(!is_date(&b"(".repeat(100_000)) && !is_date(b"\xff"));
    }
}
