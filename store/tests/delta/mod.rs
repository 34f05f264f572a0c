//! Deltas between layers: what goes in comes out, whatever the layers are; and nothing else comes out, whatever the delta is.

mod hostile;
mod prove;
mod rebuild;
mod roundtrip;
mod similar;
mod stores;

use larder_store::blob::Blob;
use larder_store::cancel::Cancel;
use larder_store::delta::{self, Base, Made, Settings, Target};
use larder_store::ids::DiffId;
use larder_store::layers::LayerFacts;
use larder_store::media_type::Compression;
use larder_store::{Digest, Error, Result};
use tar::{Builder, EntryType, Header};

use crate::support::image::noise;

/// A member of a layer.
#[derive(Debug, Clone)]
struct Member {
    path: String,
    kind: EntryType,
    /// A link's target.
    link: String,
    content: Vec<u8>,
    time: u64,
}

fn file(path: &str, content: impl Into<Vec<u8>>, time: u64) -> Member {
    let (path, kind, content) = (path.to_owned(), EntryType::Regular, content.into());
    Member { path, kind, link: String::new(), content, time }
}

fn link(path: &str, kind: EntryType, link: &str, time: u64) -> Member {
    Member { kind, link: link.into(), ..file(path, [], time) }
}

fn tar(members: &[Member]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for member in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(member.kind);
        header.set_size(member.content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(member.time);
        if member.link.is_empty() {
            builder.append_data(&mut header, &member.path, &member.content[..]).unwrap();
        } else {
            builder.append_link(&mut header, &member.path, &member.link).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn settings(jobs: usize) -> Settings {
    Settings { jobs, ..Settings::default() }
}

/// Makes a delta between plain layers.
fn made(base: &[u8], target: &[u8], jobs: usize) -> (Vec<u8>, Made) {
    let mut delta = Vec::new();
    let mut base = Base::of_bytes(base.to_vec());
    let diff_id = DiffId(Digest::of(target));
    let announced = Target { plain: &mut &target[..], diff_id, size: target.len() as u64 };
    let made = delta::make(&mut base, announced, &settings(jobs), None, &mut delta, &Cancel::new());
    let made = made.unwrap().unwrap();
    assert_eq!(made.size, delta.len() as u64);
    assert_eq!(made.copied + made.new, target.len() as u64);
    (delta, made)
}

fn applied(base: &[u8], mut delta: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let id = delta::apply(&mut Base::of_bytes(base.to_vec()), &mut delta, &mut out, &Cancel::new())?;
    assert_eq!(id, DiffId(Digest::of(&out)), "what comes out is what was said");
    Ok(out)
}

/// A blob in a file without a name, and its facts.
fn stored(bytes: &[u8], plain: &[u8], seekable: bool) -> (Blob, LayerFacts) {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    let (blob, size) = (Digest::of(bytes), bytes.len() as u64);
    let facts = LayerFacts {
        blob,
        size,
        compression: Compression::sniff(bytes),
        diff_id: DiffId(Digest::of(plain)),
        plain_size: plain.len() as u64,
        seekable,
    };
    (Blob::new(blob, file, 0, size), facts)
}

/// A layer of a few hundred members, and the same a month later: other times, some contents changed, some moved.
fn month(seed: u64) -> (Vec<u8>, Vec<u8>) {
    let content = |number: u64| {
        let mut content = noise(seed + number, 3000 + (number as usize * 7919) % 40_000);
        content.extend(b"some text that is in all of them".repeat(number as usize % 50));
        content
    };
    let name = |number: u64| format!("./usr/lib/package{}/libfile{number}.so.{}", number % 17, number % 5);
    let before: Vec<_> = (0..300).map(|n| file(&name(n), content(n), 1_700_000_000 + n)).collect();
    let mut after = Vec::new();
    for number in 0..300 {
        let mut member = file(&name(number), content(number), 1_702_600_000 + 3 * number);
        match number % 30 {
            7 => {
                let middle = member.content.len() / 2;
                member.content.splice(middle..middle + 100, noise(number, 333));
            }
            11 => continue,
            13 => member.path = format!("./usr/lib/package{}/libfile{number}.so.99", number % 17),
            19 => member.content.extend(b"and more"),
            _ => {}
        }
        after.push(member);
    }
    after.push(file("./etc/new", noise(seed + 1000, 5000), 1_702_600_000));
    (tar(&before), tar(&after))
}
