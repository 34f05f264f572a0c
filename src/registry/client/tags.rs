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
/// Tags that are read; a page has fewer than a million, as of one letter.
const MOST: usize = 200_000;

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
            let (page, next) = self.tags_page(&path, pages_left.min(MOST.saturating_sub(all.len())))?;
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
        self.ask_registry(async |endpoint, wire| {
            let ask = Ask::new(Method::GET, path.to_owned());
            let (answer, bytes) = self.document(endpoint, wire, &ask, MAX_DOCUMENT).await?;
            let listed: Listed = serde_json::from_slice(&bytes)
                .map_err(|error| answer.asked.damaged(format!("its list of tags is none: {error}")))?;
            let tags = listed.tags.unwrap_or_default();
            let mut next = None;
            for link in answer.response.headers().get_all(LINK) {
                let link = String::from_utf8_lossy(link.as_bytes());
                // A list that goes on somewhere is not whole: who takes it for that takes away what is on the next page.
                match next_page(&link, "/tags/list") {
                    Some(page) => next = Some(page),
                    None if link.replace([' ', '"'], "").contains("rel=next") => {
                        let why = format!("its list of tags goes on where that cannot be read: {link}");
                        return Err(answer.asked.failed(
                            Kind::Failed,
                            why,
                            "name the tags, and no list is asked for",
                        ));
                    }
                    None => {}
                }
            }
            // Many on a page, one without a tag, or that leads to itself: it leads on for ever.
            let leads_nowhere =
                next.as_ref().is_some_and(|next| tags.is_empty() || next == path || pages_left == 0);
            if leads_nowhere || tags.len() > MOST {
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
