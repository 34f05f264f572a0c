//! Bundles: no bytes panic or take memory that they do not have, what is read of a manifest is written the same, and a tar that is
//! read to its end is what its manifest makes of it.

#![no_main]

use larder_store::archive::tar::Source;
use larder_store::bundle::frame::Frames;
use larder_store::bundle::have::{Have, Known};
use larder_store::bundle::manifest::{Manifest, sealed};
use larder_store::error::Result;
use libfuzzer_sys::fuzz_target;

struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(self.0.len());
        let (now, rest) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = rest;
        Ok(count)
    }
    fn skip(&mut self, count: u64) -> Result<bool> {
        let there = (self.0.len() as u64).min(count);
        self.0 = &self.0[there as usize..];
        Ok(there == count)
    }
}

fn walk(bytes: &[u8]) -> Result<()> {
    let mut frames = Frames::new(Bytes(bytes));
    let mut buffer = vec![0; 4096];
    let Some(opening) = frames.opening()? else { return Ok(()) };
    let Ok(manifest) = Manifest::parse(&opening.manifest) else { return Ok(()) };
    let part = frames.part(&manifest)?;
    for member in manifest.members_of(part) {
        frames.member(&member)?;
        frames.check(&member, &mut buffer)?;
    }
    frames.end()?;
    frames.is_over().map(drop)
}

fuzz_target!(|bytes: &[u8]| {
    let sealed = sealed(bytes);
    if let Ok(manifest) = Manifest::parse(&sealed) {
        assert_eq!(manifest.to_bytes(), sealed);
        assert_eq!(manifest.members().count(), manifest.parts.iter().sum::<usize>());
        let parts = (0..manifest.parts.len()).map(|part| manifest.members_of(part).count());
        assert_eq!(parts.collect::<Vec<_>>(), manifest.parts);
        let _ = Known::of_bundle(&manifest);
    }
    if let Ok(have) = Have::parse(bytes) {
        assert_eq!(Have::parse(&have.to_bytes()).as_ref(), Ok(&have));
        let _ = Known::of_list(have);
    }
    let _ = walk(bytes);
});
