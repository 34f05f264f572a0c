//! `larder import`: what goes in stays what it was, once, under the right name.

mod bounds;
mod consume;
mod expected;
mod fidelity;
mod forms;
mod healing;
mod indexes;
mod large;
mod names;
mod outer;
mod reuse;
mod signed;
mod streams;
mod tight;
mod unpacked;

use std::ffi::OsString;
use std::fs::File;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Sandbox, fixture, succeeded};

/// The image in most fixtures.
pub(crate) const GCC: &str = "capy-debian-12-gcc12:latest";
/// Its sibling in `docker20-two.tar`.
pub(crate) const CLANG: &str = "capy-debian-12-clang16:latest";

/// Docker-archives of one and the same image.
const DOCKER: [&str; 5] =
    ["docker20.tar", "docker28.tar", "docker28c.tar", "podman-docker.tar", "skopeo-docker.tar"];
/// Archives whose manifests are kept.
const OCI: [&str; 6] = [
    "podman-oci.tar",
    "skopeo-oci.tar",
    "skopeo-oci-zstd.tar",
    "multiarch-oci.tar",
    "sparse-oci.tar",
    "attest-oci.tar",
];

/// All fixtures, each with the arguments without which it is refused.
fn fixtures() -> Vec<(&'static str, Vec<&'static str>)> {
    let named = DOCKER.into_iter().chain(OCI).chain(["docker20-two.tar"]).map(|file| (file, Vec::new()));
    named.chain([("docker20-untagged.tar", vec!["--name", "untagged:1"])]).collect()
}

/// Imports a fixture by its path; the JSON that is printed.
fn import(sandbox: &Sandbox, file: &str, args: &[&str]) -> Vec<Value> {
    let mut all = vec![OsString::from("import"), fixture(file).into_os_string()];
    all.extend(args.iter().map(OsString::from));
    rows(sandbox.json(all))
}

/// Imports a fixture that comes through stdin.
fn import_stdin(sandbox: &Sandbox, file: &str, args: &[&str]) -> Vec<Value> {
    let mut cat =
        std::process::Command::new("cat").arg(fixture(file)).stdout(Stdio::piped()).spawn().unwrap();
    let mut command = sandbox.command(["import", "-", "--format", "json"]);
    command.args(args).stdin(cat.stdout.take().unwrap());
    let output = command.output().unwrap();
    assert!(cat.wait().unwrap().success());
    rows(serde_json::from_str(&succeeded(&command, &output)).unwrap())
}

fn rows(json: Value) -> Vec<Value> {
    json.as_array().unwrap().clone()
}

/// A field of each row.
fn column(rows: &[Value], key: &str) -> Vec<Value> {
    rows.iter().map(|row| row[key].clone()).collect()
}

/// Unpacks a stored layer with the real tool of its media type.
fn unpack(path: &std::path::Path, media_type: &str) -> Option<Vec<u8>> {
    let tool = match media_type.rsplit_once("tar") {
        Some((_, "+zstd")) => "zstd",
        Some((_, "+gzip" | ".gzip")) => "gzip",
        Some((_, "")) => return Some(std::fs::read(path).unwrap()),
        _ => panic!("{media_type}: an unknown layer type"),
    };
    let mut command = crate::support::peer::tool(tool)?;
    command.arg("-dc").stdin(File::open(path).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", crate::support::describe(&command, &output));
    Some(output.stdout)
}
