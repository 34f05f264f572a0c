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
fn what_is_no_key_is_said_with_its_file() {
    for text in ["", "RW", "no key", &PUBLIC.replace("RWR", "RUR"), &PUBLIC[1..]] {
        let error = Trust::new(&[("host.toml".into(), text.into())], None).expect_err(text);
        assert!(
            error.to_string().starts_with("host.toml: trusted_keys: ") && error.hint().is_some(),
            "{error}"
        );
    }
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
