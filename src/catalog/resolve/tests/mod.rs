//! The rules as a table of cases, and what holds for any images.

mod property;
mod table;

use std::collections::BTreeSet;

use larder_store::digest::Digest;
use larder_store::facts::{Brief, Head};

use super::super::declared::Declared;
use super::super::requirements::{Asked, Requirements};
use super::*;

fn parsed<T: std::str::FromStr<Err = String>>(text: &str) -> T {
    text.parse().unwrap_or_else(|why| panic!("{why}"))
}

/// `NAMES OS ARCH WORD…`: an os as it was read (`-`: the image has none), or behind a `?` as it is declared of one that cannot be
/// read. Words: a compiler, `+package`, `@tool`, `~suffix`, and `used=`, `uses=`, `size=`, `project=` (of all its names),
/// `os=` (declared of one that was read).
fn offer(text: &str) -> Offer<'static> {
    let mut words = text.split_whitespace();
    let mut next = || words.next().unwrap_or_else(|| panic!("{text}: too few words"));
    let (names, os, arch) = (next(), next(), next());
    let mut declared = Declared::default();
    let read = match (os, os.strip_prefix('?')) {
        (_, Some(said)) => {
            declared.os = said.parse().ok();
            None
        }
        _ => {
            let (name, version) =
                os.split_once(':').map_or((os, None), |(name, version)| (name, Some(version)));
            let os = (name != "-").then(|| (name.to_owned(), version.map(str::to_owned)));
            let head = Head { os, ..Head::default() };
            Some(Brief { head: head.into(), packages: Vec::new(), programs: Vec::new() })
        }
    };
    let mut offer = Offer::new(Digest::of(text.as_bytes()), arch.parse().ok(), read, 1000);
    for word in words {
        let number = |value: &str| value.parse::<i64>().unwrap_or_else(|why| panic!("{word}: {why}"));
        match word.split_once('=').unwrap_or((&word[..1], &word[1..])) {
            ("+", package) => declared.packages.push(parsed(package)),
            ("@", tool) => declared.tools.push(parsed(tool)),
            ("~", suffix) => drop(declared.suffixes.insert(parsed(suffix))),
            ("used", time) => offer.last_used = Some(number(time)),
            ("uses", count) => offer.use_count = number(count).unsigned_abs(),
            ("size", bytes) => offer.size = number(bytes).unsigned_abs(),
            ("os", os) => declared.os = Some(parsed(os)),
            ("project", project) => declared.project = Some(parsed(project)),
            _ => declared.compilers.push(parsed(word)),
        }
    }
    names.split(',').for_each(|name| offer.declare(name.to_owned(), declared.clone()));
    offer
}

/// `OS ARCH WORD…` with the words of [`offer`], and `strict`.
fn job(text: &str) -> (Requirements, Lacking) {
    let mut asked = Asked::default();
    let mut lacking = Lacking::Used;
    for (at, word) in text.split_whitespace().enumerate() {
        match (at, word.split_at(1)) {
            (0, _) => asked.os = Some(parsed(word)),
            (1, _) => asked.arch = Some(parsed(word)),
            (_, ("+", package)) => drop(asked.packages.insert(parsed(package))),
            (_, ("@", tool)) => drop(asked.tools.insert(parsed(tool))),
            (_, ("~", suffix)) => drop(asked.suffixes.insert(parsed(suffix))),
            _ if word == "strict" => lacking = Lacking::Built,
            _ => match word.strip_prefix("project=") {
                Some(project) => asked.project = Some(parsed(project)),
                None => asked.compiler = Some(parsed(word)),
            },
        }
    }
    (asked.whole(parsed("amd64")).unwrap_or_else(|why| panic!("{text}: {why}")), lacking)
}

/// `use NAME MARKS`, `base NAME MARKS` or `none OFFICIAL`, with what is missing behind it.
fn said(answer: &Answer<'_>) -> String {
    let best = answer.candidates.first();
    let what = match best {
        Some(best) => {
            let verb = if answer.needs_build { "base" } else { "use" };
            format!("{verb} {} {}+{}", best.name, best.essential, best.extra)
        }
        None => format!("none {}", answer.official_base.as_deref().unwrap_or("-")),
    };
    let Missing { compiler, suffixes, packages, tools } = &answer.missing;
    let compiler = compiler.iter().map(ToString::to_string);
    let missing = compiler.chain(suffixes.iter().map(|suffix| format!("~{suffix}")));
    let missing = missing.chain(packages.iter().map(|package| format!("+{package}")));
    let missing: Vec<_> = missing.chain(tools.iter().map(|tool| format!("@{tool}"))).collect();
    if missing.is_empty() { what } else { format!("{what} lacks {}", missing.join(" ")) }
}

fn answer(asked: &str, offers: &[&str]) -> String {
    let offers: Vec<_> = offers.iter().map(|text| offer(text)).collect();
    let (job, lacking) = job(asked);
    said(&resolve(&job, &offers, lacking, &mut |_| None))
}

#[test]
fn what_is_no_candidate_says_why() {
    let offers = [
        "other debian:12 amd64 project=capy",
        "none - amd64 project=capy",
        "rolling debian amd64 project=capy",
        "told ?debian:12 amd64 project=capy",
        "dark ? amd64 project=capy",
        "arm ubuntu:25.04 arm64 project=capy",
        "small ubuntu:25.04 amd64 ~x86 project=capy",
        "strange ubuntu:25.04 amd64",
    ]
    .map(offer);
    let (job, lacking) = job("ubuntu:25.04 amd64 project=capy");
    let answer = resolve(&job, &offers, lacking, &mut |_| None);
    let whys: BTreeSet<_> = answer
        .rejected
        .iter()
        .map(|(offer, why)| format!("{} {why}", offer.name(None).unwrap_or_default()))
        .collect();
    let expected = [
        "other is debian:12",
        "none has no os-release",
        "rolling is debian without a version",
        "told cannot be read, and declares debian:12",
        "dark cannot be read, and declares no os",
        "arm its architecture is arm64",
        "small its architecture is amd64, declared to be for x86",
        "strange is not declared to be of the project",
    ];
    assert_eq!(whys, expected.map(str::to_owned).into());
}

/// The best one that is whole is chosen, and nobody looks at those behind it.
#[test]
fn what_is_damaged_is_no_answer() {
    let offers = ["a", "b", "c", "d"].map(|name| offer(&format!("{name} ubuntu:25.04 amd64")));
    let (job, lacking) = job("ubuntu:25.04 amd64");
    let mut asked = Vec::new();
    let answer = resolve(&job, &offers, lacking, &mut |offer| {
        let name = offer.name(None).unwrap_or_default().to_owned();
        let is_damaged = *name < *"c";
        asked.push(name);
        is_damaged.then(|| "is gone".to_owned())
    });
    assert_eq!((asked.join(" "), said(&answer)), ("a b c".to_owned(), "use c 100+0".to_owned()));
    assert_eq!((answer.candidate_count, answer.rejected_count), (2, 2));
    assert!(answer.rejected.iter().all(|(_, why)| why.to_string() == "is gone"));
    let none = resolve(&job, &offers, lacking, &mut |_| Some(String::new()));
    assert_eq!((said(&none), none.candidate_count), ("none ubuntu:25.04".to_owned(), 0));
}

#[test]
fn an_answer_has_no_more_than_is_shown() {
    let offers: Vec<_> = (0..300)
        .map(|at| offer(&format!("n{at} {} amd64", if at < 150 { "ubuntu:25.04" } else { "debian:12" })))
        .collect();
    let (job, lacking) = job("ubuntu:25.04 amd64");
    let answer = resolve(&job, &offers, lacking, &mut |_| None);
    assert_eq!((answer.candidate_count, answer.rejected_count), (150, 150));
    assert_eq!((answer.candidates.capacity(), answer.rejected.capacity()), (MAX_CANDIDATES, MAX_REJECTED));
}
