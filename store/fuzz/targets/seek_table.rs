//! Seek tables: whatever the bytes, the frames that come out of them are within the blob and of a size that we write.

#![no_main]

use larder_store::codec::{CHUNK, parse_table};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (size, tail) = input;
    // Mostly the size that would fit, because hardly any other is taken.
    for size in [size, tail.len() as u64, size % (64 << 20) + tail.len() as u64] {
        let Some(frames) = parse_table(tail, size) else { continue };
        let mut end = 0;
        for frame in frames {
            assert_eq!(frame.offset, end);
            assert!(frame.plain <= CHUNK);
            end += frame.coded as u64;
        }
        assert!(end < size);
    }
});
