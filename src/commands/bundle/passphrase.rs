//! The passphrase of a secret key.

use std::path::Path;

use larder_store::Error;

use crate::cli::{self, Context, Outcome, fail};
use crate::trust;

/// Asks for it or reads it: never an argument, which every process of the machine can read.
pub(super) fn passphrase(context: &Context, key: &Path, file: Option<&Path>) -> Outcome<String> {
    match file {
        Some(file) if file.as_os_str() == "-" => cli::all(&context.cancel),
        Some(file) => {
            let missing = || Error::io("open", file)(rustix::io::Errno::NOENT.into());
            let bytes = trust::read(file)?.ok_or_else(missing)?;
            let text =
                String::from_utf8(bytes).map_err(|_| fail(format!("{}: is not text", file.display())))?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
        }
        None if cli::can_ask() => {
            let question = format!("Passphrase of {} (not shown): ", cli::safe(&key.to_string_lossy()));
            cli::ask_hidden(&context.cancel, &question)
        }
        None => Err(fail(format!(
            "{}: has a passphrase, and stdin is no terminal to ask for it at",
            key.display()
        ))
        .with_hint("--passphrase-file takes it from a file, or with `-` from stdin")
        .usage()),
    }
}
