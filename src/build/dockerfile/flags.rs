//! The `--name=value` between an instruction and its arguments: which there are, and why others are refused.

use std::collections::BTreeMap;
use std::time::Duration;

use parse_dockerfile::Flag;

use super::step::HealthCheck;
use super::{Line, Problem};

/// Flags that Docker knows and larder does not, and what to do instead.
const REFUSED: [(&str, &str, &str); 14] = [
    ("RUN", "mount", "copy what the command reads with COPY, and remove what it leaves in the same RUN"),
    ("RUN", "network", "say it for the whole build, with the option --network"),
    ("RUN", "security", "leave it out: a command has Docker's default capabilities"),
    ("RUN", "device", "leave it out: a command sees no devices of the machine"),
    ("COPY", "link", "leave it out: the files are the same without it"),
    ("COPY", "parents", "name the directory in the destination, one COPY for each"),
    ("COPY", "exclude", "name it in .dockerignore"),
    ("ADD", "link", "leave it out: the files are the same without it"),
    ("ADD", "parents", "name the directory in the destination, one ADD for each"),
    ("ADD", "exclude", "name it in .dockerignore"),
    ("ADD", "checksum", "it is for URLs: fetch the file before the build, and check it there"),
    ("ADD", "keep-git-dir", "it is for git: clone before the build, into the context"),
    ("ADD", "unpack", "leave it out: ADD unpacks archives, COPY does not"),
    ("ADD", "from", "use COPY --from"),
];

/// The values of an instruction's flags, by name.
pub(super) struct Flags(BTreeMap<String, String>);

impl Flags {
    /// Reads them; each that is not in `known` is a problem.
    pub(super) fn read(
        line: &Line,
        keyword: &str,
        flags: &[Flag<'_>],
        known: &[&str],
    ) -> Result<Flags, Problem> {
        let mut found = BTreeMap::new();
        for flag in flags {
            let name = flag.name.value.as_ref();
            let what = format!("{keyword} --{name}");
            let problem = |why: &str| Problem::new(line.number, what.clone(), why);
            if let Some((_, _, hint)) = REFUSED.iter().find(|(of, what, _)| (*of, *what) == (keyword, name)) {
                return Err(problem("this is not supported").with_hint(hint));
            }
            if !known.contains(&name) {
                return Err(problem(&format!("{keyword} has no such flag")));
            }
            let value = flag.value.as_ref().ok_or_else(|| problem("its value is missing"))?;
            let value = unquoted(&value.value)
                .ok_or_else(|| problem("a quote in it has no end, or there are blanks in it"))?;
            if found.insert(name.to_owned(), value).is_some() {
                return Err(problem("it is there twice"));
            }
        }
        Ok(Flags(found))
    }

    /// Takes one out.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn duration(&mut self, name: &str) -> Result<Duration, String> {
        let Some(text) = self.take(name) else { return Ok(Duration::ZERO) };
        let duration =
            duration(&text).ok_or_else(|| format!("--{name}={text} is no duration such as 1m30s"))?;
        match duration {
            d if d.is_zero() || d >= Duration::from_millis(1) => Ok(d),
            _ => Err(format!("--{name}={text} is less than 1ms")),
        }
    }

    /// The flags of HEALTHCHECK beside its command.
    pub(super) fn health(&mut self, command: super::Command) -> Result<HealthCheck, String> {
        let retries = match self.take("retries") {
            None => 0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|count| (1..=i32::MAX as u32).contains(count))
                .ok_or_else(|| format!("--retries={text} is no number from 1"))?,
        };
        Ok(HealthCheck::Test {
            command,
            interval: self.duration("interval")?,
            timeout: self.duration("timeout")?,
            start_period: self.duration("start-period")?,
            start_interval: self.duration("start-interval")?,
            retries,
        })
    }
}

/// A value without its quotes and escapes.
fn unquoted(value: &str) -> Option<String> {
    let mut plain = String::new();
    let mut quote = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(q)) if c == q => quote = None,
            ('\\', _) => plain.extend(chars.next()),
            (c, _) => plain.push(c),
        }
    }
    quote.is_none().then_some(plain)
}

/// A duration as Go writes them, and not below zero: `1h2m3.5s`, `500ms`, `0`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut nanos = 0u64;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (value, after) = rest.split_at(number);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let unit: u64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, part) = value.split_once('.').unwrap_or((value, ""));
        if (whole.is_empty() && part.is_empty()) || part.contains('.') {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        nanos = nanos.checked_add(whole.checked_mul(unit)?)?;
        let mut scale = unit;
        for digit in part.chars() {
            // Less than a nanosecond is nothing.
            let digit = u64::from(digit.to_digit(10)?);
            nanos = nanos.checked_add(scale / 10 * digit + scale % 10 * digit / 10)?;
            scale /= 10;
        }
        rest = after;
    }
    (!text.is_empty() && nanos <= i64::MAX as u64).then(|| Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_on_the_page() {
        let page = include_str!("../../../docs/build.md");
        for (instruction, name, _) in REFUSED {
            assert!(page.contains(&format!("`{instruction} --{name}`")), "{instruction} --{name}");
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("1m30s", Some(90_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5ms", Some(500_000)),
            ("2h", Some(7_200_000_000_000)),
            ("1", None),
            ("", None),
            ("-1s", None),
            (".s", None),
            ("1d", None),
            ("99999999999h", None),
        ] {
            assert_eq!(duration(text), nanos.map(Duration::from_nanos), "{text}");
        }
    }
}
