//! Which versions are older than another one: what larder answers, beside the programs whose rules those are.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::tarball::{Oci, Tarball, noise};
use crate::support::{Sandbox, need, peer, run};

/// Versions of one kind, put together of such parts by chance, and the same chance each time.
fn versions(seed: u64, heads: &[&str], parts: &[&str], count: usize) -> Vec<String> {
    let dice = noise(seed, count * 8);
    let pick = |words: &[&str], dice: u8| words[usize::from(dice) % words.len()].to_owned();
    let made = dice.chunks_exact(8).map(|dice| {
        let length = 1 + usize::from(dice[0]) % 5;
        (0..length).fold(pick(heads, dice[1]), |version, at| version + &pick(parts, dice[2 + at]))
    });
    made.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Of each of `asked` the places of those of `all` that larder says are older; `url` makes a package's URL of its name and version.
fn older(
    all: &[String],
    asked: &[String],
    kind: &str,
    url: impl Fn(&str, &str) -> String,
) -> Vec<BTreeSet<usize>> {
    let (sandbox, mut oci) = (Sandbox::new(), Oci::image("app:1", &[Tarball::new().bytes()]));
    let packages = all.iter().enumerate().map(|(at, version)| {
        json!({"externalRefs": [{"referenceType": "purl", "referenceLocator": url(&format!("p{at}"), version)}]})
    });
    let document = json!({"spdxVersion": "SPDX-2.3", "packages": packages.collect::<Vec<_>>()});
    oci.refer("application/spdx+json", document.to_string().as_bytes());
    std::fs::write(sandbox.path("image.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "image.tar"]);
    let answer = |version: &String| {
        let rows = sandbox.json(["images", "--with-package", &format!("{kind}:p*<{version}")]);
        let found = rows[0]["with_packages"].as_array().cloned().unwrap_or_default();
        assert!(found.iter().all(|one| one["comparable"] == true), "{version}: {found:?}");
        found.iter().map(|one| one["name"].as_str().unwrap()[1..].parse().unwrap()).collect()
    };
    asked.iter().map(answer).collect()
}

/// The same by a program that reads pairs, one a line, and says `1` where the first is older, else `0`.
fn said(all: &[String], asked: &[String], peer: &mut Command) -> Vec<BTreeSet<usize>> {
    let pairs: String = asked.iter().flat_map(|b| all.iter().map(move |a| format!("{a} {b}\n"))).collect();
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("pairs"), pairs).unwrap();
    let output = run(peer.stdin(Stdio::from(std::fs::File::open(sandbox.path("pairs")).unwrap())));
    let answers: Vec<&str> = output.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(answers.len(), all.len() * asked.len());
    let older = |answers: &[&str]| (0..all.len()).filter(|at| answers[*at] == "1").collect();
    answers.chunks(all.len()).map(older).collect()
}

fn compare(all: &[String], asked: &[String], larder: &[BTreeSet<usize>], peer: &[BTreeSet<usize>]) {
    for ((asked, larder), peer) in asked.iter().zip(larder).zip(peer) {
        let differing: Vec<_> = larder.symmetric_difference(peer).map(|at| &all[*at]).collect();
        assert!(differing.is_empty(), "beside {asked} larder and its own program differ on {differing:?}");
    }
    let count: usize = peer.iter().map(BTreeSet::len).sum();
    assert!(count > all.len() && count < all.len() * (asked.len() - 1), "the versions are no test: {count}");
}

#[test]
fn dpkg_finds_the_same_ones_older() {
    // What is asked has an epoch and a revision: with less of them larder asks for less.
    let parts = ["0", "1", "2", "10", "01", ".", ".0", "~", "+", "a", "rc", "~rc1", "+dfsg", ".1", "-"];
    let of = |version: String, at: usize| {
        format!("{}:{version}-{}", at % 5 / 4, ["1", "0", "1~", "1+b1", "0.1"][at % 5])
    };
    let all: Vec<_> = versions(1, &["0", "1", "2", "1."], &parts, 300)
        .into_iter()
        .enumerate()
        .map(|(at, v)| of(v, at))
        .collect();
    let asked: Vec<_> = all.iter().step_by(21).cloned().collect();
    let larder = older(&all, &asked, "deb", |name, version| {
        format!("pkg:deb/debian/{name}@{}", version.replace('+', "%2B"))
    });
    let mut sh = need!(peer::tool("dpkg").and_then(|_| peer::tool("sh")), "dpkg");
    sh.args(["-c", "while read -r a b; do dpkg --compare-versions \"$a\" lt-nl \"$b\" 2>/dev/null && echo 1 || echo 0; done"]);
    compare(&all, &asked, &larder, &said(&all, &asked, &mut sh));
}

#[test]
fn rpm_finds_the_same_ones_older() {
    let parts =
        ["0", "1", "2", "10", "01", ".", ".0", "~", "^", "a", "rc", "~rc1", "^git", "_", "+", ".1", "Z"];
    let all = versions(2, &["0", "1", "2", "1.", "a"], &parts, 400);
    let asked: Vec<_> = all.iter().step_by(13).cloned().collect();
    let larder = older(&all, &asked, "rpm", |name, version| {
        format!("pkg:rpm/fedora/{name}@{}", version.replace('^', "%5E").replace('+', "%2B"))
    });
    let mut rpm = need!(peer::tool("rpm"), "rpm");
    let program = "for line in io.lines() do local a, b = line:match('(%S+) (%S+)'); print(rpm.vercmp(a, b) < 0 and '1\\n' or '0\\n') end";
    rpm.args(["--eval", &format!("%{{lua: {program}}}")]);
    compare(&all, &asked, &larder, &said(&all, &asked, &mut rpm));
}

#[test]
fn packaging_of_python_finds_the_same_ones_older() {
    let parts = [".0", ".1", ".10", ".2"];
    let ends = [
        "",
        "a1",
        "b2",
        "rc1",
        ".dev3",
        ".post1",
        "a1.dev2",
        ".post1.dev4",
        "rc2.post3",
        "+local.1",
        "+5",
        "-1",
    ];
    let of =
        |version: String, at: usize| format!("{}{version}{}", ["", "1!"][at % 9 / 8], ends[at % ends.len()]);
    let all: Vec<_> = versions(3, &["0", "1", "2", "10"], &parts, 300)
        .into_iter()
        .enumerate()
        .map(|(at, v)| of(v, at))
        .collect();
    let asked: Vec<_> = all.iter().step_by(13).cloned().collect();
    let program = "import sys\nfrom packaging.version import Version\nfor line in sys.stdin:\n a, b = line.split()\n print(int(Version(a) < Version(b)))";
    let mut python = need!(peer::tool("python3"), "python3-packaging");
    let has_it = peer::tool("python3").unwrap().args(["-c", "import packaging"]).status().unwrap().success();
    need!(has_it.then_some(()), "python3-packaging");
    python.args(["-c", program]);
    let larder = older(&all, &asked, "pypi", |name, version| {
        format!("pkg:pypi/{name}@{}", version.replace('+', "%2B").replace('!', "%21"))
    });
    compare(&all, &asked, &larder, &said(&all, &asked, &mut python));
}
