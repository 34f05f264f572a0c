//! What each image of a bundle costs.

use larder_store::bundle::manifest::{Manifest, Way};

/// What an image costs, bytes. What several images need is counted for the first one that needs it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// What the bundle carries for it.
    pub(crate) carried: u64,
    /// Its blobs that the bundle carries for an image before.
    pub(crate) shared: u64,
    /// Its blobs that the target makes of what it has.
    pub(crate) made: u64,
    /// Its blobs that the target has.
    pub(crate) presumed: u64,
}

/// The costs of all images, in their order.
pub(crate) fn costs(manifest: &Manifest) -> Vec<Cost> {
    let mut costs = vec![Cost::default(); manifest.images.len()];
    let mut add =
        |images: &[u32], size: u64, first: fn(&mut Cost) -> &mut u64, others: fn(&mut Cost) -> &mut u64| {
            for (at, image) in images.iter().enumerate() {
                if let Some(cost) = costs.get_mut(*image as usize) {
                    let sum = if at == 0 { first(cost) } else { others(cost) };
                    *sum = sum.saturating_add(size);
                }
            }
        };
    for blob in &manifest.blobs {
        match (blob.way, &blob.delta) {
            (Way::Encoded, _) => add(&blob.images, blob.size, |cost| &mut cost.made, |cost| &mut cost.shared),
            (Way::Delta, Some(delta)) => {
                add(&blob.images, delta.size, |cost| &mut cost.carried, |cost| &mut cost.shared)
            }
            _ => add(&blob.images, blob.size, |cost| &mut cost.carried, |cost| &mut cost.shared),
        }
    }
    for blob in &manifest.presumes {
        add(&blob.images, blob.size, |cost| &mut cost.presumed, |cost| &mut cost.presumed);
    }
    costs
}
