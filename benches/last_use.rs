//! last_use DIR: what it costs to note that an image was used, in a store in DIR that knows the uses of 10,000 images.
//!
//! Every export, hold, pull and build pays this; it is to stay below a millisecond.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use larder_store::{Digest, Store};

const IMAGES: u32 = 10_000;
const ROUNDS: u32 = 2_000;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os().nth(1).ok_or("last_use DIR")?;
    let store = Store::open(Path::new(&dir), Duration::from_secs(60))?;
    let manifest = |number: u32| Digest::of(&number.to_le_bytes());
    for number in 0..IMAGES {
        store.record_use(&manifest(number), i64::from(number))?;
    }
    // Known images, all over the directory, and as many that were never used.
    for (what, first) in [("known", 0), ("new", IMAGES)] {
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let digest = manifest(first + round * (IMAGES / ROUNDS));
            let begun = Instant::now();
            store.record_use(&digest, 2_000_000_000)?;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        let at = |share: usize| times[times.len() * share / 100];
        #[allow(clippy::print_stdout, reason = "the figures are what it is for")]
        {
            println!("{what}: median {:?}, p99 {:?}, longest {:?}", at(50), at(99), times[times.len() - 1]);
        }
    }
    Ok(())
}
