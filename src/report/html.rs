//! The page's parts put together.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use larder_store::digest::Digest;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
/// One script, in the order in which its parts stand on each other.
const SCRIPT: &str = concat!(
    include_str!("page/words.js"),
    include_str!("page/squarify.js"),
    include_str!("page/map.js"),
    include_str!("page/table.js"),
    include_str!("page/chart.js"),
    include_str!("page/page.js"),
);

/// The page with these data, which are JSON.
pub(super) fn page(json: &str) -> String {
    // `</script>` and `<!--` mean something to HTML also inside of a string (HTML standard, "Restrictions for contents of script elements").
    let json = json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    let page = PAGE
        .replace("@STYLE-HASH@", &source(STYLE))
        .replace("@SCRIPT-HASH@", &source(SCRIPT))
        .replace("@STYLE@", STYLE)
        .replace("@SCRIPT@", SCRIPT);
    // Last: what came from outside is looked through for nothing.
    page.replacen("@DATA@", &json, 1)
}

/// How the policy of the page names what it runs (Content Security Policy 3, "hash-source"): nothing else is run in it.
fn source(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(Digest::of(text.as_bytes()).bytes()))
}
