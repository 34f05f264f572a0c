//! The table is true: every cell is done, and docs/interop.md shows what was seen.

use super::table::{Cell, TABLE};
use super::{Bench, Identity, Seen, Source, Tool, attempt, page, same};
use crate::support::skip;
use crate::support::store::assert_sound;

#[test]
fn every_tool_reads_what_is_ours_and_we_read_what_is_its() {
    fn here() {}
    let bench = Bench::new();
    let (mut wrong, mut versions) = (Vec::new(), Vec::new());
    for row in &TABLE {
        let Some(tool) = (row.open)(&bench) else {
            // The other rows are still worth their while.
            skip::record(std::any::type_name_of_val(&here), row.peer);
            versions.push(None);
            continue;
        };
        versions.push(Some(tool.version()));
        for (source, cell) in Source::ALL.into_iter().zip(&row.reads) {
            let seen = match cell {
                Cell::Never(_) => continue,
                Cell::Yes(_) => tool.read(&bench, source),
                Cell::No(_, said) => fails(tool.read(&bench, source), said),
            };
            wrong.extend(seen.err().map(|said| format!("{}, {source:?}: {said}", row.peer)));
        }
        for form in row.writes {
            let seen = comes_in(&bench, tool.as_ref(), form);
            wrong.extend(seen.err().map(|said| format!("{}, {form}: {said}", row.peer)));
        }
    }
    assert!(wrong.is_empty(), "{} cells are not as the table says:\n\n{}", wrong.len(), wrong.join("\n\n"));
    page::check(&versions);
}

/// It fails, and for the reason that the table gives.
fn fails(seen: Seen, reason: &str) -> Seen {
    match seen {
        Ok(()) => Err("it works, and the table says that it does not".into()),
        Err(said) if said.contains(reason) => Ok(()),
        Err(said) => Err(format!("it fails for another reason than {reason}: {said}")),
    }
}

/// What the tool writes comes into an empty store, is the same image, and is sound there.
fn comes_in(bench: &Bench, tool: &dyn Tool, form: &str) -> Seen {
    let written = tool.write(bench, form)?;
    let store = bench.fresh("other-store");
    let larder = |args: &[&str]| {
        let mut command = bench.sandbox.command(args);
        attempt(command.arg("--store").arg(&store))
    };
    let mut args = vec!["import", written.path.to_str().unwrap(), "--format", "json"];
    // One image may be nameless, or bear a tag alone.
    let several = matches!(&written.identity, Identity::Images(ids) if ids.len() > 1);
    if !several {
        args.extend(["--name", "written:1"]);
    }
    let rows: serde_json::Value = serde_json::from_str(&larder(&args)?).map_err(|error| error.to_string())?;
    let rows = rows.as_array().unwrap();
    // Docker 20.10 saves several images in any order.
    let sorted = |mut ids: Vec<&str>| {
        ids.sort_unstable();
        ids.join(" ")
    };
    let column = |key: &str| rows.iter().map(|row| row[key].as_str().unwrap_or("none")).collect::<Vec<_>>();
    match &written.identity {
        Identity::Images(ids) => {
            let expected = sorted(ids.iter().map(String::as_str).collect());
            same("image IDs", &sorted(column("image_id")), &expected)?;
        }
        Identity::Index(digest) => same("digest", &column("digest").join(" "), digest)?,
    }
    larder(&["verify"])?;
    assert_sound(&store);
    Ok(())
}
