//! Images that a Dockerfile names: behind FROM, and behind `--from=` and `from=`. Read as a build reads it, but also where larder could not
//! build it.
//!
//! Limits: variables have their defaults; `--build-arg` is not known here, and a name of which nothing is left without it is none.

use std::collections::BTreeMap;

use larder_store::descriptor::Platform;

use crate::build::args::Given;
use crate::build::{dockerfile, plan};

pub(super) use dockerfile::froms;

/// The images, each once, in their order; those of instructions that larder does not know come last. Stages and `scratch` are none.
pub(super) fn images(text: &str) -> Vec<String> {
    let read = dockerfile::readable(text);
    let given = Given::new(BTreeMap::new(), &Platform::host().to_string());
    let mut found: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if name != "scratch" && !found.contains(&name) {
            found.push(name);
        }
    };
    plan::named(&read.dockerfile, given).into_iter().for_each(&mut add);
    let is_stage = |name: &str| {
        let stages = &read.dockerfile.stages;
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        is_number || stages.iter().any(|stage| stage.from.name.as_deref() == Some(&name.to_lowercase()))
    };
    for name in read.unread.iter().flat_map(|text| behind_from(text)) {
        if !name.contains('$') && !is_stage(name) {
            add(name.to_owned());
        }
    }
    found
}

/// What `--from=` and the `from=` of a mount say in an instruction that larder does not take.
fn behind_from(text: &str) -> impl Iterator<Item = &str> {
    let mut words = text.split_whitespace();
    let keyword = words.next().unwrap_or_default();
    let takes = ["COPY", "RUN"].iter().any(|known| keyword.eq_ignore_ascii_case(known));
    let flags = words.take_while(move |word| takes && word.starts_with("--"));
    let parts = flags.flat_map(|flag| flag.trim_start_matches("--").split(','));
    parts.filter_map(|part| part.trim_start_matches("mount=").strip_prefix("from="))
}

/// What the last FROM begins with, as written: an image, or a stage that began with one.
pub(super) fn last_from(text: &str) -> Option<String> {
    dockerfile::readable(text).dockerfile.stages.pop().map(|stage| stage.from.base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_and_stages_are_none() {
        let text = "
FROM --platform=linux/amd64 base:2025.09 AS build
RUN --mount=type=bind,from=tools:1,source=/a make
RUN --mount=from=build cat && true --from=no:1
FROM Build
FROM scratch
COPY --chown=0:0 --from=build /a /a
COPY --from=ghcr.io/b/c:2 --chown=1 /a /a
COPY --link --from=linked:1 /a /a
COPY --from=0 /b /b
FROM ${VARIABLE}
FROM ${VARIABLE}:1
# FROM comment:1
RUN echo --from=no:1
FROM base:2025.09
";
        assert_eq!(images(text), ["base:2025.09", "ghcr.io/b/c:2", "tools:1", "linked:1"]);
        assert_eq!(last_from(text).as_deref(), Some("base:2025.09"));
        assert_eq!((images(""), last_from("RUN x\n"), last_from("é")), (vec![], None, None));
        // It is for a build or a pipeline to say that this is no name.
        assert_eq!(images("FROM `reboot`"), ["`reboot`"]);
    }

    #[test]
    fn it_is_read_as_a_build_reads_it() {
        for (text, expected) in [
            ("FROM a\nRUN <<EOF\nfrom os import path\nCOPY --from=b x y\nEOF\n", vec!["a"]),
            ("FROM a\nRUN <<-'A' cat <<B\nFROM b\n\tA\nFROM c\nB\nCOPY --from=d /x /\n", vec!["a", "d"]),
            ("FROM \\\nbusybox:1\nRUN x \\\n  FROM b\n", vec!["busybox:1"]),
            ("FROM a\nCOPY --chown=1 \\\n# c\n\n  --from=b x y\n", vec!["a", "b"]),
            ("# escape=`\nFROM `\nbusybox:1\n", vec!["busybox:1"]),
            ("ARG B=base1\nARG V=1\nFROM ${B}:$V\n", vec!["base1:1"]),
            ("ARG B=base1\nARG C=${B}-x\nFROM ${C}:${V:-2}\n", vec!["base1-x:2"]),
            ("ARG B\nFROM $B\nCOPY --from=a /x /\n", vec!["a"]),
            ("FROM a AS b\nARG B=c\nFROM ${B}\n", vec!["a"]),
            ("ARG S=b\nFROM a AS b\nFROM $S\n", vec!["a"]),
            // A stage of this name comes later: it is an image.
            ("FROM debian AS debian\nCOPY --from=debian /x /\n", vec!["debian"]),
        ] {
            assert_eq!(images(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_trouble(text in "(FROM|ARG|RUN|COPY|--from=|AS|<<|[\\\\$`{}a=:,\"'# \n\r-]){0,20}") {
            images(&text);
            last_from(&text);
            let count = text.split('\n').count();
            proptest::prop_assert!(froms(&text).iter().all(|from| from.start < from.end && from.end <= count));
        }
    }
}
