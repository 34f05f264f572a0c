//! A Debian with its own apt-get, from the machine's mirror, up to a program that is compiled in a container.

use std::path::Path;

use super::*;
use crate::support::store::assert_sound;
use crate::support::{need, run};

#[test]
#[ignore = "long: installs a compiler on a Debian bookworm"]
fn a_compiler_comes_from_the_mirror_and_compiles_in_a_container() {
    let docker = need!(peer::docker20(), "Docker 20.10");
    need!(peer::root(), "root");
    need!(peer::tool("runc"), "runc");
    let mut sandbox = Sandbox::new();
    sandbox.use_docker(&docker);
    // With the sources that mmdebstrap leaves.
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    let tar = run(Command::new(peers).args(["debian", "bookworm"]));
    docker.ok(["import", tar.trim(), "debian:12"]);
    let archive = sandbox.path("base.tar");
    docker.ok(["save".as_ref(), "-o".as_ref(), archive.as_os_str(), "debian:12".as_ref()]);
    sandbox.ok(["import", "base.tar"]);
    let children: Vec<_> = (0..4).map(|_| begin(&sandbox, &["--to-docker"])).collect();
    let mut builds = 0;
    for child in children {
        let (output, out, said) = end(child);
        assert!(output.status.success() && out == format!("{NAME}\n"), "{out} {said}");
        builds += ran(&said);
    }
    assert_eq!(builds, 1);
    let program = "#include <iostream>\nint main() { std::cout << __GNUC__ << '\\n'; }";
    let script = format!(
        "cat > a.cc <<'E'\n{program}\nE\n$CXX a.cc && ./a.out && c++ a.cc && cmake --version > /dev/null && ls /var/lib/apt/lists"
    );
    assert_eq!(docker.run(NAME, &["sh", "-c", &script]), "12\n");
    let (out, said) = ensured(&sandbox, &["--to-docker"]);
    assert!(out == format!("{NAME}\n") && ran(&said) == 0, "{said}");
    assert_sound(&sandbox.store());
    // act asks for the same.
    assert_eq!(sandbox.ok(["resolve", "--strict-packages"].iter().chain(&JOB[1..])), format!("{NAME}\n"));
}
