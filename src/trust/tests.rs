use proptest::prelude::*;

use super::*;

/// Of `minisign -S -s key -m file` 0.11 of Debian; the file has "data" and a line feed.
const PUBLIC: &str = "RWRgUzyPW7Y35V9C/7LTtxdgjg5hCoeRQ0E25CX9a6YPfNWdNFuxb+QU";
const SIGNATURE: &str = "untrusted comment: signature from minisign secret key\n\
    RURgUzyPW7Y35WRpxl+hbi4towfRk7aHZru3OQkKsQe6kTSmohWiUkxdbHY0g9W32qDl47Rke3bicyVX5ygsQdfbMNQdape2xAQ=\n\
    trusted comment: timestamp:1795333423\tfile:f\thashed\n\
    9uxc1eKMuqvTYZHuH9dFjfD9js+0F5o+IGY4VTZlUc6y+R3X12a7TQyhzUMBmRiYiYUhuWaBoX2936aoY3QOAw==\n";
/// Another key, without a passphrase.
const OTHER: &str = "RWR1sLCCjmlFj0kWWJpopPR/Wcf1pcaAOVaht+BGKzPkuWsK+/Njwh77";
const SECRET: &str = "untrusted comment: minisign encrypted secret key\n\
    RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAdbCwgo5pRY+5D85D1cjpaGz90LKVX6l67UzSsZdicgMLt8pUp5jnJEkWWJpopPR/Wcf1pcaAOVaht+BGKzPkuWsK+/Njwh77AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

fn trust(keys: &[&str], is_required: bool) -> Trust {
    let keys: Vec<_> = keys.iter().map(|key| ("host.toml".into(), (*key).to_owned())).collect();
    Trust::new(&keys, is_required.then_some(Path::new("host.toml"))).expect("keys")
}

fn refused(result: Result<Signed>) -> String {
    match result {
        Err(Error::Refused { why, .. }) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn signer() -> Signer {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("key"), SECRET).expect("write");
    Signer::open::<Error>(&dir.path().join("key"), || panic!("it has no passphrase")).expect("a key")
}

#[test]
fn what_minisign_signed_is_trusted_with_its_key_alone() {
    let signed =
        |trust: &Trust, data: &str| trust.check_bytes("f", data.as_bytes(), Some(SIGNATURE.as_bytes()));
    let by =
        Signed::By { key: "E537B65B8F3C5360".into(), comment: "timestamp:1795333423\tfile:f\thashed".into() };
    assert_eq!(signed(&trust(&[OTHER, PUBLIC], true), "data\n").expect("trusted"), by);
    assert!(refused(signed(&trust(&[PUBLIC], false), "data")).contains("not of this content"));
    assert!(
        refused(signed(&trust(&[OTHER], false), "data\n"))
            .contains("E537B65B8F3C5360, which this host does not trust")
    );
    let unknown = Signed::Unknown { key: "E537B65B8F3C5360".into() };
    assert_eq!(signed(&trust(&[], false), "data\n").expect("not looked at"), unknown);
}

#[test]
fn what_nobody_signed_is_refused_where_that_is_demanded() {
    assert_eq!(trust(&[PUBLIC], false).check_bytes("f", b"data", None).expect("taken"), Signed::Not);
    assert!(
        refused(trust(&[PUBLIC], true).check_bytes("f", b"data", None)).contains("host.toml demands that")
    );
    let without_keys =
        Trust::new(&[], Some(Path::new("host.toml"))).expect_err("nothing could ever be taken");
    assert!(without_keys.to_string().contains("no key is trusted"), "{without_keys}");
}

#[test]
fn no_flipped_bit_of_a_signature_is_taken_but_in_what_is_not_signed() {
    let trust = trust(&[PUBLIC], true);
    let covered = SIGNATURE.find('\n').expect("a line") + 1;
    for bit in 8 * covered..8 * SIGNATURE.len() {
        let mut text = SIGNATURE.as_bytes().to_vec();
        text[bit / 8] ^= 1 << (bit % 8);
        refused(trust.check_bytes("f", b"data\n", Some(&text)));
    }
    for cut in 0..SIGNATURE.len() {
        refused(trust.check_bytes("f", b"data\n", Some(&SIGNATURE.as_bytes()[..cut])));
    }
}

#[test]
fn what_is_signed_here_is_trusted_there() {
    let text = signer().sign(b"manifest", "a bundle").expect("signed");
    let by = trust(&[OTHER], true).check_bytes("m", b"manifest", Some(&text)).expect("trusted");
    assert_eq!(by, Signed::By { key: signer().key(), comment: "a bundle".into() });
    assert_eq!(Signature::parse(&text).expect("a signature").untrusted_comment(), signer::UNTRUSTED_COMMENT);
    assert_eq!(text.len(), length("a bundle"));
    refused(trust(&[OTHER], true).check_bytes("m", b"manifests", Some(&text)));
}

#[test]
fn of_a_signature_that_is_within_every_bit_counts() {
    let text = signer().sign(b"manifest", "a bundle").expect("signed");
    for host in [trust(&[OTHER], true), trust(&[OTHER], false)] {
        host.check_inner("m", b"manifest", Some(&text)).expect("trusted");
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            refused(host.check_inner("m", b"manifest", Some(&changed)));
        }
    }
    let unknown = trust(&[], false).check_inner("m", b"manifest", Some(&text)).expect("taken");
    assert_eq!(unknown, Signed::Unknown { key: signer().key() });
    assert_eq!(trust(&[], false).check_inner("m", b"manifest", None).expect("taken"), Signed::Not);
}

#[test]
fn what_is_no_key_is_said_with_its_file() {
    for text in ["", "RW", "no key", &PUBLIC.replace("RWR", "RUR"), &PUBLIC[1..], SECRET] {
        let error = Trust::new(&[("host.toml".into(), text.into())], None).expect_err(text);
        assert!(
            error.to_string().starts_with("host.toml: trusted_keys: ") && error.hint().is_some(),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_secret_key_is_said_with_its_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("key");
    for text in [
        "",
        "one line",
        "two\nlines\n",
        &SECRET[..200],
        &SECRET.replace("gMLt8", "gMLt9"),
        &SECRET.replace("RWQAA", "RWRTY"),
    ] {
        std::fs::write(&file, text).expect("write");
        let opened = Signer::open::<Error>(&file, || Ok("x".into()));
        let error = opened.err().unwrap_or_else(|| panic!("opened: {text}"));
        assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");
    }
    assert!(Signer::open::<Error>(&dir.path().join("none"), || Ok(String::new())).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(lines in proptest::collection::vec("[A-Za-z0-9+/=]{86,102}", 4), comment in "\\PC{0,20}", raw in any::<Vec<u8>>()) {
        let trust = trust(&[PUBLIC], true);
        let text = format!("untrusted comment: {comment}\n{}\ntrusted comment: {comment}\n{}\n", lines[0], lines[1]);
        let of_key = format!("untrusted comment: x\n{}\ntrusted comment: x\n{}\n", SIGNATURE.lines().nth(1).unwrap_or_default(), lines[2]);
        for text in [text.as_bytes(), of_key.as_bytes(), &raw] {
            prop_assert!(trust.check_bytes("x", b"data\n", Some(text)).is_err());
        }
    }
}
