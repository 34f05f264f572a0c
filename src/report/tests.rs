use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const DAY: i64 = 86_400;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn given() -> Given {
    let (a, b) = (digest("a"), digest("b"));
    let about = |name: &str, day: i64| About {
        name: name.into(),
        imported: Some(day * DAY),
        last_used: Some(day * DAY + 5),
        ..About::default()
    };
    Given {
        store: "/srv/larder".into(),
        now: 40 * DAY,
        parts: Parts::from([
            (a, [(digest("base"), 100), (digest("x"), 5)].into()),
            (b, [(digest("base"), 100), (digest("y"), 7)].into()),
        ]),
        images: BTreeMap::from([(a, about("a:1", 10)), (b, about("b:1", 20))]),
        kinds: HashMap::from([(digest("x"), "config".to_owned())]),
        on_disk: 125,
        step_bytes: 10,
        free: 1000,
        prune: Ok(Taken { freed: 3, words: vec!["1 image would go".into()] }),
        packages: vec![
            vec![
                Installed { name: "gcc".into(), kind: "deb", bytes: 50 },
                Installed { name: "none".into(), kind: "npm", bytes: 0 },
            ],
            vec![
                Installed { name: "gcc".into(), kind: "deb", bytes: 70 },
                Installed { name: "a".into(), kind: "deb", bytes: 50 },
            ],
        ],
    }
}

/// The data of a page, found as a browser finds them: up to the first end of a script.
fn data(page: &str) -> Value {
    let start = page.find(r#"id="data">"#).expect("the data") + r#"id="data">"#.len();
    let end = start + page[start..].find("</script").expect("an end");
    serde_json::from_str(&page[start..end]).expect("JSON")
}

#[test]
fn a_page_adds_up() {
    let data = data(&page(&given()));
    assert_eq!(
        (&data["stored"], &data["saved"], &data["unreferenced"]),
        (&112.into(), &100.into(), &3.into())
    );
    let blobs = data["blobs"].as_array().expect("blobs");
    assert_eq!(blobs.iter().map(|blob| blob[0].as_u64().expect("a size")).sum::<u64>(), 112);
    assert_eq!(blobs.iter().filter(|blob| blob[1].as_array().expect("users").len() == 2).count(), 1);
    assert!(blobs.iter().any(|blob| blob[2] == "config"));
    assert_eq!(data["growth"], serde_json::json!([[10, 105], [20, 112]]));
    assert_eq!(data["uses"], serde_json::json!([[10, 5], [20, 107]]));
    assert_eq!(data["packages"], serde_json::json!([["gcc", "deb", 70, 2], ["a", "deb", 50, 1]]));
    assert_eq!(data["images"][0]["name"], "b:1", "what takes most comes first");
}

/// What several images have came with the first of them and was used with the last; what nobody used is counted apart.
#[test]
fn bytes_over_time_are_counted_once() {
    let mut given = given();
    let (a, b) = (digest("a"), digest("b"));
    given.images.entry(b).or_default().last_used = None;
    assert_eq!(time::uses(&given.parts, &given.images), (vec![(10, 105)], 7));
    given.images.entry(a).or_default().last_used = None;
    assert_eq!(time::uses(&given.parts, &given.images), (vec![], 112));
    given.images.entry(a).or_default().imported = None;
    given.images.entry(b).or_default().imported = Some(-1);
    assert_eq!(time::growth(&given.parts, &given.images), [(-1, 107)]);
}

/// The page runs what it was made with, whatever gets into it.
#[test]
fn what_is_run_is_named_by_its_hash() {
    let page = page(&given());
    for element in ["<script>", "<style>"] {
        let (_, behind) = page.split_once(element).expect(element);
        let text = behind.split_once("</").expect("an end").0;
        let hash = BASE64.encode(Digest::of(text.as_bytes()).bytes());
        assert!(page.contains(&format!("'sha256-{hash}'")), "{element}");
    }
    assert!(!page.contains("unsafe-inline") && !page.contains(" style=\"") && !page.contains(" onclick="));
}

/// Nothing of the page leads out of it.
#[test]
fn a_page_is_one_file() {
    let page = page(&given());
    for (name, at) in
        [("http:", 0), ("https:", 0), ("src=", 0), ("@import", 0), ("url(", 0), ("fetch(", 0), ("@DATA@", 0)]
    {
        // SVG's name is no address.
        let found = page.replace("http://www.w3.org/2000/svg", "").matches(name).count();
        assert_eq!(found, at, "{name}");
    }
    assert!(page.contains("default-src 'none'"));
}

proptest! {
    #[test]
    fn no_name_ends_the_data(name in "(.|</script>|<!--|<script|\u{2028}|@DATA@){0,20}") {
        let mut given = given();
        given.images.entry(digest("a")).or_default().name = name.clone();
        given.store = name.clone();
        let data = data(&page(&given));
        prop_assert_eq!(&data["store"], &name);
        prop_assert!(data["images"].as_array().is_some_and(|images| images.iter().any(|image| image["name"] == *name)));
    }
}
