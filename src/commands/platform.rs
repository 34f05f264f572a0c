//! Which image of a multi-platform one is meant, as the command line says it.

use larder_store::descriptor::Platform;

pub(super) use larder_store::choose::{Wanted, choose};

/// Reads `OS/ARCH[/VARIANT]` from the command line.
pub(super) fn parse(text: &str) -> Result<Platform, String> {
    Platform::parse(text).ok_or_else(|| "expected OS/ARCH or OS/ARCH/VARIANT, such as linux/amd64".into())
}
