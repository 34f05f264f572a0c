//! Images that a Dockerfile names: behind FROM, and behind `--from=` and `from=`. Pure, and without all that a build would say of it.
//!
//! Limits: names that are made of variables are not known before a build.

use std::collections::BTreeSet;

/// The images, each once, in their order; stages of the file and `scratch` are none.
pub(super) fn images(dockerfile: &str) -> Vec<String> {
    let mut stages = BTreeSet::from(["scratch".to_owned()]);
    let mut found: Vec<String> = Vec::new();
    let mut add = |name: &str, stages: &BTreeSet<String>| {
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        let is_known = stages.contains(&name.to_ascii_lowercase()) || found.iter().any(|known| known == name);
        if !is_number && !name.contains('$') && !is_known {
            found.push(name.to_owned());
        }
    };
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default().to_ascii_uppercase();
        match first.as_str() {
            "FROM" => {
                let mut words = words.skip_while(|word| word.starts_with("--"));
                words.next().into_iter().for_each(|name| add(name, &stages));
                if words.next().is_some_and(|word| word.eq_ignore_ascii_case("as")) {
                    stages.extend(words.next().map(str::to_ascii_lowercase));
                }
            }
            "COPY" | "RUN" => {
                for flag in words.take_while(|word| word.starts_with("--")) {
                    let parts = flag.trim_start_matches("--").split(',');
                    let from =
                        parts.filter_map(|part| part.trim_start_matches("mount=").strip_prefix("from="));
                    from.for_each(|name| add(name, &stages));
                }
            }
            _ => {}
        }
    }
    found
}

/// What the last FROM begins with: an image, or a stage that began with one.
pub(super) fn last_from(dockerfile: &str) -> Option<&str> {
    let from =
        |line: &str| line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("from"));
    let line = dockerfile.lines().rfind(|line| from(line))?;
    line.split_whitespace().skip(1).find(|word| !word.starts_with("--"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_and_stages_are_none() {
        let text = "
FROM --platform=linux/amd64 base:2025.09 AS build
RUN --mount=type=bind,from=tools:1,source=/a make
from Build
FROM scratch
COPY --chown=0:0 --from=build /a /a
COPY --from=ghcr.io/b/c:2 --chown=1 /a /a
COPY --from=0 /b /b
FROM ${VARIABLE}
# FROM comment:1
RUN echo --from=no:1
FROM base:2025.09
";
        assert_eq!(images(text), ["base:2025.09", "tools:1", "ghcr.io/b/c:2"]);
        assert_eq!(last_from(text), Some("base:2025.09"));
        assert_eq!((images(""), last_from("RUN x\n"), last_from("é")), (vec![], None, None));
    }
}
