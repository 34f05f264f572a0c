//! docs/interop.md, written from the table when `LARDER_WRITE_DOCS=1` is set, and compared with it otherwise.

use std::fmt::Write;
use std::path::Path;

use super::table::{Cell, Row, TABLE};

/// Fails where the committed page is not what was seen, versions aside.
pub(super) fn check(versions: &[Option<String>]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/interop.md");
    let page = render(versions);
    if std::env::var_os("LARDER_WRITE_DOCS").is_some_and(|value| value == "1") {
        assert!(
            versions.iter().all(Option::is_some),
            "a tool is missing: the page would not say its version"
        );
        std::fs::write(path, page).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        without_versions(&committed),
        without_versions(&page),
        "docs/interop.md is not what was seen: LARDER_WRITE_DOCS=1 writes it"
    );
}

fn render(versions: &[Option<String>]) -> String {
    let mut notes = Vec::new();
    let mut page = String::from(HEAD);
    page.push_str(
        "| tool | version | store, zstd | store, gzip | hybrid | docker, plain | docker, gzip | oci |\n",
    );
    page.push_str("|---|---|---|---|---|---|---|---|\n");
    for (row, version) in TABLE.iter().zip(versions) {
        write!(page, "| {} | {} |", row.tool, version.as_deref().unwrap_or("missing")).unwrap();
        for cell in &row.reads {
            write!(page, " {} |", shown(cell, &mut notes)).unwrap();
        }
        page.push('\n');
    }
    page.push('\n');
    for (number, note) in notes.iter().enumerate() {
        writeln!(page, "{}. {note}", number + 1).unwrap();
    }
    page.push_str(WRITES);
    for rows in TABLE.chunk_by(|one, next| one.tool == next.tool) {
        let forms: Vec<_> = forms(rows).iter().map(|form| format!("`{form}`")).collect();
        writeln!(page, "| {} | {} |", rows[0].tool, forms.join(" · ")).unwrap();
    }
    page.push_str(TAIL);
    page
}

/// Both versions of a tool write the same forms, or the table has to be shown in another way.
fn forms(rows: &[Row]) -> &'static [&'static str] {
    assert!(rows.iter().all(|row| row.writes == rows[0].writes), "{}", rows[0].tool);
    rows[0].writes
}

fn shown(cell: &Cell, notes: &mut Vec<&'static str>) -> String {
    let (word, note) = match cell {
        Cell::Yes(None) => return "yes".into(),
        Cell::Yes(Some(note)) => ("yes", note),
        Cell::No(note, _) => ("**no**", note),
        Cell::Never(note) => ("n/a", note),
    };
    let number = notes.iter().position(|known| known == note).unwrap_or_else(|| {
        notes.push(note);
        notes.len() - 1
    });
    format!("{word} ({})", number + 1)
}

/// The page without the second column of its first table.
fn without_versions(page: &str) -> String {
    let mut text = String::new();
    for line in page.lines() {
        let cells: Vec<_> = line.split(" | ").collect();
        if cells.len() == 8 {
            text.push_str(&[&cells[..1], &cells[2..]].concat().join(" | "));
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

#[test]
fn versions_do_not_count_and_all_else_does() {
    let versions = |version: &str| vec![Some(version.to_owned()); TABLE.len()];
    let (one, two) = (render(&versions("1.0")), render(&versions("2.0~rc1")));
    assert_ne!(one, two);
    assert_eq!(without_versions(&one), without_versions(&two));
    assert_ne!(without_versions(&one), without_versions(&one.replacen("**no**", "yes", 1)));
}

const HEAD: &str = "\
# Who reads and writes what

Written by `tests/interop`, which does every cell for real: a *yes* under *reads* means that the tool took the whole image and ran a container of it,
or that config, manifest and layers were compared with ours afterwards; a **no** that it was tried and failed for the
reason given. Of each tool the distribution's version (Debian 12, which has no crane, oras or buildx) and the
newest (Debian forky) are tried.

## What they read of ours

*store* is the store's directory as it stands; *hybrid* is `larder export`, *docker* `--archive docker --layers plain` and `gzip`,
*oci* `--archive oci`. Layers are zstd where nothing else is said.

";

const WRITES: &str = "
## What of theirs `larder import` reads

The images that come in have the IDs that the tool gave them (an index its digest), and `larder verify` finds nothing.

| tool | forms |
|---|---|
";

const TAIL: &str = "
`type=docker` with attestations is refused by BuildKit itself, and a graph driver's BuildKit has neither exporter.
podman's and buildah's `dir:` and `docker-dir` are no archives or layouts of anybody else, and no input of larder.

## Through a pipe

`larder export REF -o - | docker load`, `| podman load` and `| ctr images import -` work with all versions above (`--layers plain`
or `gzip` for Docker 20.10). containerd finds the image under its full name, `docker.io/library/NAME:TAG`.

## When others write to the store

They may, and they take no lock. `tests/interop/foreign.rs` lets both versions of skopeo and umoci write while larder imports, tags
and removes. What always holds: each larder command does what it says or says why not and does nothing; the index is valid when all are done;
`larder verify` finds nothing, and no blob is lost. What can be lost is a change to the index:

- **skopeo** reads `index.json` when a copy begins, and writes what it read, with its own entry added, when the copy ends. Every name that
  larder has added, moved or removed in between is undone, however long the copy takes (seen with both versions). The content stays: the
  same import again writes no byte and brings the name back. To be safe: `skopeo copy … oci-archive:FILE`, and `larder import FILE`.
- **umoci** reads and renames within one short command, and so does larder: of two such changes in the same milliseconds the later one wins.
- skopeo writes `index.json` and `oci-layout` in place: for a moment they are empty. A larder command that finds them so
  looks again for a tenth of a second; only what stays so is damage.
- `umoci tag` copies all annotations, the full name and a pin among them: larder finds the image under the new tag, and shows it
  under the name that it was copied from. `larder tag` does not.
- `umoci gc` takes no lock and knows no lease. At rest it removes nothing that an entry of ours needs (tested), while an import runs it can remove
  blobs that are about to be named: use it when no larder is at work.

";
