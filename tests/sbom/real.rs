//! Whole Debian systems: what `dpkg-query`, `pip list` and `npm ls` say in them is what larder lists, each with name, version and architecture.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{Listed, assert_same, document, import, listed, schema};
use crate::support::{Sandbox, need, peer, run};

#[test]
#[ignore = "long: makes and reads a Debian bookworm of 500 packages"]
fn bookworm_has_what_its_own_programs_say() {
    need!(peer::tool("mmdebstrap"), "mmdebstrap");
    need!(schema::python(), "python3-jsonschema");
    has_what_its_own_programs_say("bookworm");
}

#[test]
#[ignore = "long: makes and reads a Debian trixie of 500 packages"]
fn trixie_has_what_its_own_programs_say() {
    need!(peer::tool("mmdebstrap"), "mmdebstrap");
    need!(schema::python(), "python3-jsonschema");
    has_what_its_own_programs_say("trixie");
}

fn has_what_its_own_programs_say(suite: &str) {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    let made = PathBuf::from(run(Command::new(peers).args(["inventory", suite])).trim());
    let said = |name: &str| std::fs::read_to_string(made.join(name)).unwrap();
    let sandbox = Sandbox::new();
    import(&sandbox, "debian:1", &[std::fs::read(made.join("layer.tar")).unwrap()]);
    let (spdx, code, errors) = document(&sandbox, &["debian:1"]);
    assert_eq!(code, 0, "{errors}");
    let all = listed(&spdx);
    let set = |is_asked: &dyn Fn(&Listed) -> bool| -> BTreeSet<String> {
        all.iter()
            .filter(|found| is_asked(found))
            .map(|found| format!("{} {}", found.name, found.version))
            .collect()
    };

    let dpkg = said("dpkg");
    let installed: BTreeSet<_> =
        dpkg.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect();
    assert!(installed.len() >= 400, "{}", installed.len());
    assert!(
        installed.iter().any(|line| line.starts_with("libc6 ") && line.ends_with(" i386")),
        "a foreign one"
    );
    assert!(
        dpkg.lines().any(|line| line.starts_with("config-files logrotate ")),
        "one of which only that is left"
    );
    let of_dpkg = all.iter().filter(|found| found.kind == "deb").map(|found| {
        let architecture = found.architecture.as_deref().unwrap_or_default();
        format!("{} {} {architecture}", found.name, found.version)
    });
    assert_same(&of_dpkg.collect(), &installed);

    let is_in_venv = |found: &Listed| found.path.starts_with("/opt/venv/");
    let pip = named(&said("pip.json"));
    assert!(pip.iter().any(|line| line.starts_with("Editable-Thing ")), "{pip:?}");
    assert_same(&set(&|found| found.kind == "pypi" && !is_in_venv(found)), &pip);
    let venv = named(&said("venv.json"));
    assert_same(&set(&|found| found.kind == "pypi" && is_in_venv(found)), &venv);

    let mut npm = BTreeSet::new();
    dependencies(&serde_json::from_str(&said("npm.json")).unwrap(), &mut npm);
    assert!(npm.contains("@scope/linked 7.8.9") && npm.contains("deep 0.0.1"), "{npm:?}");
    // Debian's own are elsewhere.
    let is_global =
        |found: &Listed| ["/usr/local/lib/", "/opt/src/"].iter().any(|dir| found.path.starts_with(dir));
    assert_same(&set(&|found| found.kind == "npm" && is_global(found)), &npm);

    licences_are_sane(&spdx);
    schema::validate(&sandbox, "debian:1");
    let first = sandbox.ok(["sbom", "debian:1"]);
    std::fs::remove_dir_all(sandbox.store().join(".larder/cache")).unwrap();
    assert!(
        sandbox.ok(["sbom", "debian:1"]) == first,
        "the same bytes, without what was learned on the way in"
    );
}

/// `name version` of pip's list.
fn named(json: &str) -> BTreeSet<String> {
    let list: Vec<Value> = serde_json::from_str(json).unwrap();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    list.iter().map(|row| format!("{} {}", text(row, "name"), text(row, "version"))).collect()
}

fn dependencies(tree: &Value, all: &mut BTreeSet<String>) {
    for (name, package) in tree["dependencies"].as_object().into_iter().flatten() {
        all.insert(format!("{name} {}", package["version"].as_str().unwrap()));
        dependencies(package, all);
    }
}

/// Each is an expression; what is none is short and told of by a name of its own. Most packages say something.
fn licences_are_sane(spdx: &Value) {
    let packages = spdx["packages"].as_array().unwrap();
    let said: Vec<_> = packages.iter().map(|package| package["licenseDeclared"].as_str().unwrap()).collect();
    for words in said.iter().filter(|words| **words != "NOASSERTION") {
        let mode = spdx::ParseMode { allow_deprecated: true, ..spdx::ParseMode::STRICT };
        let read = spdx::Expression::parse_mode(words, mode);
        assert!(read.is_ok(), "{words}: {}", read.unwrap_err());
    }
    let silent = said.iter().filter(|words| **words == "NOASSERTION").count();
    assert!(silent * 5 < said.len(), "{silent} of {} say nothing", said.len());
    for extracted in spdx["hasExtractedLicensingInfos"].as_array().unwrap() {
        let words = extracted["extractedText"].as_str().unwrap();
        assert!(words.len() < 120, "no name of a licence: {words}");
    }
}
