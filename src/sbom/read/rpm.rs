//! rpm's database of sqlite (`rpmdb.sqlite`), read by SQLite itself; the headers in it are rpm's own form
//! (<https://rpm-software-management.github.io/rpm/manual/format_header.html>).

use std::path::Path;
use std::time::{Duration, Instant};

use larder_store::cancel::Cancel;
use larder_store::error::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags};

use crate::sbom::kind::Kind;
use crate::sbom::package::Package;

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
                Failed::Stopped(Error::invalid("rpm's database in a temporary directory", error))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sbom::mutations::is_sound;

    fn database(bytes: &[u8], log: &[u8]) -> Database {
        super::database(bytes, log, &Cancel::new()).unwrap()
    }

    /// A header as rpm writes it.
    fn header(values: &[(u32, u32, &[u8])]) -> Vec<u8> {
        let (mut index, mut store) = (Vec::new(), Vec::<u8>::new());
        for (tag, kind, value) in values {
            for number in [*tag, *kind, store.len() as u32, 1] {
                index.extend(number.to_be_bytes());
            }
            store.extend(*value);
        }
        let mut header = (values.len() as u32).to_be_bytes().to_vec();
        header.extend((store.len() as u32).to_be_bytes());
        header.extend(index);
        header.extend(store);
        header
    }

    fn bash() -> Vec<u8> {
        header(&[
            (NAME, STRING, b"bash\0"),
            (VERSION, STRING, b"5.2.32\0"),
            (RELEASE, STRING, b"1.fc41\0"),
            (EPOCH, INT32, &[0, 0, 0, 2]),
            (LICENSE, STRING, b"GPL-3.0-or-later\0"),
            (ARCH, STRING, b"x86_64\0"),
            (SOURCE_RPM, STRING, b"bash-5.2.32-1.fc41.src.rpm\0"),
        ])
    }

    fn with(headers: &[Vec<u8>]) -> Vec<u8> {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)", [])
            .unwrap();
        for header in headers {
            db.execute("INSERT INTO Packages(blob) VALUES (?1)", [header]).unwrap();
        }
        db.serialize(MAIN_DB).unwrap().to_vec()
    }

    #[test]
    fn a_database_is_read() {
        let key = header(&[
            (NAME, STRING, b"gpg-pubkey\0"),
            (VERSION, STRING, b"e99d6ad1\0"),
            (RELEASE, STRING, b"64d2612c\0"),
        ]);
        let mut bytes = with(&[key, bash()]);
        // As rpm leaves it.
        bytes[18..20].copy_from_slice(&[2, 2]);
        let Database { packages, damage } = database(&bytes, &[]);
        assert_eq!(damage, None);
        let [bash, key] = &packages[..] else { panic!("{packages:?}") };
        assert_eq!((bash.name.as_str(), bash.version.as_str()), ("bash", "2:5.2.32-1.fc41"));
        assert_eq!(bash.architecture.as_deref(), Some("x86_64"));
        assert_eq!(bash.licences, ["GPL-3.0-or-later"]);
        assert_eq!(bash.source, Some(("bash".into(), Some("5.2.32-1.fc41".into()))));
        assert_eq!((key.name.as_str(), &key.architecture), ("gpg-pubkey", &None));
    }

    #[test]
    fn what_was_written_ahead_counts() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("rpmdb.sqlite");
        std::fs::write(&path, with(&[bash()])).unwrap();
        let db = Connection::open(&path).unwrap();
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        let zlib =
            header(&[(NAME, STRING, b"zlib\0"), (VERSION, STRING, b"1.3\0"), (RELEASE, STRING, b"1\0")]);
        db.execute("UPDATE Packages SET blob = ?1", [zlib]).unwrap();
        let [file, log] =
            ["rpmdb.sqlite", "rpmdb.sqlite-wal"].map(|name| std::fs::read(place.path().join(name)).unwrap());
        let names = |log: &[u8]| {
            let read = database(&file, log);
            assert_eq!(read.damage, None);
            read.packages.into_iter().map(|package| package.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&log), ["zlib"]);
        // What is cut or no log at all was never committed.
        assert_eq!(
            (names(&log[..log.len() - 1]), names(b"no log"), names(b"")),
            (vec!["bash".to_owned()], vec!["bash".to_owned()], vec!["bash".to_owned()])
        );
    }

    #[test]
    fn damage_is_named_and_the_rest_goes_on() {
        let read = database(&with(&[bash(), vec![0xff; 40], Vec::new()]), &[]);
        assert_eq!(read.packages.len(), 1);
        assert_eq!(read.damage.as_deref(), Some("2 of its packages cannot be understood"));
        let whole = with(&[bash()]);
        for cut in [0, 10, 100, 4096, whole.len() - 1] {
            let read = database(&whole[..cut], &[]);
            assert!(read.damage.is_some(), "cut at {cut}: {read:?}");
        }
        let mut empty = Connection::open_in_memory().unwrap();
        empty.execute("CREATE TABLE other (x)", []).unwrap();
        let damage = database(&empty.serialize(MAIN_DB).unwrap(), &[]).damage;
        assert!(damage.as_deref().is_some_and(|why| why.contains("no such table: Packages")), "{damage:?}");
    }

    #[test]
    fn a_database_that_never_ends_is_stopped() {
        let mut db = Connection::open_in_memory().unwrap();
        let endless = "CREATE VIEW Packages AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) AS blob FROM n";
        db.execute(endless, []).unwrap();
        let damage = database(&db.serialize(MAIN_DB).unwrap(), &[]).damage;
        assert_eq!(damage.as_deref(), Some("its packages are not in a plain table"));
    }

    /// A few steps of SQLite's may do much work: 60 MB of random bytes are one.
    #[test]
    fn nothing_is_worked_out() {
        for schema in [
            "CREATE VIEW Packages AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 200000) \
             SELECT randomblob(60000000) AS blob FROM n",
            "CREATE VIEW packages AS SELECT 1 AS blob",
            "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob AS (zeroblob(60000000)))",
            "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob AS (zeroblob(60000000)) STORED)",
            "CREATE TABLE Packages (blob, other AS (zeroblob(60000000)))",
        ] {
            let mut db = Connection::open_in_memory().unwrap();
            db.execute(schema, []).unwrap();
            let damage = database(&db.serialize(MAIN_DB).unwrap(), &[]).damage;
            assert_eq!(damage.as_deref(), Some("its packages are not in a plain table"), "{schema}");
        }
    }

    #[test]
    fn who_does_not_want_it_any_more_does_not_wait() {
        let cancel = Cancel::new();
        cancel.raise();
        assert!(matches!(super::database(&with(&[bash()]), &[], &cancel), Err(Error::Interrupted)));
    }

    proptest! {
        #[test]
        fn no_header_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..100, byte: u8) {
            let is_fine = |bytes: &[u8]| package(bytes).is_none_or(|package| is_sound(&package));
            prop_assert!(is_fine(&bytes));
            bytes = bash();
            prop_assert!(package(&bytes).is_some());
            let at = at % bytes.len();
            bytes[at] = byte;
            prop_assert!(is_fine(&bytes));
            prop_assert!(is_fine(&bytes[..at]));
        }

        #[test]
        fn a_source_is_a_word_or_none(file in "[a-z\\PC\t\n\x1b\u{9b}\u{202e}.-]{0,20}") {
            let file = format!("{file}-1.0-1.src.rpm\0");
            let texts = [(NAME, "x\0"), (VERSION, "1\0"), (RELEASE, "1\0"), (SOURCE_RPM, &file)];
            let package = package(&header(&texts.map(|(tag, text)| (tag, STRING, text.as_bytes())))).unwrap();
            prop_assert!(is_sound(&package), "{:?}", package);
        }
    }
}
