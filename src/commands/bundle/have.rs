//! `larder bundle have`: what is there, for a bundle that is made elsewhere.

use std::io::{self, Write};

use larder_store::quantity;

use crate::bundle::have::list;
use crate::cli::{CommandError, Context, Outcome, fail, note};

/// Seconds.
const LONGEST: u64 = 3660 * 86_400;

/// Say what this store has, for `bundle create --have`
///
/// Prints a list (JSON) of names, blobs, layers and free space; nothing that is about to go is in it. With --keep all of it stays so long,
/// so that what the next bundle presumes is still there.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep what is listed for this time: 45d. Neither gc nor prune takes it before
    #[arg(long, value_name = "TIME", value_parser = quantity::seconds)]
    keep: Option<u64>,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    if args.keep.is_some_and(|keep| keep > LONGEST) {
        return Err(fail("--keep: that is longer than ten years").usage());
    }
    let store = context.existing_store()?;
    let until = args.keep.map(|keep| super::super::now().saturating_add_unsigned(keep));
    let mut damaged =
        |error: &larder_store::Error| note(format_args!("left out, because it is damaged: {error}"));
    let bytes = list(&store, until, &mut damaged)?;
    let mut out = io::stdout().lock();
    out.write_all(&bytes).and_then(|()| out.flush()).map_err(CommandError::from)
}
