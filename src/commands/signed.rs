//! Whether archives are signed as this host demands, before anything of them is taken.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use larder_store::Error;
use larder_store::cancel::Cancel;

use crate::cli::{Outcome, environment, fail, note};
use crate::registry::access;
use crate::trust::{Signed, Trust};

/// No signature has more, bytes; of a longer file that is said.
const MAX_SIZE: u64 = 1 << 16;

/// Who is trusted here.
pub(super) fn trust() -> Outcome<Trust> {
    let settings = access::settings(&environment())?;
    Ok(Trust::new(&settings.trusted_keys, settings.signatures_required_by.as_deref())?)
}

/// Checks an archive that is open, and leaves it at its start. Its signature is in a file: the one given, else the one beside it.
pub(super) fn check_file(
    trust: &Trust,
    path: &Path,
    file: &mut File,
    given: Option<&Path>,
    cancel: &Cancel,
) -> Outcome {
    let signature = match given {
        Some(signature) => {
            Some(read(File::open(signature).map_err(Error::io("open", signature))?, signature)?)
        }
        None => match File::open(beside(path)) {
            Ok(signature) => Some(read(signature, &beside(path))?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("open", beside(path))(error).into()),
        },
    };
    if given.is_some() && !trust.has_keys() {
        return Err(fail(format!("{}: cannot be checked: this host trusts no key", path.display()))
            .with_hint(
                "write it into larder.toml of the host: trusted_keys = [\"RW…\"] (docs/signatures.md)",
            ));
    }
    check(trust, path, file, signature.as_deref(), cancel)
}

/// The same where the signature is known, or is known not to be there.
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
        Signed::Unknown { key } => {
            note(format_args!("{shown}: signed with {key}, which is not checked: this host trusts no key"));
        }
        Signed::Not => {}
    }
    Ok(file.rewind().map_err(Error::io("read", path))?)
}

/// Where the signature of a file is.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

pub(super) fn read(file: File, path: &Path) -> Outcome<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut text).map_err(Error::io("read", path))?;
    Ok(text)
}
