//! Amounts as people write them: durations, bytes, shares of a disk.

use std::num::NonZeroUsize;
use std::str::FromStr;

use bytesize::ByteSize;

/// Bytes, or a share of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the disk, 0 to 100.
    Percent(u8),
}

impl Amount {
    /// The bytes on a disk of `total` bytes.
    pub fn of(self, total: u64) -> u64 {
        match self {
            Amount::Bytes(bytes) => bytes,
            Amount::Percent(percent) => (u128::from(total) * u128::from(percent) / 100) as u64,
        }
    }
}

impl FromStr for Amount {
    type Err = String;

    /// Reads `10GB`, `1.5GiB`, `500000`, `15%`.
    fn from_str(text: &str) -> Result<Amount, String> {
        let Some(percent) = text.strip_suffix('%') else { return bytes(text).map(Amount::Bytes) };
        let percent = percent.trim().parse().ok().filter(|percent| *percent <= 100);
        percent
            .map(Amount::Percent)
            .ok_or_else(|| "expected a whole number from 0 to 100 before the %".into())
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Amount::Bytes(bytes) => write!(f, "{}", ByteSize(*bytes).display().si()),
            Amount::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Reads `500000`, `10GB`, `1.5GiB` as bytes; a number alone is bytes.
pub fn bytes(text: &str) -> Result<u64, String> {
    let expected = |_| "expected bytes, such as 500000, 10GB or 1.5GiB".to_owned();
    match text.parse::<ByteSize>().map_err(expected)?.as_u64() {
        u64::MAX => Err("that is more than any disk has".into()),
        bytes => Ok(bytes),
    }
}

/// Reads `1`, `2` and so on.
pub fn positive(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number, 1 or more".into())
}

/// Reads `90s`, `30m`, `1h`, `7d` as seconds.
pub fn seconds(text: &str) -> Result<u64, String> {
    let expected = || "expected a number with s, m, h or d, such as 30m".to_owned();
    let unit = text.chars().last().ok_or_else(expected)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(expected()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| expected())?;
    number.checked_mul(factor).ok_or_else(|| "that is longer than any store".into())
}

/// A duration in the largest unit that is not zero, cut: `40d`, `3h`.
pub fn shown_seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, value) in [("0s", 0), ("90s", 90), ("30m", 1800), ("1h", 3600), ("7d", 604_800)] {
            assert_eq!(seconds(text), Ok(value));
        }
        for bad in
            ["", "h", "1", "-1h", "1.5h", "1w", "é", "1 h", "99999999999999999999d", "9999999999999999999d"]
        {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn amounts_are_read() {
        for (text, value) in [
            ("0", Amount::Bytes(0)),
            ("500000", Amount::Bytes(500_000)),
            ("10GB", Amount::Bytes(10_000_000_000)),
            ("1.5GiB", Amount::Bytes(3 << 29)),
            ("2 MB", Amount::Bytes(2_000_000)),
            ("15%", Amount::Percent(15)),
            ("0%", Amount::Percent(0)),
            ("100%", Amount::Percent(100)),
        ] {
            assert_eq!(text.parse(), Ok(value), "{text}");
        }
        for bad in ["", "%", "101%", "-1%", "1.5%", "x", "-5", "10 bananas", "é%", "99999999999EB"] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
        assert_eq!(Amount::Percent(15).of(u64::MAX), u64::MAX / 100 * 15 + 2);
        assert_eq!(Amount::Bytes(7).of(3), 7);
    }

    #[test]
    fn durations_are_shown() {
        for (seconds, shown) in [(0, "0s"), (59, "59s"), (60, "1m"), (7199, "1h"), (86_400 * 40, "40d")] {
            assert_eq!(shown_seconds(seconds), shown);
        }
    }
}
