//! The tags of a repository (distribution specification, "Listing Tags").

use larder_store::json::MAX_DOCUMENT;
use reqwest::Method;
use reqwest::header::LINK;
use serde::Deserialize;

use super::super::error::{Kind, Result};
use super::Line;
use super::endpoint::Ask;
use super::referrers::next_page;

/// Tags that are asked for at a time.
const PAGE: usize = 1000;
/// Pages that are read: with fewer tags on each than are asked for that is a hundred thousand still.
const MAX_PAGES: usize = 1000;

#[derive(Deserialize)]
struct Listed {
    // Of a repository without any some say null.
    tags: Option<Vec<String>>,
}

impl Line {
    /// All tags, in the registry's order.
    ///
    /// Errors: there is no such repository; the registry has no such list; it does not end.
    pub(crate) fn tags(&self) -> Result<Vec<String>> {
        let mut all = Vec::new();
        let mut path = format!("tags/list?n={PAGE}");
        for pages_left in (0..MAX_PAGES).rev() {
            let (page, next) = self.tags_page(&path, pages_left)?;
            all.extend(page);
            match next {
                Some(next) => path = next,
                None => break,
            }
        }
        Ok(all)
    }

    /// A page, and the path of the next one.
    fn tags_page(&self, path: &str, pages_left: usize) -> Result<(Vec<String>, Option<String>)> {
        self.ask(async |endpoint, wire| {
            let ask = Ask::new(Method::GET, path.to_owned());
            let (answer, bytes) = self.document(endpoint, wire, &ask, MAX_DOCUMENT).await?;
            let listed: Listed = serde_json::from_slice(&bytes)
                .map_err(|error| answer.asked.damaged(format!("its list of tags is none: {error}")))?;
            let tags = listed.tags.unwrap_or_default();
            let link = answer.response.headers().get(LINK).and_then(|link| link.to_str().ok());
            let next = link.and_then(|link| next_page(link, "/tags/"));
            // One without a tag, or that leads to itself, leads on for ever.
            let leads_nowhere =
                next.as_ref().is_some_and(|next| tags.is_empty() || next == path || pages_left == 0);
            if leads_nowhere {
                let why = "its list of tags does not end";
                return Err(answer.asked.failed(
                    Kind::Failed,
                    why,
                    "name the tags, and no list is asked for",
                ));
            }
            Ok((tags, next))
        })
    }
}
