//! `larder init`: makes a store.

use larder_store::Store;
use larder_store::layout::Layout;

use crate::cli::{Context, Outcome, fail, note};

/// Make a store (any other verb makes one as well, for this user alone)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Let the members of this group import, tag and remove too
    #[arg(long, value_name = "GROUP")]
    shared: Option<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let path = &context.store_path;
    match &args.shared {
        Some(group) => {
            let gid = group_id(group)?;
            Store::on(Layout::create_shared(path, gid)?, context.lock_timeout).index()?;
        }
        None => drop(context.store()?.index()?),
    }
    note(format_args!("store {}", path.display()));
    Ok(())
}

/// Looks a group up in /etc/group; a number is taken as it is.
fn group_id(group: &str) -> Outcome<u32> {
    if let Ok(gid) = group.parse() {
        return Ok(gid);
    }
    let table =
        std::fs::read_to_string("/etc/group").map_err(|e| fail(format!("cannot read /etc/group: {e}")))?;
    let entry = table
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&group));
    let gid = entry.and_then(|fields| fields.get(2)?.parse().ok());
    gid.ok_or_else(|| {
        fail(format!("there is no group {group:?}"))
            .with_hint("`groupadd` makes one; a number is taken too")
            .usage()
    })
}
