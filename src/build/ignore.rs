//! `.dockerignore`: which files of the context a build does not see.
//!
//! The last line that matches a path, or a directory above it, decides; `!` brings back. Lines are trimmed and cleaned as paths,
//! and `/` at their head means nothing. `#` at the very head of a line makes it a comment.

use super::path::clean;
use super::pattern::Pattern;
use super::problem::Problem;

/// The lines of such a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ignore(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    brings_back: bool,
    pattern: Pattern,
}

/// Where it is looked for: beside the Dockerfile under its name, then at the root of the context.
pub(crate) fn places(dockerfile: &str) -> [String; 2] {
    [format!("{dockerfile}.dockerignore"), ".dockerignore".to_owned()]
}

impl Ignore {
    /// Reads one.
    pub(crate) fn parse(text: &str) -> Result<Ignore, Vec<Problem>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        let mut problems = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let pattern = line.trim();
            if line.starts_with('#') || pattern.is_empty() {
                continue;
            }
            let (brings_back, pattern) =
                pattern.strip_prefix('!').map_or((false, pattern), |pattern| (true, pattern.trim()));
            let cleaned = clean(pattern);
            let cleaned = cleaned.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&cleaned);
            match Pattern::of_ignore(cleaned) {
                _ if pattern.is_empty() => {
                    problems.push(Problem::new(number + 1, "!", "there is no pattern after it"));
                }
                Ok(pattern) => rules.push(Rule { brings_back, pattern }),
                Err(why) => problems.push(Problem::new(number + 1, line.trim(), why)),
            }
        }
        match problems.is_empty() {
            true => Ok(Ignore(rules)),
            false => Err(problems),
        }
    }

    /// Whatever else it says, what another one says as well.
    pub(crate) fn and(mut self, other: Ignore) -> Ignore {
        self.0.extend(other.0);
        self
    }

    /// Whether a path below the context, clean and without `/` at its head, is left out.
    pub(crate) fn leaves_out(&self, path: &str) -> bool {
        let above = || path.match_indices('/').map(|(at, _)| &path[..at]);
        let matches = |rule: &&Rule| {
            rule.pattern.matches(path) || above().any(|directory| rule.pattern.matches(directory))
        };
        self.0.iter().rev().find(matches).is_some_and(|rule| !rule.brings_back)
    }

    /// Whether nothing below a directory that is left out needs to be looked at.
    pub(crate) fn brings_nothing_back(&self) -> bool {
        !self.0.iter().any(|rule| rule.brings_back)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left_out<'a>(text: &str, paths: &[&'a str]) -> Vec<&'a str> {
        let ignore = Ignore::parse(text).unwrap();
        paths.iter().copied().filter(|path| ignore.leaves_out(path)).collect()
    }

    #[test]
    fn lines_mean_what_they_mean_to_docker() {
        let paths =
            ["a", "a/b", "a/b/c.md", "b", "c.md", "x/c.md", "x/y/z", "#q", "foo", "x/foo", "x/foobar"];
        for (text, expected) in [
            ("a", vec!["a", "a/b", "a/b/c.md"]),
            ("/a/", vec!["a", "a/b", "a/b/c.md"]),
            ("  ./a/../b  ", vec!["b"]),
            ("*.md", vec!["c.md"]),
            ("**/*.md", vec!["a/b/c.md", "c.md", "x/c.md"]),
            ("*/c.md", vec!["x/c.md"]),
            ("*/*/c.md", vec!["a/b/c.md"]),
            ("**/foo", vec!["foo", "x/foo"]),
            ("x/**", vec!["x/c.md", "x/y/z", "x/foo", "x/foobar"]),
            ("x/**/z", vec!["x/y/z"]),
            ("**", paths.to_vec()),
            ("*\n!a/b", paths.iter().copied().filter(|p| !p.starts_with("a/b")).collect()),
            ("*.md\n!*.md\nc.md", vec!["c.md"]),
            ("a\n!a/b/c.md\na/b", vec!["a", "a/b", "a/b/c.md"]),
            ("# a\n#q\n\n", vec![]),
            (" #q", vec!["#q"]),
            ("\\#q", vec!["#q"]),
            ("\u{feff}b", vec!["b"]),
            ("! b\nb\n! b", vec![]),
            (
                "?",
                vec!["a", "a/b", "a/b/c.md", "b"]
                    .into_iter()
                    .chain(["x/c.md", "x/y/z", "x/foo", "x/foobar"])
                    .collect(),
            ),
            ("[a-b]", vec!["a", "a/b", "a/b/c.md", "b"]),
            ("..", vec![]),
            ("/", vec![]),
        ] {
            assert_eq!(left_out(text, &paths), expected, "{text:?}");
        }
    }

    /// What `COPY . /` of these files brought with Docker 28 and BuildKit. Docker 20.10 says the same but to the first: there
    /// nothing comes back that is below a directory which `*` leaves out, unless the line begins with that directory.
    #[test]
    fn what_is_left_is_what_docker_leaves() {
        let files = [
            ".git/HEAD",
            "a/b/c.md",
            "a/f",
            "c.md",
            "f",
            "foo/k",
            "x/barfoo",
            "x/c.md",
            "x/foo",
            "x/q q",
            "x/y/z",
        ];
        for (text, left) in [
            ("*\n!**/c.md", "a/b/c.md c.md x/c.md"),
            ("a\n!a/b/c.md", ".git/HEAD a/b/c.md c.md f foo/k x/barfoo x/c.md x/foo x/q q x/y/z"),
            ("**foo", ".git/HEAD a/b/c.md a/f c.md f x/c.md x/q q x/y/z"),
            ("*\n!x/y", "x/y/z"),
            ("x/**\n!x/y/z", ".git/HEAD a/b/c.md a/f c.md f foo/k x/y/z"),
            ("**/y\n!x/y/z", ".git/HEAD a/b/c.md a/f c.md f foo/k x/barfoo x/c.md x/foo x/q q x/y/z"),
            ("[!a]", ".git/HEAD c.md f foo/k x/barfoo x/c.md x/foo x/q q x/y/z"),
            ("**/c.md\n!a/**", ".git/HEAD a/b/c.md a/f f foo/k x/barfoo x/foo x/q q x/y/z"),
            ("!Dockerfile\n**\n!a", "a/b/c.md a/f"),
            ("a/*\n!a/b", ".git/HEAD a/b/c.md c.md f foo/k x/barfoo x/c.md x/foo x/q q x/y/z"),
        ] {
            let ignored = left_out(text, &files);
            let kept: Vec<_> = files.into_iter().filter(|file| !ignored.contains(file)).collect();
            assert_eq!(kept.join(" "), left, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_told_with_its_line() {
        let problems = Ignore::parse("a\n[\n!\nb\\").unwrap_err();
        assert_eq!(problems.iter().map(Problem::line).collect::<Vec<_>>(), [Some(2), Some(3), Some(4)]);
        assert_eq!(problems[1].of(".dockerignore"), ".dockerignore:3: !: there is no pattern after it");
    }

    #[test]
    fn the_file_beside_the_dockerfile_comes_first() {
        assert_eq!(places("ci/Dockerfile"), ["ci/Dockerfile.dockerignore", ".dockerignore"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\PC\n]{0,60}", path in ".{0,20}") {
            if let Ok(ignore) = Ignore::parse(&text) {
                ignore.leaves_out(&path);
            }
        }

        /// Without patterns a line is a directory and all below it: that is easily said otherwise.
        #[test]
        fn plain_lines_decide_in_their_order(
            lines in proptest::collection::vec(("!?", "[abc](/[abc]){0,2}"), 0..6),
            path in "[abc](/[abc]){0,3}",
        ) {
            let text: String = lines.iter().map(|(back, path)| format!("{back}{path}\n")).collect();
            let mut expected = false;
            for (back, above) in &lines {
                if format!("{path}/").starts_with(&format!("{above}/")) {
                    expected = back.is_empty();
                }
            }
            prop_assert_eq!(Ignore::parse(&text).unwrap().leaves_out(&path), expected);
        }
    }
}
