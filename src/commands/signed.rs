//! Whether archives are signed as this host demands, before anything of them is taken.

use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};

use larder_store::Error;
use larder_store::cancel::Cancel;

use crate::cli::{CommandError, Outcome, environment, fail, note};
use crate::registry::access;
use crate::trust::{self, Signed, Trust};

/// Who is trusted here.
pub(super) fn trust() -> Outcome<Trust> {
    let settings = access::settings(&environment())?;
    Ok(Trust::new(&settings.trusted_keys, settings.signatures_required_by.as_deref())?)
}

/// The signature of an archive: in the file that is given, else in the one beside it, where somebody is trusted.
pub(super) fn of_file(trust: &Trust, path: &Path, given: Option<&Path>) -> Outcome<Option<Vec<u8>>> {
    if let Some(given) = given {
        if !trust.has_keys() {
            return Err(fail(format!("{}: cannot be checked: this host trusts no key", path.display()))
                .with_hint(
                    "write it into larder.toml of the host: trusted_keys = [\"RW…\"] (docs/signatures.md)",
                ));
        }
        let missing = || Error::io("open", given)(rustix::io::Errno::NOENT.into());
        return Ok(Some(trust::read(given)?.ok_or_else(missing)?));
    }
    Ok(if trust.has_keys() { trust::read(&beside(path))? } else { None })
}

/// Checks an archive that is open, and leaves it at its start.
pub(super) fn check(
    trust: &Trust,
    path: &Path,
    file: &mut File,
    signature: Option<&[u8]>,
    cancel: &Cancel,
) -> Outcome {
    let shown = path.display();
    match trust.check(&shown.to_string(), &mut *file, signature, cancel)? {
        Signed::By { key, comment } => note(format_args!("{shown}: signed with {key} ({comment})")),
        Signed::Unknown { .. } | Signed::Not => {}
    }
    Ok(file.rewind().map_err(Error::io("read", path))?)
}

/// Checks text that is in memory.
pub(super) fn check_text(trust: &Trust, path: &Path, text: &[u8], signature: Option<&[u8]>) -> Outcome {
    trust.check_bytes(&path.display().to_string(), text, signature)?;
    Ok(())
}

/// Checks that it is still trusted who signed an archive that is half eaten.
pub(super) fn check_key(trust: &Trust, path: &Path, signature: &[u8]) -> Outcome {
    let shown = path.display();
    let key = trust.check_key(&shown.to_string(), signature)?;
    note(format_args!("{shown}: signed with {key}, which was checked before it was begun to be consumed"));
    Ok(())
}

/// What can be read once alone.
pub(super) fn twice(path: &Path, what: &str) -> CommandError {
    fail(format!("{}: {what} has no signature that could be checked before it is read", path.display()))
        .with_hint("import the archive from a file, with its .minisig beside it")
        .damaged()
}

/// Where the signature of a file is.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}
