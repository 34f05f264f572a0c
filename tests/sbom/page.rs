//! The page in a browser: what is drawn, what is said, and what mouse and keyboard do.

use std::path::PathBuf;

use serde_json::Value;

use super::browser::{self, Browser, DOWN, ENTER, ESCAPE, LEFT, RIGHT, TAB, UP};
use super::stores::lived_in;
use crate::support::{Sandbox, need};

/// Writes the page and opens it.
pub(super) fn report(sandbox: &Sandbox, browser: &Browser) -> PathBuf {
    sandbox.ok(["report", "-o", "store.html"]);
    let page = sandbox.path("store.html");
    browser.open(&page);
    page
}

/// Each area of the map: its bytes, its square pixels, its kind, its words.
fn areas(browser: &Browser) -> Vec<(u64, f64, String, String)> {
    let areas = browser.run(
        "return [...document.querySelectorAll('#map button')].map(b => { const r = b.getBoundingClientRect();
         return [Number(b.dataset.bytes), r.width * r.height, b.dataset.kind, b.getAttribute('aria-label')] })",
    );
    serde_json::from_value(areas).unwrap()
}

fn bytes(areas: &[(u64, f64, String, String)]) -> u64 {
    areas.iter().map(|(bytes, ..)| bytes).sum()
}

/// All areas fill the map, each by its bytes.
fn assert_proportional(browser: &Browser) {
    let (areas, map) = (
        areas(browser),
        browser.run("const m = document.querySelector('#map'); return m.clientWidth * m.clientHeight"),
    );
    let (all, map) = (bytes(&areas) as f64, map.as_f64().unwrap());
    for (bytes, pixels, _, words) in &areas {
        let expected = *bytes as f64 / all * map;
        assert!(
            (pixels - expected).abs() < expected * 0.01 + 2.0,
            "{words}: {pixels} square pixels, not {expected}"
        );
    }
}

fn focused(browser: &Browser) -> String {
    browser.text(
        "return document.activeElement.getAttribute('aria-label') || document.activeElement.textContent",
    )
}

#[test]
fn the_areas_are_the_bytes_of_df() {
    let sandbox = lived_in(2000);
    let browser = need!(browser::chromium(&sandbox), "chromium");
    let page = report(&sandbox, &browser);
    let df = sandbox.json(["df"]);
    let number = |key: &str| df[key].as_u64().unwrap();
    let on_disk = ["stored", "unreferenced", "step_bytes"].iter().map(|key| number(key)).sum::<u64>();
    let drawn = areas(&browser);
    assert!(number("unreferenced") > 0 && drawn.len() > 8, "{drawn:?}");
    assert_eq!(bytes(&drawn), on_disk);
    assert_proportional(&browser);
    // Each kind is what df says of it.
    let of = |kind: &str| drawn.iter().filter(|area| area.2 == kind).map(|area| area.0).sum::<u64>();
    let images = df["images"].as_array().unwrap();
    let named = |name: &str| images.iter().find(|row| row["reference"] == name).unwrap();
    // Two names of one image are one.
    let rows = images.iter().filter(|row| row["reference"] != "base:stable");
    let unique: u64 = rows.map(|row| row["unique"].as_u64().unwrap()).sum();
    assert_eq!((of("unique"), of("shared")), (unique, number("stored") - unique));
    // In an image is all that it has.
    browser.click("#map button[aria-label^='capy:debian-12-docs']");
    let inside = areas(&browser);
    assert_eq!(bytes(&inside), named("capy:debian-12-docs")["total"].as_u64().unwrap());
    assert!(
        inside.iter().any(|area| area.2 == "shared"
            && area.3.contains("layer 1, ")
            && area.3.contains("shared by 9 images")),
        "{inside:?}"
    );
    assert_proportional(&browser);
    // And a click on the way leads back.
    browser.click("#way button");
    assert_eq!(bytes(&areas(&browser)), on_disk);
    browser.assert_quiet(&page);
}

#[test]
fn the_page_says_what_prune_says() {
    let sandbox = lived_in(2000);
    let browser = need!(browser::chromium(&sandbox), "chromium");
    report(&sandbox, &browser);
    let prune = sandbox.json(["prune", "--dry-run"]);
    let said = sandbox.ok(["prune", "--dry-run"]);
    let rows = |table: &str| -> Vec<Vec<String>> {
        let script = format!(
            "return [...document.querySelectorAll('{table} tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"
        );
        serde_json::from_value(browser.run(&script)).unwrap()
    };
    let mut expected: Vec<_> =
        prune["images"].as_array().unwrap().iter().filter(|image| image["verdict"] == "drop").collect();
    expected.sort_by_key(|image| image["references"][0].as_str().unwrap().to_owned());
    let mut shown = rows("#prune");
    shown.sort();
    let shown: Vec<_> = shown.iter().map(|row| (row[0].as_str(), row[4].as_str())).collect();
    let why = |image: &Value| format!("drop: {}", image["reason"].as_str().unwrap());
    let expected: Vec<_> =
        expected.iter().map(|image| (image["references"][0].as_str().unwrap(), why(image))).collect();
    assert_eq!(expected.len(), 2, "{prune}");
    assert_eq!(shown, expected.iter().map(|(name, why)| (*name, why.as_str())).collect::<Vec<_>>());
    let sum = said.lines().last().unwrap();
    assert_eq!(browser.text("return document.querySelector('#prune p').innerText"), sum);
    // In the map they are marked.
    assert_eq!(browser.run("return document.querySelectorAll('#map .mark').length"), 2);
    // What sharing saves is what df says; each row is a part of it.
    let saved = rows("#shared").iter().map(|row| row[3].clone()).collect::<Vec<_>>();
    let largest =
        browser.run("return Math.max(...data.blobs.map(([size, users]) => size * (users.length - 1)))");
    assert_eq!(saved[0], browser.text(&format!("return human({largest})")));
    let of_all =
        browser.run("return data.blobs.reduce((sum, [size, users]) => sum + size * (users.length - 1), 0)");
    assert_eq!(of_all, sandbox.json(["df"])["saved"]);
    // The largest packages, over all images that were looked into.
    assert_eq!(rows("#packages")[0][0], "libllvm16");
    assert!(
        browser
            .text("return document.querySelector('#packages-about').innerText")
            .starts_with("3 of 12 images")
    );
}

#[test]
fn the_keyboard_is_enough() {
    let sandbox = lived_in(200);
    let browser = need!(browser::chromium(&sandbox), "chromium");
    let page = report(&sandbox, &browser);
    // One stop in the map, whatever is in it.
    browser.press(&[TAB]);
    let first = focused(&browser);
    assert!(first.starts_with("layer 2 of capy:"), "{first}");
    let ring = "const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2";
    assert_eq!(browser.run(ring), true, "who has the focus is seen");
    assert_eq!(browser.text("return document.querySelector('#pointed').innerText"), first, "and said");
    // There and back; no way leads out of the map.
    let (mut seen, mut last) = (vec![first.clone()], first.clone());
    for key in [RIGHT, DOWN, LEFT, UP, UP, UP, UP, LEFT, LEFT, LEFT, LEFT] {
        browser.press(&[key]);
        last = focused(&browser);
        assert!(last.contains(" of the store"), "{last}");
        seen.push(last.clone());
    }
    assert_eq!(last, first, "the largest is in the corner");
    assert!(seen.iter().collect::<std::collections::BTreeSet<_>>().len() >= 3, "{seen:?}");
    // Into an image, onto a layer, back to where it was.
    let mut walk = (0..9).map(|_| {
        browser.press(&[RIGHT]);
        focused(&browser)
    });
    let image = walk.find(|words| !words.starts_with("layer ")).unwrap();
    browser.press(&[ENTER]);
    let way = || browser.text("return document.querySelector('#way').innerText");
    let name = image.split(' ').next().unwrap();
    assert!(way().contains(name), "{image}: {}", way());
    let layer = focused(&browser);
    assert!(layer.contains("layer ") || layer.contains(" smaller: "), "{layer}");
    assert!(browser.text("return document.querySelector('#said').textContent").starts_with(name));
    browser.press(&[ESCAPE]);
    assert_eq!((way().contains(name), focused(&browser)), (false, image.clone()));
    browser.press(&[ESCAPE]);
    assert!(!way().contains(name), "above the store is nothing");
    // On from the map: every stop is seen, and the field of the images finds.
    let mut stops = 0;
    while browser.text("return document.activeElement.id") != "images-find" {
        browser.press(&[TAB]);
        assert_eq!(browser.run(ring), true, "{}", focused(&browser));
        stops += 1;
        assert!(stops < 40, "{}", focused(&browser));
    }
    let rows = |part: &str| {
        browser.run(&format!("return [...document.querySelectorAll('#images tbody tr')].map(row => row.cells[{part}].innerText)"))
    };
    browser.press(&["c", "l", "a", "n", "g"]);
    assert_eq!(rows("0").as_array().unwrap().len(), 2);
    assert_eq!(browser.text("return document.querySelector('#said').textContent"), "2 rows");
    // Two stops on is a column: Enter sorts by it, and once more the other way.
    let sorted = |column: &str| {
        let shown: Vec<u64> = serde_json::from_value(browser.run(
            "return [...document.querySelectorAll('#images tbody tr')].map(row => data.images.find(image => image.name === row.cells[0].innerText).total)",
        )).unwrap();
        let marked =
            browser.text("return document.querySelector('#images [aria-sort]').getAttribute('aria-sort')");
        assert_eq!(focused(&browser), column);
        (marked, shown.is_sorted(), shown.is_sorted_by(|a, b| a >= b))
    };
    browser.press(&[TAB, TAB, TAB, ENTER]);
    assert_eq!(sorted("All of it"), ("descending".into(), false, true));
    browser.press(&[ENTER]);
    assert_eq!(sorted("All of it"), ("ascending".into(), true, false));
    browser.assert_quiet(&page);
}
