//! Archives that are compressed as a whole.

use std::process::Command;

use super::{GCC, import, import_stdin};
use crate::support::store::{assert_nothing_pending, entries};
use crate::support::{Sandbox, describe, feed, fixture, need, peer};

/// What a real tool makes of a fixture.
fn packed(tool: &str, file: &str) -> Option<Vec<u8>> {
    let mut command: Command = peer::tool(tool)?;
    command.arg("-c").arg(fixture(file));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", describe(&command, &output));
    Some(output.stdout)
}

#[test]
fn what_stands_around_an_archive_does_not_show() {
    for (tool, suffix) in [("gzip", "gz"), ("zstd", "zst"), ("xz", "xz"), ("bzip2", "bz2")] {
        for file in ["docker20-two.tar", "docker28c.tar", "skopeo-oci.tar", "attest-oci.tar"] {
            let bytes = need!(packed(tool, file), tool);
            let expected = import(&Sandbox::new(), file, &[]);
            let sandbox = Sandbox::new();
            let output = feed(&mut sandbox.command(["import", "-", "--format", "json"]), &bytes);
            let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
                panic!("{file}: {error}: {}", String::from_utf8_lossy(&output.stderr))
            });
            assert_eq!(rows.as_array().unwrap(), &expected, "{tool} of {file} through a pipe");

            let sandbox = Sandbox::new();
            let name = format!("archive.tar.{suffix}");
            std::fs::write(sandbox.path(&name), &bytes).unwrap();
            let rows = sandbox.json(["import", &name]);
            assert_eq!(rows.as_array().unwrap(), &expected, "{tool} of {file} in a file");
        }
    }
}

#[test]
fn several_gzip_members_are_one_archive() {
    let archive = std::fs::read(fixture("docker20.tar")).unwrap();
    let mut bytes = Vec::new();
    for part in archive.chunks(10_000) {
        let output = feed(need!(peer::tool("gzip"), "gzip").arg("-c"), part);
        bytes.extend(output.stdout);
    }
    let sandbox = Sandbox::new();
    assert!(feed(&mut sandbox.command(["import", "-"]), &bytes).status.success());
    let expected = import_stdin(&Sandbox::new(), "docker20.tar", &[])[0]["digest"].clone();
    assert_eq!(sandbox.json(["images", GCC])[0]["digest"], expected);
}

#[test]
fn a_compressed_archive_that_is_cut_leaves_nothing() {
    for tool in ["gzip", "zstd", "xz", "bzip2"] {
        let bytes = need!(packed(tool, "docker20.tar"), tool);
        for cut in [bytes.len() / 3, bytes.len() - 1] {
            let sandbox = Sandbox::new();
            let output = feed(&mut sandbox.command(["import", "-"]), &bytes[..cut]);
            assert_eq!(output.status.code(), Some(1), "{tool} cut at {cut}: {output:?}");
            assert!(output.stdout.is_empty());
            assert!(entries(&sandbox.store()).is_empty());
            assert_nothing_pending(&sandbox.store());
        }
    }
}
