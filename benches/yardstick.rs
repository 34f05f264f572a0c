//! yardstick ARCHIVE DIR: the least that an import of a docker-archive can do, as fast as this machine does it.
//!
//! Every layer is read, hashed, compressed in the frames that larder writes (4 MiB of plain data each, zstd level 3),
//! hashed again, written to DIR and synced. Nothing is checked, named, locked, leased or looked up: `larder import`
//! does all that besides, and `benches/run` holds its time against this one.
//!
//! As many threads as cores do everything: a thread takes the next chunk (one at a time reads and hashes, in order),
//! compresses it, and then writes what is ready to be written, if no other does so already. So a chunk stays in the
//! cache of one core, nothing waits for its turn on a queue, and buffers go round. The kernel is told to start
//! writing to disk early, so that little is left to wait for in the end.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zstd::zstd_safe::CParameter;

use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};

type Failure = Box<dyn Error + Send + Sync>;
type Result<T = ()> = std::result::Result<T, Failure>;

const CHUNK: usize = 4 << 20;
/// Read and hashed at once: what stays in a core's own cache.
const PIECE: usize = 256 << 10;
/// Written between two hints to the kernel, bytes.
const STRIDE: u64 = 8 << 20;

/// Where a layer is in the archive.
struct Layer {
    offset: u64,
    size: u64,
}

/// What is to be read next; one thread at a time has it.
#[derive(Default)]
struct Input {
    layer: usize,
    position: u64,
    chunk: u64,
    hash: Sha256,
}

/// A frame, and whether its layer ends with it.
struct Frame {
    layer: usize,
    bytes: Vec<u8>,
    is_last: bool,
}

/// Frames that wait for earlier ones.
#[derive(Default)]
struct Queue {
    frames: BTreeMap<u64, Frame>,
    next: u64,
    is_being_written: bool,
}

/// The file of the layer that is being written; the thread that set `is_being_written` has it.
struct Output {
    file: File,
    hash: Sha256,
    written: u64,
    hinted: u64,
}

struct Work<'a> {
    archive: File,
    layers: Vec<Layer>,
    dir: &'a Path,
    input: Mutex<Input>,
    queue: Mutex<Queue>,
    output: Mutex<Option<Output>>,
    buffers: Mutex<Vec<Vec<u8>>>,
}

fn main() -> Result {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(archive), Some(dir), None) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: yardstick ARCHIVE DIR".into());
    };
    let (archive, dir) = (File::open(archive)?, Path::new(&dir));
    let layers = layers(&archive)?;
    let work = Work {
        archive,
        layers,
        dir,
        input: Mutex::default(),
        queue: Mutex::default(),
        output: Mutex::default(),
        buffers: Mutex::default(),
    };
    let (written, files) = channel::<File>();
    std::thread::scope(|scope| {
        let syncing = scope.spawn(move || files.iter().try_for_each(|file| file.sync_all()));
        let threads = std::thread::available_parallelism()?.get();
        let working: Vec<_> = (0..threads)
            .map(|_| (&work, written.clone()))
            .map(|(work, written)| scope.spawn(move || work.run(&written)))
            .collect();
        drop(written);
        for thread in working {
            thread.join().map_err(|_| "a thread panicked")??;
        }
        syncing.join().map_err(|_| "the syncing thread panicked")??;
        Ok::<_, Failure>(())
    })?;
    File::open(dir)?.sync_all()?;
    Ok(())
}

/// Finds the layers of the first image, each once.
fn layers(archive: &File) -> Result<Vec<Layer>> {
    let mut members = HashMap::new();
    let mut manifest = String::new();
    for entry in tar::Archive::new(archive).entries_with_seek()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if path == "manifest.json" {
            entry.read_to_string(&mut manifest)?;
        }
        members.insert(path, Layer { offset: entry.raw_file_position(), size: entry.size() });
    }
    let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
    let paths = manifest[0]["Layers"].as_array().ok_or("manifest.json names no layers")?;
    Ok(paths.iter().filter_map(|path| members.remove(path.as_str()?)).collect())
}

impl Work<'_> {
    fn run(&self, written: &Sender<File>) -> Result {
        let mut plain = vec![0; CHUNK];
        let mut zstd = zstd::bulk::Compressor::new(3)?;
        // The same frames as larder's (store/src/codec/frames.rs).
        zstd.set_parameter(CParameter::WindowLog(22))?;
        zstd.set_parameter(CParameter::HashLog(16))?;
        zstd.set_parameter(CParameter::ChainLog(17))?;
        while let Some((number, layer, length, is_last)) = self.read(&mut plain)? {
            let mut bytes = lock(&self.buffers).pop().unwrap_or_default();
            bytes.clear();
            bytes.reserve(zstd::zstd_safe::compress_bound(CHUNK));
            zstd.compress_to_buffer(&plain[..length], &mut bytes)?;
            lock(&self.queue).frames.insert(number, Frame { layer, bytes, is_last });
            self.write(written)?;
        }
        Ok(())
    }

    /// Reads and hashes the next chunk: its number, its layer, its length, and whether it is the layer's last.
    fn read(&self, plain: &mut [u8]) -> Result<Option<(u64, usize, usize, bool)>> {
        let input = &mut *lock(&self.input);
        let index = input.layer;
        let Some(layer) = self.layers.get(index) else { return Ok(None) };
        let length = (layer.size - input.position).min(CHUNK as u64) as usize;
        for piece in plain[..length].chunks_mut(PIECE) {
            self.archive.read_exact_at(piece, layer.offset + input.position)?;
            input.hash.update(&*piece);
            input.position += piece.len() as u64;
        }
        let number = input.chunk;
        input.chunk += 1;
        let is_last = input.position == layer.size;
        if is_last {
            std::hint::black_box(std::mem::take(&mut input.hash).finalize());
            (input.layer, input.position) = (index + 1, 0);
        }
        Ok(Some((number, index, length, is_last)))
    }

    /// Writes the frames whose turn it is, unless another thread is at it: that one will see ours.
    fn write(&self, written: &Sender<File>) -> Result {
        loop {
            let mut queue = lock(&self.queue);
            if queue.is_being_written {
                return Ok(());
            }
            let next = queue.next;
            let Some(frame) = queue.frames.remove(&next) else { return Ok(()) };
            queue.next += 1;
            queue.is_being_written = true;
            drop(queue);
            if let Some(file) = self.write_frame(&frame)? {
                written.send(file)?;
            }
            lock(&self.buffers).push(frame.bytes);
            lock(&self.queue).is_being_written = false;
        }
    }

    /// The layer's file, once it is complete.
    fn write_frame(&self, frame: &Frame) -> Result<Option<File>> {
        let mut slot = lock(&self.output);
        let mut output = match slot.take() {
            Some(output) => output,
            None => {
                let file = File::create_new(self.dir.join(frame.layer.to_string()))?;
                Output { file, hash: Sha256::new(), written: 0, hinted: 0 }
            }
        };
        output.hash.update(&frame.bytes);
        output.file.write_all(&frame.bytes)?;
        output.written += frame.bytes.len() as u64;
        if output.written - output.hinted >= STRIDE {
            // What it does for dirty pages is to start writing them (Linux); it does not wait.
            fadvise(
                &output.file,
                output.hinted,
                std::num::NonZeroU64::new(output.written - output.hinted),
                Advice::DontNeed,
            )?;
            output.hinted = output.written;
        }
        if !frame.is_last {
            *slot = Some(output);
            return Ok(None);
        }
        std::hint::black_box(output.hash.finalize());
        Ok(Some(output.file))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
