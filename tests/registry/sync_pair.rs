//! What tests of `larder sync` to another registry have in common.

use serde_json::Value;

use super::small;
use crate::push::taker::Taker;
use crate::support::Sandbox;
use crate::support::image::Image;
use crate::support::web::Web;

/// A registry that images come from, one that they go to, and the list that says it.
pub(super) struct Pair {
    pub(super) sandbox: Sandbox,
    pub(super) web: Web,
    pub(super) taker: Taker,
}

impl Pair {
    /// With these tags of `a/b`, each another image on a common layer; `a/b` goes to `m/b`.
    pub(super) fn of(tags: &[&str]) -> Pair {
        let pair = Pair { sandbox: Sandbox::in_memory(), web: Web::new(), taker: Taker::new() };
        for (seed, tag) in tags.iter().enumerate() {
            pair.web.put(&format!("a/b:{tag}"), &small(seed as u64));
        }
        pair.wants(&format!("  tags: {tags:?}\n  to: {}/m/b\n", pair.taker.address));
        pair
    }

    /// Writes the list; `keys` are those beside registry and repository.
    pub(super) fn wants(&self, keys: &str) {
        let text = format!("- registry: {}\n  repository: a/b\n{keys}", self.web.address);
        std::fs::write(self.sandbox.path("sync.yml"), text).unwrap();
    }

    pub(super) fn rows(&self, words: &[&str]) -> Vec<Value> {
        let rows = self.sandbox.json(["sync", "sync.yml"].iter().chain(words));
        rows.as_array().unwrap().clone()
    }

    pub(super) fn states(&self, words: &[&str]) -> Vec<String> {
        self.rows(words).iter().map(state).collect()
    }

    /// Bytes that went to the destination since the last time.
    pub(super) fn taken(&self) -> u64 {
        let asked = self.taker.take();
        let puts = asked.iter().filter(|asked| asked.method == "PUT");
        puts.map(|asked| asked.headers["content-length"].parse::<u64>().unwrap()).sum()
    }

    /// Blobs that were fetched since the last time.
    pub(super) fn fetched(&self) -> Vec<String> {
        let asked = self.web.take();
        let blobs = asked.iter().filter_map(|asked| asked.strip_prefix("GET ")?.split_once("/blobs/"));
        blobs.map(|(_, digest)| digest.to_owned()).collect()
    }

    /// From here on requests and bytes are counted.
    pub(super) fn forget(&self) {
        self.web.take();
        self.web.sent();
        self.taker.take();
    }
}

/// `1.0 new`.
pub(super) fn state(row: &Value) -> String {
    let tag = row["reference"].as_str().unwrap().rsplit(':').next().unwrap();
    format!("{tag} {}", row["state"].as_str().unwrap())
}

/// Of all rows.
pub(super) fn sum(rows: &[Value], key: &str) -> u64 {
    rows.iter().map(|row| row[key].as_u64().unwrap()).sum()
}

/// Documents and blobs.
pub(super) fn size(image: &Image) -> u64 {
    let documents: usize = image.documents().map(|(_, bytes)| bytes.len()).sum();
    (documents + image.blobs().iter().map(Vec::len).sum::<usize>()) as u64
}
