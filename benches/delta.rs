//! What `benches/delta` runs: one thing that deltas are made for, on files, timed. All that is printed is one line of JSON.
//!
//! delta pack TAR BLOB · delta make BASE TARGET DELTA LEVEL JOBS · delta apply BASE DELTA ·
//! delta rebuild BASE DELTA TARGET JOBS · delta prove BLOB JOBS

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Instant;

use larder_store::Digest;
use larder_store::blob::{Blob, Ingest};
use larder_store::cancel::Cancel;
use larder_store::codec::{Encoder, Encoding, layer_decoder, measure, prove};
use larder_store::delta::{self, Base, Header, Settings, Target, Wanted};
use larder_store::fs::Dir;
use larder_store::layers::LayerFacts;
use larder_store::media_type::Compression;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// A blob in a file, and what it is.
fn open(path: &str) -> Result<(Blob, LayerFacts)> {
    let mut file = File::open(path)?;
    let mut head = [0; 4];
    file.read_exact(&mut head)?;
    let compression = Compression::sniff(&head);
    let bytes = std::fs::read(path)?;
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    drop(bytes);
    let blob = Blob::new(digest, file, 0, size);
    let plain = measure(&blob, compression, &Cancel::new())?;
    // Only blobs that `pack` wrote are given to it.
    let seekable = compression == Compression::Zstd;
    let (diff_id, plain_size) = (plain.diff_id, plain.size);
    Ok((blob, LayerFacts { blob: digest, size, compression, diff_id, plain_size, seekable }))
}

/// The most memory that was resident, bytes, since [`begin`].
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) << 10
}

/// Processor time of all threads, seconds: what the work costs on a machine with other work to do.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

struct Clock(Instant, f64);

fn begin() -> Clock {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    Clock(Instant::now(), processor())
}

#[allow(clippy::print_stdout)]
fn say(clock: &Clock, plain: u64, what: &str) {
    let (seconds, processor, memory) = (clock.0.elapsed().as_secs_f64(), processor() - clock.1, memory());
    println!(
        r#"{{"seconds":{seconds:.3},"processor":{processor:.2},"plain":{plain},"memory":{memory},{what}}}"#
    );
}

fn main() -> Result {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let cancel = Cancel::new();
    let scratch = std::env::temp_dir();
    let scratch = Dir::open(&scratch)?;
    let jobs = |text: &str| text.parse::<usize>();
    match args[..] {
        ["pack", tar, out] => {
            let dir = tempdir(out)?;
            let mut encoder = Encoder::new(Encoding::default(), 2, cancel, dir.path().into())?;
            encoder.layer(&mut File::open(tar)?, Ingest::create(&dir)?.writer()?, &|_| {})?;
            let layer = encoder.finish()?.remove(0);
            std::io::copy(&mut layer.staged.open()?.reader(), &mut File::create(out)?)?;
            drop(layer);
            std::fs::remove_dir(dir.path())?;
        }
        ["make", base, target, out, level, threads] => {
            let ((base, base_facts), (target, facts)) = (open(base)?, open(target)?);
            let settings = Settings { level: level.parse()?, jobs: jobs(threads)?, ..Settings::default() };
            let clock = begin();
            let mut base = Base::open(&base, &base_facts, &scratch, &cancel)?;
            let mut plain = layer_decoder(&target, &facts, 1)?;
            let target = Target { plain: &mut plain, diff_id: facts.diff_id, size: facts.plain_size };
            let mut file = BufWriter::new(File::create(out)?);
            let made =
                delta::make(&mut base, target, &settings, None, &mut file, &cancel)?.ok_or("too large")?;
            file.flush()?;
            let (size, copied, new) = (made.size, made.copied, made.new);
            say(&clock, facts.plain_size, &format!(r#""size":{size},"copied":{copied},"new":{new}"#));
        }
        ["apply", base, delta] => {
            let (base, base_facts) = open(base)?;
            let mut delta = BufReader::new(File::open(delta)?);
            let clock = begin();
            let mut base = Base::open(&base, &base_facts, &scratch, &cancel)?;
            let mut out = Counting(0);
            delta::apply(&mut base, &mut delta, &mut out, &cancel)?;
            say(&clock, out.0, r#""what":"apply""#);
        }
        ["rebuild", base, delta, target, threads] => {
            let ((base, base_facts), (target, facts)) = (open(base)?, open(target)?);
            let mut delta = BufReader::new(File::open(delta)?);
            let dir = Dir::open(Path::new("/dev/shm"))?.create_dir(&larder_store::fs::unique())?;
            let clock = begin();
            let mut base = Base::open(&base, &base_facts, &scratch, &cancel)?;
            let (target_id, target_size) = (facts.diff_id, facts.plain_size);
            let header =
                Header { base: base.diff_id(), base_size: base.size(), target: target_id, target_size };
            let wanted = Wanted {
                digest: target.digest(),
                size: target.size(),
                header,
                encoding: Encoding::default(),
                jobs: jobs(threads)?,
                shown: dir.path(),
            };
            let writer = Ingest::create(&dir)?.writer()?;
            let layer = delta::rebuild(&mut base, &mut delta, &wanted, writer, &cancel)?;
            say(&clock, facts.plain_size, r#""what":"rebuild""#);
            drop(layer);
            std::fs::remove_dir(dir.path())?;
        }
        ["prove", blob, threads] => {
            let (blob, facts) = open(blob)?;
            let clock = begin();
            let encoding = prove(&blob, jobs(threads)?, &cancel)?;
            let encoding = encoding.map_or("none".to_owned(), |encoding| encoding.to_string());
            say(&clock, facts.plain_size, &format!(r#""encoding":"{encoding}""#));
        }
        _ => return Err("delta pack|make|apply|rebuild|prove …; see the head of benches/delta.rs".into()),
    }
    Ok(())
}

/// A directory beside a file.
fn tempdir(beside: &str) -> Result<Dir> {
    let above = Path::new(beside).parent().ok_or("no directory")?;
    Ok(Dir::open(above)?.create_dir(&larder_store::fs::unique())?)
}

struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
