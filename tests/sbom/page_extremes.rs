//! The page of stores that are large, hostile, or empty.

use std::time::{Duration, Instant};

use super::browser;
use super::page::report;
use super::stores::foreign;
use crate::support::{Sandbox, need};

#[test]
fn hostile_names_are_text() {
    let names = [
        "<script>document.title='owned'</script>",
        "</script><script>document.title='owned'</script>",
        "<!--<script>",
        "<img src=http://192.0.2.1/x onerror=\"document.title='owned'\">",
        "\"' onmouseover=\"document.title='owned'\" x='",
        "a\u{202e}gpj.exe\u{2066}",
        "\u{1b}]0;owned\u{7}\u{0}\u{9b}2J\r\n\u{2028}",
        "@DATA@ @SCRIPT@ ${data} `x` \\u003c",
        "javascript:document.title='owned'",
        "__proto__",
        "\u{fdfd}\u{1f468}\u{200d}\u{1f469}\u{300}\u{300}\u{300}",
        &"W".repeat(4096),
    ];
    let sandbox = foreign(&names.map(str::to_owned));
    let browser = need!(browser::chromium(&sandbox), "chromium");
    let page = report(&sandbox, &browser);
    let title = "larder: what is in the store";
    // All are in the table, to the letter but for what would turn text around.
    let shown: Vec<String> = serde_json::from_value(
        browser
            .run("return [...document.querySelectorAll('#images tbody th')].map(cell => cell.textContent)"),
    )
    .unwrap();
    assert_eq!(shown.len(), names.len());
    for name in names {
        let bad = |c: char| c.is_control() || "\u{202e}\u{2066}\u{2028}".contains(c);
        let safe: String = name
            .chars()
            .map(|c| if bad(c) { c.escape_unicode().to_string() } else { c.to_string() })
            .collect();
        assert!(shown.contains(&safe), "{safe:?}: {shown:?}");
    }
    assert!(shown.iter().flat_map(|name| name.chars()).all(|c| !c.is_control() && c != '\u{202e}'));
    // Whatever is done with them.
    let areas = browser.run("return document.querySelectorAll('#map button').length").as_u64().unwrap();
    for at in 0..areas {
        browser.run(&format!(
            "const b = document.querySelectorAll('#map button')[{at}]; b.dispatchEvent(new MouseEvent('mouseenter')); b.dispatchEvent(new MouseEvent('mouseover', {{bubbles: true}})); b.click()"
        ));
        browser.run(
            "while (document.querySelector('#way button')) document.querySelector('#way button').click()",
        );
    }
    browser.run("const f = document.querySelector('#images-find'); f.value = '<script>'; f.dispatchEvent(new Event('input'))");
    assert_eq!(browser.run("return document.querySelectorAll('#images tbody tr').length"), 3);
    assert_eq!(browser.text("return document.title"), title);
    assert_eq!(browser.run("return document.querySelectorAll('script').length"), 2);
    assert_eq!(browser.run("return document.querySelectorAll('img').length"), 0);
    let size = browser.run("const e = document.scrollingElement; return [e.scrollWidth, e.clientWidth]");
    assert_eq!(size[0], size[1], "4 KiB of a name do not make the page wide");
    browser.assert_quiet(&page);
    // And were one to get out of its string, the page runs nothing but what it was made with.
    browser.run("const s = document.createElement('script'); s.textContent = \"document.title = 'owned'\"; document.body.append(s)");
    browser.run("document.body.insertAdjacentHTML('beforeend', `<p onclick=\"document.title='owned'\">x`); document.body.lastChild.click()");
    assert_eq!(browser.text("return document.title"), title);
}

#[test]
fn ten_thousand_images_do_not_freeze() {
    let names: Vec<_> = (0..10_000)
        .map(|at| format!("registry.example.com:5000/team-{}/service-{:03}:v{}", at % 7, at % 200, at / 200))
        .collect();
    let sandbox = foreign(&names);
    let browser = need!(browser::chromium(&sandbox), "chromium");
    let begun = Instant::now();
    let page = report(&sandbox, &browser);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let loaded =
        browser.run("return performance.getEntriesByType('navigation')[0].loadEventEnd").as_f64().unwrap();
    // From the click to what is on the screen.
    let time = |act: &str| {
        let script = format!(
            "const begun = performance.now(); {act}; document.body.getBoundingClientRect(); return performance.now() - begun"
        );
        browser.run(&script).as_f64().unwrap()
    };
    let areas = || browser.run("return document.querySelectorAll('#map button').length").as_u64().unwrap();
    let drawn = areas();
    assert!((50..5000).contains(&drawn), "{drawn}: as many as can be told apart");
    let df = sandbox.json(["df"]);
    let sum = browser.run("return [...document.querySelectorAll('#map button')].reduce((sum, b) => sum + Number(b.dataset.bytes), 0)");
    assert_eq!(sum.as_u64(), Some(df["stored"].as_u64().unwrap() + df["unreferenced"].as_u64().unwrap()));
    let click =
        time("[...document.querySelectorAll('#map button')].find(b => b.dataset.kind === 'unique').click()");
    assert_ne!(areas(), drawn);
    let mut depth = 1;
    while browser
        .text("return document.querySelector('#map button').getAttribute('aria-label')")
        .contains(" smaller: ")
    {
        browser.run("document.querySelector('#map button').click()");
        depth += 1;
        assert!(depth < 6, "each click comes nearer to an image");
    }
    let find = time(
        "const f = document.querySelector('#images-find'); f.value = 'service-123:v7'; f.dispatchEvent(new Event('input'))",
    );
    assert_eq!(browser.run("return document.querySelectorAll('#images tbody tr').length"), 1);
    let sort = time("document.querySelectorAll('#images thead button')[0].click()");
    crate::support::say(format_args!(
        "report of 10,000 images: {} kB, loaded in {loaded:.0} ms; click {click:.0} ms, find {find:.0} ms, sort {sort:.0} ms",
        std::fs::metadata(&page).unwrap().len() / 1000
    ));
    assert!(loaded < 20_000.0, "loaded in {loaded} ms");
    for (what, took) in [("click", click), ("find", find), ("sort", sort)] {
        assert!(took < 2000.0, "{what}: {took} ms");
    }
    browser.assert_quiet(&page);
}

#[test]
fn little_is_no_failure() {
    let sandbox = Sandbox::new();
    sandbox.ok(["init"]);
    let browser = need!(browser::chromium(&sandbox), "chromium");
    let page = report(&sandbox, &browser);
    let text = || browser.text("return document.body.innerText");
    for words in [
        "There is nothing in it.",
        "There is none yet",
        "Nothing is known of it.",
        "No two images have a layer in common.",
    ] {
        assert!(text().contains(words), "{words}: {}", text());
    }
    browser.assert_quiet(&page);
    // A policy that cannot be read: the bytes are where they are, and why nothing is known is said.
    std::fs::write(sandbox.store().join(".larder/larder.toml"), "keep_lats = 1\n").unwrap();
    let one = foreign(&["one:1".to_owned()]);
    std::fs::write(one.store().join(".larder/larder.toml"), "keep_lats = 1\n").unwrap();
    let page = report(&one, &browser);
    assert!(text().contains("It is not known: ") && text().contains("keep_lats"), "{}", text());
    assert!(text().contains("one:1") && text().contains("No image was looked into yet"), "{}", text());
    browser.assert_quiet(&page);
}
