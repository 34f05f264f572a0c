//! What was said about an image: signatures, inventories, attestations (distribution specification, "Listing Referrers").

use larder_store::Digest;
use larder_store::descriptor::Descriptor;
use larder_store::json::MAX_DOCUMENT;
use larder_store::manifest::Document;
use larder_store::manifest::RawManifest;
use larder_store::media_type::OCI_INDEX;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LINK};

use super::super::error::{Kind, Result};
use super::Line;
use super::endpoint::Ask;
use super::manifest::Which;

/// Pages of a list that are read.
const MAX_PAGES: usize = 20;

impl Line {
    /// What refers to a manifest: by the API, else by the tag that tools keep where there is none.
    pub(crate) fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let mut all = Vec::new();
        let mut path = format!("referrers/{subject}");
        for _ in 0..MAX_PAGES {
            let Some((page, next)) = self.referrers_page(&path)? else {
                return self.referrers_by_tag(subject);
            };
            all.extend(page);
            match next {
                Some(next) => path = next,
                None => return Ok(all),
            }
        }
        Ok(all)
    }

    /// A page, and the path of the next one; `None` where the registry does not know the API.
    fn referrers_page(&self, path: &str) -> Result<Option<(Vec<Descriptor>, Option<String>)>> {
        let page = self.ask(async |endpoint, wire| {
            let ask = Ask::new(Method::GET, path.to_owned()).header(ACCEPT, OCI_INDEX);
            let (answer, bytes) = match self.document(endpoint, wire, &ask, MAX_DOCUMENT).await {
                Ok(answered) => answered,
                Err(failure) if failure.is_not_allowed() => return Ok(None),
                Err(failure) => return Err(failure),
            };
            let headers = answer.response.headers();
            let media_type =
                headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if !media_type.starts_with(OCI_INDEX) {
                // A page for browsers, of something that answers to every path.
                return Ok(None);
            }
            let list = RawManifest::parse(bytes, OCI_INDEX).map_err(|why| answer.asked.damaged(why))?;
            let Document::Index(list) = list.document else {
                return Err(answer.asked.failed(Kind::Damaged, "its list of referrers is none", ""));
            };
            let link = headers.get(LINK).and_then(|link| link.to_str().ok());
            Ok(Some((list.manifests, link.and_then(|link| next_page(link, "/referrers/")))))
        });
        match page {
            Err(error) if error.kind() == Some(Kind::Absent) => Ok(None),
            page => page,
        }
    }

    /// The tag `sha256-<hex>` of the specification's fallback.
    fn referrers_by_tag(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let tag = Which::Tag(format!("sha256-{}", subject.hex()));
        Ok(match self.manifest_if_there(&tag)?.map(|raw| raw.document) {
            Some(Document::Index(list)) => list.manifests,
            _ => Vec::new(),
        })
    }
}

/// Where the next page of a list is, behind the repository's name: `</v2/NAME/referrers/…?…>; rel="next"`.
pub(super) fn next_page(link: &str, list: &str) -> Option<String> {
    let (address, how) = link.trim().strip_prefix('<')?.split_once('>')?;
    if !how.replace([' ', '"'], "").contains("rel=next") {
        return None;
    }
    let at = address.rfind(list)?;
    Some(address[at + 1..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        let link = r#"</v2/a/b/referrers/sha256:12?n=5&last=x>; rel="next""#;
        assert_eq!(next_page(link, "/referrers/").as_deref(), Some("referrers/sha256:12?n=5&last=x"));
        for none in ["", "<>", r#"</v2/a/referrers/x>; rel="prev""#, "/v2/a/referrers/x; rel=next"] {
            assert_eq!(next_page(none, "/referrers/"), None, "{none}");
        }
    }
}
