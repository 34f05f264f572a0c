//! rpm's database of sqlite (`rpmdb.sqlite`), read by SQLite itself; the headers in it are rpm's own form
//! (<https://rpm-software-management.github.io/rpm/manual/format_header.html>).

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use larder_store::cancel::Cancel;
use larder_store::error::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use crate::sbom::kind::Kind;
use crate::sbom::package::Package;

#[cfg(test)]
mod tests;

/// Where a database lies, by age of the distribution; the last one is rpm-ostree's.
pub(crate) const PLACES: [&str; 3] =
    ["var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite", "usr/share/rpm/rpmdb.sqlite"];
/// What SQLite adds to the name for what it wrote ahead.
pub(crate) const LOG: &str = "-wal";
/// Databases of Berkeley DB and of rpm's own making, which SQLite does not read.
pub(crate) const OLDER: [&str; 3] =
    ["var/lib/rpm/Packages", "var/lib/rpm/Packages.db", "usr/lib/sysimage/rpm/Packages.db"];
/// Packages of one database.
const MAX_PACKAGES: usize = 200_000;
/// Bytes of one header; those of kernels have a few MiB.
const MAX_HEADER: i32 = 64 << 20;
/// Steps of SQLite's machine before it is stopped; a database of a thousand packages takes a hundred thousand.
const MAX_STEPS: i32 = 50_000_000;
/// After how many of them it asks whether to go on.
const STEPS: i32 = 10_000;
/// How long one database may take: a thousand times as long as a large one does.
const LONGEST: Duration = Duration::from_secs(60);
/// Whether the packages are what is written there, and nothing that is worked out.
const IS_PLAIN: &str = "SELECT count(*) = 1 FROM sqlite_schema WHERE name = 'Packages' COLLATE NOCASE AND type = 'table' \
     AND rootpage > 0 AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo('Packages') WHERE hidden <> 0)";

/// What was read of a database.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Database {
    /// Its packages, by name.
    pub(crate) packages: Vec<Package>,
    /// Why it, or some of it, cannot be read.
    pub(crate) damage: Option<String>,
}

/// Why a database is not read to its end.
enum Failed {
    /// By what is in it.
    Damaged(String),
    /// By the machine, or by who asked: another time it may be read.
    Stopped(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Stopped(error)
    }
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Failed {
        match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen | ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
                Failed::Stopped(Error::io("read", "rpm's database in a temporary directory")(
                    io::Error::other(error),
                ))
            }
            _ => Failed::Damaged(error.to_string()),
        }
    }
}

/// Reads a database from its bytes, and from those that were written ahead and not put into it yet. An error where the machine keeps
/// it from being read.
pub(crate) fn database(bytes: &[u8], log: &[u8], cancel: &Cancel) -> Result<Database> {
    let (mut packages, mut skipped) = (Vec::new(), 0);
    let read = headers(bytes, log, cancel, &mut |header| match package(header) {
        Some(package) => packages.push(package),
        None => skipped += 1,
    });
    cancel.check()?;
    packages.sort();
    let damage = match (read, skipped) {
        (Err(Failed::Stopped(error)), _) => return Err(error),
        (Err(Failed::Damaged(why)), _) => Some(why),
        _ if is_cut(bytes) => Some("it ends before its last page".to_owned()),
        (Ok(()), 0) => None,
        (Ok(()), skipped) => Some(format!("{skipped} of its packages cannot be understood")),
    };
    Ok(Database { packages, damage })
}

/// Whether a file is shorter than it says (fileformat2, "In-header database size"), which SQLite finds out only where it reads.
fn is_cut(bytes: &[u8]) -> bool {
    let number = |at: usize| bytes.get(at..).and_then(number).map_or(0, |(number, _)| number);
    // A page of 65536 bytes does not fit and is written as 1.
    let page = bytes.get(16..18).map_or(0, |size| u16::from_be_bytes([size[0], size[1]]));
    let page = if page == 1 { 65536 } else { u64::from(page) };
    number(24) == number(92) && u64::from(number(28)) * page > bytes.len() as u64
}

fn headers(bytes: &[u8], log: &[u8], cancel: &Cancel, each: &mut dyn FnMut(&[u8])) -> Result<(), Failed> {
    if bytes.is_empty() {
        return Err(Failed::Damaged("it is empty".to_owned()));
    }
    // Lives as long as the connection that looks into it.
    let place;
    let mut db = if log.is_empty() {
        in_memory(bytes)?
    } else {
        let above = std::env::temp_dir();
        place = tempfile::tempdir_in(&above).map_err(Error::io("make a directory in", &above))?;
        on_disk(&place.path().join("rpmdb.sqlite"), bytes, log)?
    };
    // Nothing in it is run, and nothing takes for ever.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_HEADER)?;
    // Nobody asks the handler below while a schema is read: it has to be one like rpm's, of tables with two or three columns.
    db.set_limit(Limit::SQLITE_LIMIT_COLUMN, 32)?;
    db.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, 4096)?;
    db.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, 32)?;
    let (begun, mut steps, asked) = (Instant::now(), 0, cancel.clone());
    let is_too_long = move || begun.elapsed() > LONGEST;
    let stops = move || {
        steps += STEPS;
        steps >= MAX_STEPS || asked.is_raised() || is_too_long()
    };
    db.progress_handler(STEPS, Some(stops))?;
    let read = rows(&db, (bytes.len() + log.len()) as u64, cancel, &is_too_long, each);
    // How fast a machine is says nothing of what it reads.
    if is_too_long() {
        Err(Error::invalid("rpm's database", "takes too long to be read").into())
    } else {
        read
    }
}

fn rows(
    db: &Connection,
    mut left: u64,
    cancel: &Cancel,
    is_too_long: &dyn Fn() -> bool,
    each: &mut dyn FnMut(&[u8]),
) -> Result<(), Failed> {
    let mut statement = db.prepare("SELECT blob FROM Packages")?;
    if !db.query_row(IS_PLAIN, [], |row| row.get::<_, bool>(0))? {
        return Err(Failed::Damaged("its packages are not in a plain table".to_owned()));
    }
    let mut rows = statement.query([])?;
    for _ in 0..=MAX_PACKAGES {
        let Some(row) = rows.next()? else { break };
        cancel.check()?;
        let header = row.get_ref(0)?.as_bytes().unwrap_or_default();
        // A page may be named more than once.
        left = left
            .checked_sub(header.len() as u64)
            .ok_or_else(|| Failed::Damaged("its packages have more bytes than it has".to_owned()))?;
        each(header);
        if is_too_long() {
            break;
        }
    }
    Ok(())
}

fn in_memory(bytes: &[u8]) -> rusqlite::Result<Connection> {
    let mut db = Connection::open_in_memory()?;
    // Nothing was written ahead: the two bytes that ask for it are set back (fileformat2, "File format version numbers").
    let mut bytes = bytes.to_vec();
    if let Some(versions @ [2, 2]) = bytes.get_mut(18..20) {
        versions.copy_from_slice(&[1, 1]);
    }
    db.deserialize_read_exact(MAIN_DB, bytes.as_slice(), bytes.len(), true)?;
    Ok(db)
}

/// What was written ahead is put into its place by SQLite alone, and only in files.
fn on_disk(path: &Path, bytes: &[u8], log: &[u8]) -> Result<Connection, Failed> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(LOG);
    std::fs::write(path, bytes).map_err(Error::io("write", path))?;
    std::fs::write(&beside, log).map_err(Error::io("write", &beside))?;
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // No memory is shared with others, and nothing is put into its place when this ends.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(db)
}

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const LICENSE: u32 = 1014;
const ARCH: u32 = 1022;
const SIZE: u32 = 1009;
const SOURCE_RPM: u32 = 1044;
/// Where the first one has not enough bits.
const LONG_SIZE: u32 = 5009;
/// Types of values.
const INT32: u32 = 4;
const INT64: u32 = 5;
const STRING: u32 = 6;

/// Reads a header: two numbers, an index, and the values that it points into. All numbers are big-endian.
fn package(header: &[u8]) -> Option<Package> {
    let (entries, rest) = number(header)?;
    let (bytes, rest) = number(rest)?;
    let (index, values) = rest.split_at_checked((entries as usize).checked_mul(16)?)?;
    let values = values.get(..bytes as usize)?;
    let find = |tag: u32, kind: u32| {
        let entry = index.as_chunks::<16>().0.iter().find(|entry| entry[..4] == tag.to_be_bytes())?;
        let (found, at) = (number(&entry[4..])?.0, number(&entry[8..])?.0);
        values.get(at as usize..).filter(|_| found == kind)
    };
    let text = |tag| {
        let value = find(tag, STRING)?;
        std::str::from_utf8(&value[..value.iter().position(|byte| *byte == 0)?]).ok()
    };
    let epoch = find(EPOCH, INT32).and_then(number).map(|(epoch, _)| format!("{epoch}:"));
    let version = format!("{}{}-{}", epoch.unwrap_or_default(), text(VERSION)?, text(RELEASE)?);
    let mut package = Package::new(Kind::Rpm, text(NAME)?, &version)?;
    package.add_licences(text(LICENSE));
    // `NAME-VERSION-RELEASE.src.rpm`
    let source = text(SOURCE_RPM).and_then(|file| file.strip_suffix(".rpm")?.rsplit_once('.'));
    let source = source.and_then(|(source, _)| {
        let (rest, release) = source.rsplit_once('-')?;
        let (name, version) = rest.rsplit_once('-')?;
        Some((name, format!("{version}-{release}")))
    });
    if let Some((name, version)) = source {
        package = package.with_source(name, Some(&version));
    }
    let long = find(LONG_SIZE, INT64).and_then(|value| Some(u64::from_be_bytes(*value.first_chunk()?)));
    package.size = long.or_else(|| find(SIZE, INT32).and_then(number).map(|(size, _)| u64::from(size)));
    // Keys that rpm trusts are packages without an architecture.
    Some(package.with_architecture(text(ARCH).unwrap_or_default()))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}
