//! Compressing layers on all cores, and reading them back.
//!
//! A layer that larder writes is a row of independent frames (zstd) or members (gzip) of 4 MiB of plain data:
//! every core works inside one large layer, and the result does not depend on how many there are. Behind zstd
//! frames stands a seek table in a skippable frame (the zstd seekable format, `contrib/seekable_format` of
//! facebook/zstd), which any decoder passes over.

mod decode;
mod encode;
mod frame_reader;
mod frames;
mod learned;
mod outer;
mod plain;
mod prove;
mod seek;
mod verify;

use std::fmt;
use std::str::FromStr;

pub use decode::{Limits, decoder};
pub use encode::{EncodedLayer, Encoder};
pub use frame_reader::FrameReader;
pub use frames::CHUNK;
pub(crate) use learned::remember;
pub use learned::{Learned, remembered};
pub use outer::{HEAD, Outer};
pub use plain::Plain;
pub use prove::{Proof, prove};
pub(crate) use seek::table_says;
pub use seek::{Frame, layer_decoder, parse_table};
pub use verify::{CopiedLayer, Copy, copy_layer, measure, measure_frames};

use crate::media_type::Compression;

/// What the bytes of layers that larder writes depend on beside their content: encoders of which this is the same make the same
/// blobs of the same content.
pub fn encoder() -> String {
    /// Changes with what is made of content: the frames, their sizes, the library of gzip.
    const FORM: u32 = 1;
    format!("larder {FORM}, zstd {}", zstd::zstd_safe::version_string())
}

/// How layers that larder writes are compressed, and how hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// The format.
    pub compression: Compression,
    /// The level, in the format's own scale; without meaning where nothing is compressed.
    pub level: i32,
}

impl Default for Encoding {
    fn default() -> Encoding {
        Encoding::of(Compression::Zstd)
    }
}

impl Encoding {
    /// How a format is written where no level is asked for.
    pub fn of(compression: Compression) -> Encoding {
        let level = match compression {
            Compression::Zstd => 3,
            Compression::Gzip => 6,
            Compression::None => 0,
        };
        Encoding { compression, level }
    }
}

impl FromStr for Encoding {
    type Err = String;
    fn from_str(text: &str) -> Result<Encoding, String> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => {
                (name, Some(level.parse::<i32>().map_err(|_| format!("{level:?} is not a level"))?))
            }
            None => (text, None),
        };
        let (compression, range) = match name {
            "zstd" => (Compression::Zstd, 1..=19),
            "gzip" => (Compression::Gzip, 1..=9),
            "none" if level.is_none() => return Ok(Encoding::of(Compression::None)),
            _ => return Err("expected zstd[:1-19], gzip[:1-9] or none".into()),
        };
        let level = level.unwrap_or(Encoding::of(compression).level);
        if !range.contains(&level) {
            return Err(format!("{name} has levels {} to {}", range.start(), range.end()));
        }
        Ok(Encoding { compression, level })
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.compression {
            Compression::Zstd => write!(f, "zstd:{}", self.level),
            Compression::Gzip => write!(f, "gzip:{}", self.level),
            Compression::None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_parsed() {
        for (text, shown) in [
            ("zstd", "zstd:3"),
            ("zstd:19", "zstd:19"),
            ("gzip", "gzip:6"),
            ("gzip:1", "gzip:1"),
            ("none", "none"),
        ] {
            assert_eq!(text.parse::<Encoding>().map(|e| e.to_string()), Ok(shown.to_owned()));
        }
        for bad in ["", "lz4", "zstd:0", "zstd:20", "gzip:10", "none:1", "zstd:x", "zstd:"] {
            assert!(bad.parse::<Encoding>().is_err(), "{bad}");
        }
    }
}
