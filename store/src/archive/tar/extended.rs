//! What extended headers say about the next member (POSIX.1-2017 pax; GNU long names): each thing once.

use tar::PaxExtensions;

use super::broken;
use crate::error::Result;

/// What extended headers said about the next member.
#[derive(Default)]
pub(crate) struct Extended {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
}

/// Reads a pax header; a global one (`None`) may say nothing that changes what a member is.
pub(crate) fn pax(data: &[u8], mut extended: Option<&mut Extended>) -> Result<()> {
    for record in PaxExtensions::new(data) {
        let record = record.map_err(|e| broken(format!("a malformed pax header: {e}")))?;
        let known = matches!(record.key_bytes(), b"path" | b"linkpath" | b"size");
        match (record.key_bytes(), &mut extended) {
            (b"path", Some(extended)) => set(&mut extended.path, record.value_bytes().to_vec())?,
            (b"linkpath", Some(extended)) => set(&mut extended.link, record.value_bytes().to_vec())?,
            (b"size", Some(extended)) => {
                let size = record.value().ok().and_then(|text| text.parse::<u64>().ok());
                let size = size.ok_or_else(|| broken("a pax header with a size that is no number"))?;
                set(&mut extended.size, size)?;
            }
            (key, _) if known || key.starts_with(b"GNU.sparse") => {
                return Err(broken("a pax header that makes members other than they look"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Says a thing about a member that was not said before.
pub(crate) fn set<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(broken("a member has two extended names or sizes")),
    }
}
