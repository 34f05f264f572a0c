//! Tar headers: no bytes panic or go on without end, and a member that is let through stays inside of the archive.

#![no_main]

use larder_store::archive::tar::{Kind, Member, Members, Source};
use larder_store::error::Result;
use libfuzzer_sys::fuzz_target;

struct Bytes<'b>(&'b [u8]);

impl Source for Bytes<'_> {
    fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(self.0.len());
        let (read, rest) = self.0.split_at(count);
        buffer[..count].copy_from_slice(read);
        self.0 = rest;
        Ok(count)
    }

    fn skip(&mut self, count: u64) -> Result<bool> {
        let there = count <= self.0.len() as u64;
        self.0 = &self.0[count.min(self.0.len() as u64) as usize..];
        Ok(there)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut members = Members::new(Bytes(bytes));
    let mut end = 0;
    let mut content = [0; 700];
    while let Ok(Some(member)) = members.next_member() {
        assert_inside(&member.path);
        if let Kind::Link(target) = &member.kind {
            assert_inside(target);
        }
        assert!(member.offset >= end, "{member:?} begins before the last one ends");
        end = member.offset + member.size;
        read(&mut members, &member, &mut content, bytes);
    }
});

/// What is read of a member is what stands at its place.
fn read(members: &mut Members<Bytes<'_>>, member: &Member, content: &mut [u8], bytes: &[u8]) {
    let Ok(count) = members.read(member, 0, content) else { return };
    let place = member.offset as usize;
    assert_eq!(content[..count], bytes[place..place + count], "{member:?}");
}

fn assert_inside(path: &str) {
    assert!(
        !path.starts_with('/') && !path.contains('\\') && !path.chars().any(char::is_control),
        "{path:?}"
    );
    assert!(path.split('/').all(|part| part != ".."), "{path:?}");
}
