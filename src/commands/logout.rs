//! `larder logout`: credentials of a registry are forgotten.

use super::login::host;
use crate::cli::{Context, Outcome, environment, note};
use crate::registry::access::Keeper;

/// Forget the user and password of a registry, as `docker logout` does
///
/// They are taken out of the file that `login` writes, or out of the credential helper that it names. No registry is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The registry, with its port if it has one [default: docker.io]
    host: Option<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let host = host(args.host.as_deref())?;
    let environment = environment();
    let keeper =
        Keeper { environment: &environment, lock_timeout: context.lock_timeout, cancel: &context.cancel };
    let forgotten = keeper.logout(&host)?;
    let file = forgotten.file.display();
    match forgotten.was_there {
        true => note(format_args!("{host}: forgotten ({file})")),
        false => note(format_args!("{host}: there was nothing to forget ({file})")),
    }
    for other in forgotten.others {
        let other = other.display();
        note(format_args!(
            "larder: {other} has credentials for {host} too: `podman logout {host}` forgets those"
        ));
    }
    Ok(())
}
