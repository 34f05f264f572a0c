//! Where larder is to be otherwise than the builder it is compared with, and why.
//!
//! `docs/build.md` says the same to users, word for word. What is listed here and does not happen any more fails the test.

use std::collections::BTreeMap;

use super::compare::Difference;
use crate::support::fixture;

/// With whom larder is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Its classic builder.
    Docker20,
    /// That of Docker 28.
    BuildKit,
    Buildah,
    /// larder itself where it can mount overlays.
    Overlays,
}

/// Differences with one reason.
struct Accepted {
    why: &'static str,
    peers: &'static [Peer],
    /// Recipe, place, aspect; a `*` at the end stands for anything.
    all: &'static [(&'static str, &'static str, &'static str)],
}

const ACCEPTED: &[Accepted] = &[
    Accepted {
        why: "A step that changed nothing has no layer; Docker 20.10 makes one of a file that was written anew as it was.",
        peers: &[Peer::Docker20],
        all: &[
            ("copy-over", "config.empty_layers.6", "value"),
            ("run-nothing", "config.empty_layers.9", "value"),
        ],
    },
    Accepted {
        why: "Docker 20.10 makes the directory of a `VOLUME` with the next `RUN`; here, as in BuildKit, it is made where the image is run.",
        peers: &[Peer::Docker20],
        all: &[("inherited", "/one-volume", "file"), ("volumes", "/fresh*", "file")],
    },
    Accepted {
        why: "What a `RUN` writes in a `VOLUME` of an earlier line is kept, as in BuildKit and buildah; Docker 20.10 throws it away.",
        peers: &[Peer::Docker20],
        all: &[("volume-writes", "/data/before", "file"), ("volume-writes", "/data/during", "file")],
    },
    Accepted {
        why: "Mode and owner of `/` itself belong to the layer; the others lose them.",
        peers: &[Peer::Docker20],
        all: &[("run-modes", "/", "mode"), ("run-modes", "config.empty_layers.8", "value")],
    },
    Accepted {
        why: "`COPY --from` of a file keeps its capability, as in BuildKit; Docker 20.10 does so in directories alone.",
        peers: &[Peer::Docker20],
        all: &[
            ("ci-go", "/app", "xattrs"),
            ("copy-from-stage", "/followed", "xattrs"),
            ("copy-from-stage", "/globbed/*", "xattrs"),
        ],
    },
    Accepted {
        why: "All extended attributes of files are kept, as in buildah; Docker keeps `security.capability` alone.",
        peers: &[Peer::Docker20],
        all: &[("run-user-attributes", "/dir", "xattrs"), ("run-user-attributes", "/noted", "xattrs")],
    },
    Accepted {
        why: "`/dev`, `/proc` and `/sys` do not get into a layer because a command has run, as in Docker 20.10; those of BuildKit and buildah do.",
        peers: &[Peer::BuildKit, Peer::Buildah],
        all: &[("*", "/dev", "file"), ("*", "/proc", "file"), ("*", "/sys", "file")],
    },
    Accepted {
        why: "`ArgsEscaped`, which is for Windows, is not written; BuildKit does.",
        peers: &[Peer::BuildKit],
        all: &[("ci-modern", "config.config.ArgsEscaped", "value")],
    },
    Accepted {
        why: "`WORKDIR` has a layer where the directory was not there, as in Docker 20.10; with BuildKit always, with buildah never.",
        peers: &[Peer::BuildKit],
        all: &[("ci-modern", "config.empty_layers.11", "value")],
    },
    Accepted {
        why: "`WORKDIR` has a layer where the directory was not there, as in Docker 20.10; with BuildKit always, with buildah never.",
        peers: &[Peer::Buildah],
        all: &[("modifiers", "config.empty_layers.6", "value")],
    },
    Accepted {
        why: "`--chmod` is that of a directory too, and of those made for it, as in BuildKit; buildah leaves them at 0755.",
        peers: &[Peer::Buildah],
        all: &[
            ("chmod", "/from-stage", "mode"),
            ("chmod", "/home/build/dir", "mode"),
            ("ci-modern", "/opt/tools/conf", "mode"),
        ],
    },
    Accepted {
        why: "In a heredoc of `COPY` a `\\$` is a `$`, and an empty one is an empty file, as in BuildKit; buildah keeps the backslash, and makes an empty line.",
        peers: &[Peer::Buildah],
        all: &[
            ("ci-modern", "/opt/tools/conf/tools.conf", "content"),
            ("heredoc-copy", "/usr/local/bin/entry", "content"),
            ("heredoc-copy", "/empty", "content"),
        ],
    },
    Accepted {
        why: "buildah labels the image with its version.",
        peers: &[Peer::Buildah],
        all: &[("*", "config.config.Labels.io.buildah.version", "value")],
    },
    Accepted {
        why: "Hard links of the layers below stay links in a copy; overlayfs parts them when one is changed.",
        peers: &[Peer::Overlays],
        all: &[("run-links", "/linked-below", "*"), ("run-links", "/usr/share/doc/hard-*", "*")],
    },
];

/// What of `found` (differences by recipe) is not accepted, and what is accepted and was not found: both are faults.
pub(super) fn faults(peer: Peer, found: &BTreeMap<String, Vec<Difference>>) -> Vec<String> {
    judge(ACCEPTED, peer, found)
}

fn judge(accepted: &[Accepted], peer: Peer, found: &BTreeMap<String, Vec<Difference>>) -> Vec<String> {
    let rows = || {
        accepted.iter().filter(|accepted| accepted.peers.contains(&peer)).flat_map(|accepted| accepted.all)
    };
    let is_meant = |row: &(&str, &str, &str), recipe: &str, difference: &Difference| {
        is_match(row.0, recipe) && is_match(row.1, &difference.place) && is_match(row.2, difference.aspect)
    };
    let all =
        || found.iter().flat_map(|(recipe, all)| all.iter().map(move |difference| (recipe, difference)));
    let mut faults: Vec<_> = all()
        .filter(|(recipe, difference)| !rows().any(|row| is_meant(row, recipe, difference)))
        .map(|(recipe, difference)| format!("{recipe}: {difference}"))
        .collect();
    // Of a recipe that was not built nothing can be said.
    let built = rows().filter(|row| row.0 == "*" || found.contains_key(row.0));
    let gone = built.filter(|row| !all().any(|(recipe, difference)| is_meant(row, recipe, difference)));
    faults.extend(gone.map(|row| format!("{row:?} is listed and does not differ from {peer:?} any more")));
    faults
}

fn is_match(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => text.starts_with(begin),
        None => text == pattern,
    }
}

#[test]
fn users_are_told() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/build.md")).unwrap();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for accepted in ACCEPTED {
        assert!(page.contains(accepted.why), "docs/build.md does not say: {}", accepted.why);
        for (recipe, ..) in accepted.all.iter().filter(|row| row.0 != "*") {
            fixture(&format!("build/corpus/{recipe}/Dockerfile"));
        }
    }
}

#[test]
fn what_is_not_listed_and_what_is_gone_are_faults() {
    let difference = |place: &str, aspect| Difference {
        place: place.to_owned(),
        aspect,
        found: "a".to_owned(),
        expected: "b".to_owned(),
    };
    let accepted = [Accepted {
        why: "",
        peers: &[Peer::Buildah],
        all: &[("one", "/a/*", "mode"), ("one", "/b", "owner"), ("two", "/c", "owner")],
    }];
    let one = vec![difference("/a/x", "mode"), difference("/a/x", "owner"), difference("/ab", "mode")];
    let found = BTreeMap::from([("one".to_owned(), one)]);
    let faults = judge(&accepted, Peer::Buildah, &found);
    assert_eq!(
        faults,
        [
            "one: /a/x: owner: a, expected b",
            "one: /ab: mode: a, expected b",
            "(\"one\", \"/b\", \"owner\") is listed and does not differ from Buildah any more",
        ]
    );
    assert_eq!(judge(&accepted, Peer::Docker20, &found).len(), 3);
}
