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

/// A schema that takes long to be read, before anything is asked of it.
#[test]
fn a_schema_that_is_not_like_rpms_is_refused() {
    let wide: Vec<_> = (0..1000).map(|number| format!("c{number}")).collect();
    let long = format!("a /* {} */", "a".repeat(10_000));
    for columns in [wide.join(", "), long] {
        let mut db = Connection::open_in_memory().unwrap();
        db.deserialize_read_exact(MAIN_DB, &with(&[bash()])[..], with(&[bash()]).len(), false).unwrap();
        db.execute(&format!("CREATE TABLE other ({columns})"), []).unwrap();
        let Database { packages, damage } = database(&db.serialize(MAIN_DB).unwrap(), &[]);
        assert!(packages.is_empty() && damage.is_some(), "{damage:?}");
    }
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
    let zlib = header(&[(NAME, STRING, b"zlib\0"), (VERSION, STRING, b"1.3\0"), (RELEASE, STRING, b"1\0")]);
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
