//! A real Debian root: what `dpkg-query` says there is what larder lists.

use std::process::Command;

use super::{document, import, names};
use crate::support::{Sandbox, need, peer};

#[test]
fn a_debian_root_has_what_dpkg_says() {
    let root = need!(peer::forky_root(), "the forky root");
    let mut dpkg_query = need!(peer::tool("dpkg-query"), "dpkg-query");
    let sandbox = Sandbox::new();
    let mut tar = Command::new("tar");
    tar.args(["--create", "--file", "a.tar", "--one-file-system"]);
    // What is not read is left out for speed.
    tar.arg("--directory").arg(&root).args([
        "./var/lib/dpkg/status",
        "./usr/share/doc",
        "./usr/lib/os-release",
        "./etc/os-release",
    ]);
    crate::support::run(&mut sandbox.enclose(tar));
    import(&sandbox, "forky:1", &[std::fs::read(sandbox.path("a.tar")).unwrap()]);
    let (spdx, code, said) = document(&sandbox, &["forky:1"]);
    assert_eq!(code, 0, "{said}");
    let format = "${db:Status-Status} ${Package} ${Version}\n";
    let dpkg = dpkg_query
        .arg(format!("--admindir={}", root.join("var/lib/dpkg").display()))
        .args(["-W", "-f", format]);
    let said = crate::support::run(dpkg);
    let mut installed: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    installed.sort_unstable();
    assert!(installed.len() > 50);
    assert_eq!(names(&spdx), installed);
    let packages = spdx["packages"].as_array().unwrap();
    let unlicensed = packages.iter().filter(|package| package["licenseDeclared"] == "NOASSERTION").count();
    assert!(unlicensed * 2 < packages.len(), "{unlicensed} of {} say nothing of a licence", packages.len());
}
