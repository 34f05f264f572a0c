//! Facts of whole Debian systems with compilers, against what their own programs print in a container.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Docker, Sandbox, feed, need, peer, run};

/// What is put upon a minimal system, and then what is taken away again, each as a layer.
const COMPILERS: &str = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
    g++ clang cmake make ninja-build file && apt-get clean";
const LESS: &str = "apt-get purge -y ninja-build && mv /usr/bin/ctest /usr/local/bin/ && \
    mv /usr/bin/file /usr/bin/file.real && ln -s file.real /usr/bin/file && ln -s nowhere /usr/bin/dangling && \
    chmod a-x /usr/bin/cpack && rm -r /var/lib/apt/lists /usr/share/doc";

/// All names on the PATH, by the path that `which` prints.
const PROGRAMS: &str = "ls -1A $(echo $PATH | tr : ' ') | grep -v : | sort -u | xargs which || true";
const PACKAGES: &str = "dpkg-query -W -f '${db:Status-Status} ${Package} ${Version} ${Architecture}\\n'";

#[test]
#[ignore = "long: makes and reads a Debian bookworm with compilers"]
fn bookworm_says_what_its_own_programs_say() {
    says_the_same("bookworm", &need!(peer::docker28(), "Docker 28"));
}

#[test]
#[ignore = "long: makes and reads a Debian trixie with compilers"]
fn trixie_says_what_its_own_programs_say() {
    says_the_same("trixie", &need!(peer::docker28(), "Docker 28"));
}

fn says_the_same(suite: &str, docker: &Docker) {
    let sandbox = Sandbox::new();
    // Takes what mmdebstrap made before, and its place from the caller's environment.
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    let tar = run(Command::new(peers).args(["debian", suite]));
    docker.ok(["import", tar.trim(), "debian:minimal"]);
    let file = format!("FROM debian:minimal\nRUN {COMPILERS}\nRUN {LESS}\n");
    let build = docker.command(["build", "--network=host", "--tag", "debian:compilers", "-"]);
    let built = feed(&mut { build }, file.as_bytes());
    assert!(built.status.success(), "{built:?}");
    let archive = sandbox.path("image.tar");
    docker.ok(["save".as_ref(), "-o".as_ref(), archive.as_os_str(), "debian:compilers".as_ref()]);
    let said = |script: &str| docker.run("debian:compilers", &["sh", "-c", script]);

    sandbox.ok(["import", "image.tar"]);
    let facts = sandbox.json(["inspect", "debian:compilers"])[0]["facts"].clone();
    assert_packages(&facts, &said(PACKAGES));
    assert_programs(&facts, &said(PROGRAMS));
    assert_compilers(&facts, &said);
    let os = &facts["os"];
    let os = [&os["id"], &os["version_id"], &os["pretty_name"]].map(|value| value.as_str().unwrap());
    assert_eq!(os.join("|"), said(". /etc/os-release; echo \"$ID|$VERSION_ID|$PRETTY_NAME\"").trim());
    assert_eq!(facts["architecture"], said("dpkg --print-architecture").trim());
    assert_eq!(facts["problems"], json!([]));

    // Without what was learned on the way in, it says the same.
    std::fs::remove_dir_all(sandbox.store().join(".larder/cache")).unwrap();
    assert_eq!(sandbox.json(["inspect", "debian:compilers"])[0]["facts"], facts);
}

fn assert_packages(facts: &Value, said: &str) {
    let installed: BTreeSet<_> =
        said.lines().filter_map(|line| line.strip_prefix("installed ")).map(str::to_owned).collect();
    let packages = facts["packages"].as_array().unwrap().iter();
    let read: BTreeSet<_> = packages
        .map(|package| {
            ["name", "version", "architecture"].map(|key| package[key].as_str().unwrap()).join(" ")
        })
        .collect();
    assert_same(&read, &installed);
    assert!(installed.len() > 150 && !said.contains("installed ninja-build "), "{said}");
}

fn assert_programs(facts: &Value, said: &str) {
    let runnable: BTreeSet<_> = said.lines().map(str::to_owned).collect();
    let programs = facts["programs"].as_array().unwrap().iter();
    let read: BTreeSet<_> = programs.map(|program| program["path"].as_str().unwrap().to_owned()).collect();
    assert_same(&read, &runnable);
    for (path, is_there) in [
        ("/usr/bin/cmake", true),
        ("/usr/local/bin/ctest", true),
        ("/usr/bin/ctest", false),
        ("/usr/bin/ninja", false),
        ("/usr/bin/cpack", false),
        ("/usr/bin/file", true),
    ] {
        assert_eq!(read.contains(path), is_there, "{path}");
    }
}

fn assert_compilers(facts: &Value, said: &dyn Fn(&str) -> String) {
    let mut own = BTreeSet::new();
    own.insert(format!("gcc {}", said("g++ -dumpfullversion").trim()));
    own.insert(format!("clang {}", said("clang -dumpversion").trim()));
    let compilers = facts["compilers"].as_array().unwrap().iter();
    let read: BTreeSet<_> = compilers
        .map(|compiler| ["family", "version"].map(|key| compiler[key].as_str().unwrap()).join(" "))
        .collect();
    assert_same(&read, &own);
}

/// Says what only one of the two has.
fn assert_same(read: &BTreeSet<String>, said: &BTreeSet<String>) {
    let only = |one: &BTreeSet<String>, other| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!((only(read, said), only(said, read)), (vec![], vec![]), "only larder; only the programs");
    assert!(!read.is_empty());
}
