//! What holds for any images.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{Answer, Missing, Offer, job, offer, said};
use crate::catalog::resolve::{FULL, resolve};

fn offers() -> impl Strategy<Value = Vec<Offer<'static>>> {
    let words = [
        "gcc-15.2.0",
        "clang-20",
        "+x",
        "+t",
        "@t",
        "~asan",
        "~x86",
        "used=1",
        "used=2",
        "uses=3",
        "size=5",
        "project=capy",
    ];
    let one = (
        select(vec!["ubuntu:25.04", "?ubuntu:25.04", "debian:12", "-"]),
        select(vec!["amd64", "386", "arm64"]),
        subsequence(words.to_vec(), 0..=words.len()),
    );
    let named = |(at, (os, arch, words)): (usize, (&str, &str, Vec<&str>))| {
        offer(&format!("image-{at} {os} {arch} {}", words.join(" ")))
    };
    prop::collection::vec(one, 0..8).prop_map(move |all| all.into_iter().enumerate().map(named).collect())
}

fn jobs() -> impl Strategy<Value = String> {
    let words = ["gcc-15", "+x", "@t", "~asan", "project=capy", "strict"];
    let arch = select(vec!["amd64", "x86"]);
    (arch, subsequence(words.to_vec(), 0..=words.len()))
        .prop_map(|(arch, words)| format!("ubuntu:25.04 {arch} {}", words.join(" ")))
}

/// How good an answer is.
fn worth(answer: &Answer<'_>) -> (bool, u32, u32) {
    answer.candidates.first().map_or((false, 0, 0), |best| (!answer.needs_build, best.essential, best.extra))
}

proptest! {
    #[test]
    fn the_order_of_images_does_not_matter(asked in jobs(), (offers, shuffled) in offers().prop_flat_map(|offers| (Just(offers.clone()), Just(offers).prop_shuffle()))) {
        let (job, lacking) = job(&asked);
        let (one, other) = (resolve(&job, &offers, lacking, &mut |_| None), resolve(&job, &shuffled, lacking, &mut |_| None));
        prop_assert_eq!(one, other);
    }

    #[test]
    fn one_image_more_makes_no_answer_worse(asked in jobs(), mut offers in offers()) {
        let (job, lacking) = job(&asked);
        let all = worth(&resolve(&job, &offers, lacking, &mut |_| None));
        offers.pop();
        prop_assert!(worth(&resolve(&job, &offers, lacking, &mut |_| None)) <= all);
    }

    #[test]
    fn an_answer_is_an_image_or_says_what_is_missing(asked in jobs(), offers in offers()) {
        let (job, lacking) = job(&asked);
        let answer = resolve(&job, &offers, lacking, &mut |_| None);
        prop_assert_eq!(answer.candidate_count + answer.rejected_count, offers.len());
        let is_asked_for = job.compiler.is_some() || !job.suffixes.is_empty() || !job.packages.is_empty() || !job.tools.is_empty();
        match answer.candidates.first() {
            None => prop_assert!(answer.needs_build && answer.official_base.is_some()),
            Some(best) if answer.needs_build => prop_assert!(!best.missing.is_nothing() && is_asked_for),
            Some(best) => prop_assert!(best.essential == FULL && best.missing.compiler.is_none()),
        }
        prop_assert!(answer.missing != Missing::default() || !answer.needs_build || !is_asked_for, "{}", said(&answer));
    }
}
