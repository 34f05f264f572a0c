//! What extended headers say about the next member of a layer (POSIX.1-2017 pax; GNU long names).
//!
//! Values of attributes are bytes, newlines among them: records are taken by their lengths.

use super::broken;
use crate::error::Result;
use crate::tree::{Time, Xattrs, is_kept};

/// Where GNU tar, Go and libarchive keep extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What was said.
#[derive(Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) modified: Option<Time>,
    /// Those that a layer may carry.
    pub(super) xattrs: Xattrs,
}

impl Extended {
    /// Reads a pax header. The last record of a key counts.
    pub(super) fn pax(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let (key, value, rest) = record(data).ok_or_else(|| broken("has a malformed pax header"))?;
            data = rest;
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(number(value)?),
                b"uid" => self.uid = Some(number(value)?),
                b"gid" => self.gid = Some(number(value)?),
                b"mtime" => {
                    self.modified = Some(time(value).ok_or_else(|| broken("has a time that is none"))?)
                }
                _ if key.starts_with(b"GNU.sparse") => {
                    return Err(broken("has a sparse member, which layers must not have"));
                }
                _ => {
                    if let Some(name) = key.strip_prefix(XATTR)
                        && is_kept(name)
                    {
                        self.xattrs.retain(|(known, _)| known != name);
                        self.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }
}

/// A key, its value and what follows.
fn record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &data[length..]))
}

fn number(value: &[u8]) -> Result<u64> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| broken("has a pax header with a number that is none"))
}

/// Decimal seconds, perhaps negative, perhaps with a fraction.
fn time(value: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanos: u32 = format!("{fraction:0<9}")[..9].parse().ok()?;
    Some(match (whole.starts_with('-'), nanos) {
        (true, 1..) => Time { seconds: seconds.checked_sub(1)?, nanos: 1_000_000_000 - nanos },
        _ => Time { seconds, nanos },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_taken_by_their_lengths() {
        let mut extended = Extended::default();
        extended.pax(b"37 SCHILY.xattr.user.x=a\nb=c\0 7 e=f\n\n12 path=a\nb\n").expect("records");
        assert_eq!(extended.xattrs, [(b"user.x".to_vec(), b"a\nb=c\0 7 e=f\n".to_vec())]);
        assert_eq!(extended.path.as_deref(), Some(b"a\nb".as_slice()));
        for bad in [
            b"5 a=b".as_slice(),
            b"9 a=b\n",
            b"x a=b\n",
            b"6 abc\n",
            b"99999999999999999999 a=b\n",
            b"1 a=b\n",
            b"0 \n",
        ] {
            assert!(Extended::default().pax(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_have_fractions_and_may_be_before_1970() {
        for (text, seconds, nanos) in [
            ("1.5", 1, 500_000_000),
            ("-1.5", -2, 500_000_000),
            ("-0.25", -1, 750_000_000),
            ("7", 7, 0),
            ("3.0123456789", 3, 12_345_678),
        ] {
            assert_eq!(time(text.as_bytes()), Some(Time { seconds, nanos }), "{text}");
        }
        for bad in ["", "x", "1.x", "1.-5", "99999999999999999999"] {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }
}
