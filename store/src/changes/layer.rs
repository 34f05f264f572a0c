//! The changes as a stored layer.

use super::Changes;
use crate::codec::{Encoder, Encoding};
use crate::error::Result;
use crate::layers::LayerFacts;
use crate::transaction::Transaction;

/// Compresses the changes with so many jobs and makes them a blob of the store, leased by the transaction; `None` where there are none. A blob
/// that is known to hold the same layer is used as it is, whatever its compression.
pub fn store_changes(
    tx: &mut Transaction<'_>,
    mut changes: Changes<'_>,
    encoding: Encoding,
    jobs: usize,
) -> Result<Option<LayerFacts>> {
    let store = tx.store();
    let mut encoder = Encoder::new(encoding, jobs, changes.cancel().clone(), store.path().to_path_buf())?;
    encoder.layer(&mut changes, tx.writer()?, &|_| {})?;
    if changes.members() == 0 {
        return Ok(None);
    }
    let Some(encoded) = encoder.finish()?.pop() else { return Ok(None) };
    let (layers, learned) = (store.layers()?, encoded.learned());
    if let Some(known) = layers.by_diff_id(&learned.facts.diff_id)
        && tx.reuse(&[(known.blob, known.size)])?.contains(&known.blob)
    {
        return Ok(Some(known));
    }
    tx.publish(encoded.staged)?;
    learned.keep(&layers)?;
    Ok(Some(learned.facts))
}
