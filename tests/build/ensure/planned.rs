//! `--dry-run`: what would be built, for the systems that larder knows how to install on.

use serde_json::json;

use super::*;

const DRY: [&str; 4] = ["ensure", "--arch=amd64", "--dry-run", "--project=p"];

fn dry(sandbox: &Sandbox, words: &[&str]) -> String {
    sandbox.ok(DRY.iter().chain(words))
}

#[test]
fn the_text_and_the_name_are_printed_and_nothing_is_done() {
    let sandbox = Sandbox::in_memory();
    import(&sandbox, "debian:12", system("debian", "12", &["apt-get", "git"]), &[]);
    let before = entries(&sandbox.store());
    let words = ["--os=debian:12", "--compiler=gcc-12", "--package=libssl-dev", "--tool=cmake,git"];
    assert_eq!(
        dry(&sandbox, &words),
        "FROM debian:12
RUN export DEBIAN_FRONTEND=noninteractive && \\
    apt-get update && \\
    apt-get install -y --no-install-recommends \\
        cmake \\
        g++-12 \\
        gcc-12 \\
        libssl-dev && \\
    update-alternatives --install /usr/bin/gcc gcc /usr/bin/gcc-12 100 \\
        --slave /usr/bin/g++ g++ /usr/bin/g++-12 \\
        --slave /usr/bin/gcov gcov /usr/bin/gcov-12 && \\
    update-alternatives --set gcc /usr/bin/gcc-12 && \\
    update-alternatives --install /usr/bin/cc cc /usr/bin/gcc-12 100 && \\
    update-alternatives --set cc /usr/bin/gcc-12 && \\
    update-alternatives --install /usr/bin/c++ c++ /usr/bin/g++-12 100 && \\
    update-alternatives --set c++ /usr/bin/g++-12 && \\
    apt-get clean && \\
    rm -rf /var/lib/apt/lists/*
ENV CC=gcc-12 CXX=g++-12
LABEL org.opencontainers.image.title=p-debian-12-gcc12
# p-debian-12-gcc12:latest
"
    );
    let planned = sandbox.json(DRY.iter().chain(&words));
    assert_eq!(
        (&planned["name"], &planned["built"], &planned["base"], &planned["definition"]),
        (&json!("p-debian-12-gcc12:latest"), &json!(false), &json!("debian:12"), &json!(null))
    );
    assert!(planned["dockerfile"].as_str().unwrap().starts_with("FROM debian:12\nRUN "));
    assert!(planned["why"].as_str().unwrap().contains("debian:12"), "{planned}");
    assert_eq!(entries(&sandbox.store()), before);
    // What is there is named, as without it.
    import(&sandbox, "p-debian-12:v3", system("debian", "12", &["cmake"]), &["--project", "p"]);
    assert_eq!(dry(&sandbox, &["--os=debian:12", "--tool=cmake"]), "p-debian-12:v3\n");
}

#[test]
fn each_system_has_its_own_manager() {
    let sandbox = Sandbox::in_memory();
    import(&sandbox, "alpine:3.21", system("alpine", "3.21.3", &["apk"]), &[]);
    import(&sandbox, "fedora:42", system("fedora", "42", &["dnf", "rpm"]), &[]);
    import(&sandbox, "archlinux", system("arch", "", &["pacman"]), &[]);
    import(&sandbox, "rockylinux/rockylinux:9", system("rocky", "9.6", &["microdnf"]), &[]);
    for (os, compiler, from, installs, env, name) in [
        (
            "alpine:3.21",
            "gcc-14",
            "alpine:3.21",
            "apk add --no-cache",
            "CC=gcc CXX=g++",
            "p-alpine-3.21-gcc14",
        ),
        (
            "alpine:3.21",
            "clang-18",
            "alpine:3.21",
            "        clang18 \\",
            "CC=clang-18 CXX=clang++-18",
            "p-alpine-3.21-clang18",
        ),
        ("fedora:42", "gcc-15", "fedora:42", "dnf install -y", "CC=gcc CXX=g++", "p-fedora-42-gcc15"),
        ("fedora:42", "gcc-15", "fedora:42", "        gcc-c++", "CC=gcc CXX=g++", "p-fedora-42-gcc15"),
        (
            "rocky:9",
            "clang-19",
            "rockylinux/rockylinux:9",
            "microdnf install -y",
            "CC=clang CXX=clang++",
            "p-rocky-9-clang19",
        ),
        (
            "arch:rolling",
            "gcc-15",
            "archlinux:latest",
            "pacman -Syu",
            "CC=gcc CXX=g++",
            "p-arch-rolling-gcc15",
        ),
    ] {
        let said = dry(&sandbox, &["--os", os, "--compiler", compiler]);
        assert!(said.starts_with(&format!("FROM {from}\nRUN ")), "{said}");
        assert!(said.contains(installs) && said.contains(&format!("\nENV {env}\n")), "{os}: {said}");
        assert!(said.ends_with(&format!("\n# {name}:latest\n")), "{said}");
    }
    // rpm itself says what is there: its database is none that larder reads.
    let said = dry(&sandbox, &["--os=fedora:42", "--package=openssl-devel"]);
    assert!(said.contains("rpm -q --whatprovides \\\n        openssl-devel && "), "{said}");
}

#[test]
fn the_best_base_gets_what_it_lacks_as_root_and_its_user_stays() {
    let sandbox = Sandbox::in_memory();
    import(&sandbox, "debian:12", system("debian", "12", &["apt-get"]), &[]);
    let builder = json!({"User": "ci:ci"});
    let root = system("debian", "12", &["apt-get", "gcc-12", "cmake"]);
    import_with(&sandbox, "p-debian-12-gcc12", root, &builder, &["--project", "p"]);
    // Of another project: no base of this one's.
    let root = system("debian", "12", &["apt-get", "gcc-12", "cmake", "ninja"]);
    import(&sandbox, "q-debian-12-gcc12", root, &["--project", "q"]);
    // Nor is what is special in a way that nobody asked for.
    let root = system("debian", "12", &["apt-get", "gcc-12", "cmake", "ninja"]);
    import(&sandbox, "p-debian-12-gcc12-tsan:1", root, &["--project", "p"]);
    let words = ["--os=debian:12", "--compiler=gcc-12", "--tool=cmake,ninja", "--variant=asan"];
    let said = dry(&sandbox, &words);
    assert!(said.starts_with("FROM p-debian-12-gcc12:latest\nUSER root\nRUN "), "{said}");
    assert!(said.contains("        ninja-build && \\\n    apt-get clean"), "{said}");
    assert!(
        said.contains("\nUSER ci:ci\nLABEL ") && said.ends_with("# p-debian-12-gcc12-asan:latest\n"),
        "{said}"
    );
}

#[test]
fn a_projects_own_dockerfile_goes_before_a_generated_one() {
    let sandbox = Sandbox::in_memory();
    let text = "# syntax=docker/dockerfile:1\nFROM scratch\nCOPY . /\n";
    own(&sandbox, text);
    let words = ["--os=debian:12", "--compiler=gcc-12"];
    // Even where the store has no base at all.
    assert_eq!(dry(&sandbox, &words), format!("{text}# p-debian-12-gcc12:latest\n"));
    let planned = sandbox.json(DRY.iter().chain(&words));
    assert_eq!(planned["definition"], "images/p/Dockerfile.p-debian-12-gcc12");
    std::fs::rename(sandbox.path("images"), sandbox.path("defs")).unwrap();
    assert_eq!(
        dry(&sandbox, &[&words[..], &["--definitions=defs"]].concat()),
        format!("{text}# p-debian-12-gcc12:latest\n")
    );
}

#[test]
fn words_that_are_no_names_of_packages_go_nowhere() {
    let sandbox = Sandbox::in_memory();
    import(&sandbox, "debian:12", system("debian", "12", &["apt-get"]), &[]);
    for package in
        ["--package=-oDpkg::Pre-Invoke=x", "--package=./x.deb", "--package=cmake-", "--package=x=1.0"]
    {
        let said = sandbox.fail(DRY.iter().chain(&["--os=debian:12", package]), 2);
        assert!(said.contains("is more than the name of a package"), "{package}: {said}");
    }
    // The command line refuses the rest.
    for package in ["--package=$(id)", "--package=a;b", "--package='a", "--package=a b"] {
        sandbox.fail(DRY.iter().chain(&["--os=debian:12", package]), 2);
    }
}
