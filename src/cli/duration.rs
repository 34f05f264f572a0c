//! Durations on the command line.

/// Reads `90s`, `30m`, `1h`, `7d` as seconds.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
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
}
