//! `larder ensure`: the image for a job, made where there is none. Texts of Dockerfiles have tables of cases in `src/build/ensure/`.
//!
//! Bases are busybox with an `apt-get` of a few lines, which notes a package in dpkg's database and makes a program of its name.

mod apart;
mod base;
mod built;
mod debian;
mod fleet;
mod fleet_found;
mod fleet_grows;
mod given;
mod planned;
mod refused;
mod stale;
mod together;

use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::support::store::{entries, names};
use crate::support::tarball::{Tarball, config, docker_archive_with};
use crate::support::{Sandbox, describe, peer};

/// What is asked for where it does not matter.
const JOB: [&str; 10] = [
    "ensure",
    "--project",
    "p",
    "--os",
    "debian:12",
    "--compiler",
    "gcc-12",
    "--package",
    "cmake",
    "--arch=amd64",
];
const NAME: &str = "p-debian-12-gcc12:latest";

/// Whoever asks for `missing` gets what apt-get says, `ghost` is installed and is not there, `takes-X` takes X away, and `wait-PORT` comes when somebody who listens there hangs up.
const APT_GET: &str = r#"#!/bin/sh
case $1 in
update) cat /proc/sys/kernel/random/uuid > /var/lib/updated ;;
install)
  shift
  for package; do
    case $package in
    -*) continue ;;
    missing) echo "E: Unable to locate package $package" >&2; exit 100 ;;
    ghost) continue ;;
    takes-*)
      sed -i "s/^Package: ${package#takes-}$/Package: gone/" /var/lib/dpkg/status
      rm -f /usr/bin/${package#takes-} ;;
    wait-*) nc 127.0.0.1 ${package#wait-} ;;
    esac
    echo "installs $package"
    printf 'Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12.2.0-1\n\n' $package >> /var/lib/dpkg/status
    printf '#!/bin/sh\necho this is %s\n' $package > /usr/bin/$package
    chmod 755 /usr/bin/$package
  done ;;
esac
"#;
/// Who was there first stays until another one is set.
const ALTERNATIVES: &str = r#"#!/bin/sh
case $1 in
--install) [ -e "$2" ] || ln -s "$4" "$2" ;;
--set) ln -sf "$3" "/usr/bin/$2" ;;
esac
"#;
const APPLETS: [&str; 10] = ["sh", "cat", "printf", "chmod", "nc", "rm", "ln", "sed", "sleep", "true"];

/// Files of a system without any programs that run.
fn system(id: &str, version: &str, programs: &[&str]) -> Tarball {
    let mut root = Tarball::new();
    let version = if version.is_empty() { String::new() } else { format!("VERSION_ID=\"{version}\"\n") };
    root.file("etc/os-release", format!("ID={id}\n{version}").as_bytes());
    for program in programs {
        root.program(&format!("usr/bin/{program}"), b"#!");
    }
    root
}

/// Imports an image of one layer.
fn import(sandbox: &Sandbox, name: &str, root: Tarball, options: &[&str]) {
    import_with(sandbox, name, root, &Value::Null, options);
}

/// The same with a config of one's own.
fn import_with(sandbox: &Sandbox, name: &str, root: Tarball, own: &Value, options: &[&str]) {
    let layers = [root.bytes()];
    let mut config = config("linux", "amd64", &layers);
    if !own.is_null() {
        config["config"] = own.clone();
    }
    let archive = docker_archive_with(&config.to_string(), &[name], &layers);
    std::fs::write(sandbox.path("image.tar"), archive).unwrap();
    sandbox.ok(["import", "image.tar"].iter().chain(options));
}

/// A store with `debian:12` that can be built on; `None` where a program or a right is missing.
fn desk() -> Option<Sandbox> {
    peer::root()?;
    peer::tool("runc")?;
    let sandbox = Sandbox::new();
    debian(&sandbox, "first", &[])?;
    Some(sandbox)
}

/// Imports `debian:12`; `mark` tells versions of it apart.
fn debian(sandbox: &Sandbox, mark: &str, options: &[&str]) -> Option<()> {
    import(sandbox, "debian:12", debian_root(mark)?, options);
    Some(())
}

/// The files of `debian:12`.
pub(crate) fn debian_root(mark: &str) -> Option<Tarball> {
    let busybox = peer::tool("busybox")?;
    let mut root = system("debian", "12", &[]);
    root.program("bin/busybox", &std::fs::read(busybox.get_program()).unwrap())
        .program("usr/bin/apt-get", APT_GET.as_bytes())
        .program("usr/bin/update-alternatives", ALTERNATIVES.as_bytes())
        .file(
            "var/lib/dpkg/status",
            b"Package: base\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n",
        )
        .file("etc/mark", mark.as_bytes());
    for applet in APPLETS {
        root.link(&format!("bin/{applet}"), "busybox");
    }
    Some(root)
}

/// Writes the project's own Dockerfile for [`NAME`].
fn own(sandbox: &Sandbox, text: &str) {
    std::fs::create_dir_all(sandbox.path("images/p")).unwrap();
    std::fs::write(sandbox.path("images/p/Dockerfile.p-debian-12-gcc12"), text).unwrap();
}

/// stdout and stderr of an ensure that must succeed.
fn ensured(sandbox: &Sandbox, words: &[&str]) -> (String, String) {
    let mut command = sandbox.command(JOB.iter().chain(words));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", describe(&command, &output));
    (text(&output.stdout), text(&output.stderr))
}

/// Starts one.
fn begin(sandbox: &Sandbox, words: &[&str]) -> Child {
    let mut command: Command = sandbox.command(JOB.iter().chain(words));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What one said that was started.
fn end(child: Child) -> (Output, String, String) {
    let output = child.wait_with_output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// How many commands ran, by what was said on stderr.
fn ran(said: &str) -> usize {
    let is_run =
        |line: &&str| line.starts_with('[') && line.contains("] RUN ") && !line.ends_with("(cached)");
    said.lines().filter(is_run).count()
}

/// Nothing is there but the base, and nothing is wrong with the store.
fn assert_nothing_registered(sandbox: &Sandbox) {
    assert_eq!(names(&sandbox.store()), ["debian:12".to_owned()].into());
    assert_eq!(entries(&sandbox.store()).len(), 1);
    sandbox.ok(["verify"]);
}
