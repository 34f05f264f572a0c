//! A blob, whole and checked: from a mirror where one has it, else from the registry itself.
//!
//! A host that cannot give a blob, or gives something else under its name, is passed over for it, and the next one is asked,
//! the registry itself last. What came of it before is gone on with; where it turns out to be nothing of this blob, the blob is
//! fetched anew.

use std::sync::atomic::Ordering;

use larder_store::Result as StoreResult;
use larder_store::blob::{BlobWriter, Staged};
use larder_store::descriptor::Descriptor;
use larder_store::error::Kind as StoreKind;

use super::super::error::{Error, Kind, Result};
use super::Line;
use super::blob::Watch;

/// Less of a blob is fetched again sooner than it is found again, bytes.
const WORTH_KEEPING: u64 = 64 << 10;

/// How a blob is taken.
pub(crate) struct Taking<'a> {
    /// Starts it anew; nobody writes it then.
    pub(crate) anew: &'a dyn Fn() -> StoreResult<BlobWriter>,
    pub(crate) watch: Watch<'a>,
    /// Told of a mirror that was passed over: why, and who is asked next.
    pub(crate) passed_over: &'a dyn Fn(&Error, &str),
}

impl Line {
    /// A blob has its digest, and is not what somebody says of it.
    pub(crate) fn disproved(&self, blob: &Descriptor, why: &str) -> Error {
        self.wrong(self.repository.first(), blob, why)
    }

    /// Fetches what a writer lacks of a blob. What is in the writer may be of any content. Where this fails, what came stays for
    /// the next try, if it is worth it and not known to be wrong.
    pub(crate) fn blob(&self, blob: &Descriptor, begun: BlobWriter, taking: &Taking<'_>) -> Result<Staged> {
        let last = self.repository.endpoints.len().saturating_sub(1);
        let (mut at, mut begun) = (self.repository.first(), Some(begun));
        loop {
            // Whether something of it came from another one than the host that is asked now.
            let (mut writer, is_mixed) = match begun.take() {
                Some(begun) => {
                    let is_mixed = begun.size() > 0;
                    (begun, is_mixed)
                }
                None => ((taking.anew)()?, false),
            };
            let error = match self.blob_from(at, blob, &mut writer, taking.watch) {
                Ok(()) => match writer.finish_as(blob.digest, blob.size) {
                    Err(error) if error.kind() != StoreKind::Damaged => return Err(error.into()),
                    Err(_) if is_mixed => continue,
                    Err(error) => self.wrong(at, blob, &error.to_string()),
                    Ok(staged) => return Ok(staged),
                },
                Err(error) => {
                    let is_good = error.kind() != Some(Kind::Damaged);
                    if at < last && is_good && error.kind().is_some() {
                        begun = Some(writer);
                    } else if is_good && writer.size() >= WORTH_KEEPING {
                        writer.suspend();
                    }
                    error
                }
            };
            if at >= last || error.kind().is_none() {
                return Err(error);
            }
            if matches!(error.kind(), Some(Kind::Failed | Kind::Unanswered | Kind::Denied)) {
                // That one is of no more help.
                self.repository.first.fetch_max(at + 1, Ordering::Relaxed);
            }
            at += 1;
            (taking.passed_over)(&error, &self.repository.endpoints[at].host);
        }
    }
}
