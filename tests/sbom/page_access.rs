//! The page for everybody: what a screen reader is told, contrast in light and dark, narrow screens; and the picture in `docs/`.

use std::path::Path;

use serde_json::{Value, json};

use super::browser::{self, Browser};
use super::page::report;
use super::stores::lived_in;
use crate::support::{need, wait_for};

/// Roles that are nothing without a name.
const NAMED: [&str; 11] = [
    "RootWebArea",
    "button",
    "columnheader",
    "heading",
    "image",
    "navigation",
    "region",
    "rowheader",
    "searchbox",
    "table",
    "DisclosureTriangle",
];

/// Role and name of all that a screen reader gets.
fn told(browser: &Browser) -> Vec<(String, String)> {
    let tree = browser.devtools("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] != true);
    let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
    nodes.map(|node| (text(&node["role"]), text(&node["name"]))).collect()
}

#[test]
fn a_screen_reader_is_told_all_of_it() {
    let sandbox = lived_in(200);
    let browser = need!(browser::chromium(&sandbox), "chromium");
    report(&sandbox, &browser);
    let told = told(&browser);
    for role in NAMED {
        let names: Vec<_> = told.iter().filter(|(of, _)| of == role).map(|(_, name)| name.as_str()).collect();
        assert!(!names.is_empty() && names.iter().all(|name| !name.trim().is_empty()), "{role}: {names:?}");
    }
    let has = |role: &str, name: &str| {
        assert!(told.iter().any(|(of, text)| of == role && text.starts_with(name)), "{role} {name}: {told:?}")
    };
    for caption in
        ["Images that prune would take", "All images", "What several images have", "Packages by size"]
    {
        has("table", caption);
    }
    has("group", "Where the bytes are");
    has("button", "capy:debian-12-docs ");
    has("rowheader", "capy:debian-12-docs");
    has("columnheader", "Last used");
    has("image", "Growth by import");
    has("searchbox", "Find an image");
    assert_eq!(browser.text("return document.documentElement.lang"), "en");
    // What a chart shows is there in numbers, made when it is asked for.
    browser.click("#growth summary");
    let days = wait_for(|| {
        let rows = browser.run("return document.querySelectorAll('#growth tbody tr').length");
        (rows != 0).then_some(rows)
    });
    assert_eq!(days, browser.run("return data.growth.length"));
}

/// Text whose contrast with what is behind it is below 4.5 (WCAG 2.2, 1.4.3).
const FAINT: &str = r"
const parse = text => { const n = text.match(/[\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
const light = ([r, g, b]) => { const f = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
const found = []; let seen = 0;
for (const e of document.querySelectorAll('body *')) {
  if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility() || ['SCRIPT', 'STYLE'].includes(e.tagName)) continue;
  let behind = e; while (behind && parse(getComputedStyle(behind).backgroundColor)[3] < 1) behind = behind.parentElement;
  const [x, y] = [parse(getComputedStyle(e).color), parse(getComputedStyle(behind).backgroundColor)].map(light);
  const contrast = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
  seen++; if (contrast < 4.5) found.push(e.outerHTML.slice(0, 120) + ': ' + contrast.toFixed(2));
}
return [seen, getComputedStyle(document.body).backgroundColor, found]";

#[test]
fn light_dark_and_narrow_are_read_alike() {
    let sandbox = lived_in(200);
    let browser = need!(browser::chromium(&sandbox), "chromium");
    let page = report(&sandbox, &browser);
    let mut backs = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        let faint = browser.run(FAINT);
        assert!(faint[0].as_u64().unwrap() > 100, "{faint}");
        assert_eq!(faint[2], json!([]), "{scheme}");
        backs.push(faint[1].clone());
    }
    assert_ne!(backs[0], backs[1], "dark is another page");
    let wide = "const e = document.scrollingElement; return [e.scrollWidth, e.clientWidth]";
    for width in [360, 800, 2400] {
        browser.resize(width, 740);
        let size = browser.run(wide);
        assert_eq!(size[0], size[1], "{width}: nothing is beside the page");
        // The map waits for the end of a change.
        let map = wait_for(|| {
            let sizes = browser.run(
                "const m = document.querySelector('#map').getBoundingClientRect();
                 return [m.width, Math.max(...[...document.querySelectorAll('#map button')].map(b => b.getBoundingClientRect().right)) - m.left]",
            );
            let [map, areas] = [&sizes[0], &sizes[1]].map(|size| size.as_f64().unwrap());
            ((map - areas).abs() < 1.0).then_some(map)
        });
        assert!(map <= f64::from(width), "{width}: the map is drawn anew: {map}");
    }
    browser.assert_quiet(&page);
}

/// `docs/report.png`, with `LARDER_WRITE_DOCS=1`: the same store, with layers of the size that real ones have.
#[test]
fn the_picture_in_the_docs() {
    if std::env::var_os("LARDER_WRITE_DOCS").is_none() {
        let picture = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.png")).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() <= 150 << 10, "{} bytes", picture.len());
        return;
    }
    let sandbox = lived_in(1_000_000);
    let browser = need!(browser::chromium(&sandbox), "chromium");
    report(&sandbox, &browser);
    browser.resize(1000, 1060);
    std::thread::sleep(std::time::Duration::from_secs(1));
    browser.run("document.querySelector('#about bdi').textContent = '/srv/larder'");
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.png"), browser.picture()).unwrap();
}
