//! `packages.lock`: versions of packages and digests of bases, which are written into a Dockerfile. Pure.
//!
//! Limits: it is read, and not made: nothing here asks a distribution which versions it has.

use larder_store::digest::Digest;

use super::named;
use crate::catalog::yaml::{self, Node};

/// What a lock file says of each base; the first counts for bases that it does not name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lock(Vec<Section>);

#[derive(Debug, PartialEq, Eq)]
struct Section {
    /// `ubuntu:24.04`.
    base: String,
    digest: Option<Digest>,
    /// Package and version.
    packages: Vec<(String, String)>,
}

impl Lock {
    /// Reads a lock file; the error has line and column.
    pub(super) fn parse(text: &str) -> Result<Lock, String> {
        let root = yaml::parse(text)?;
        let text_of = |node: &Node| match node.scalar() {
            Some(text) if !text.chars().any(|c| c.is_whitespace() || c.is_control()) => Ok(text.to_owned()),
            _ => Err(node.refuse("expected a word")),
        };
        let packages = |node: Option<&Node>| -> Result<Vec<_>, String> {
            let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(Vec::new()) };
            let pairs = node.pairs().ok_or_else(|| node.refuse("expected packages with their versions"))?;
            pairs.iter().map(|(name, version)| Ok((text_of(name)?, text_of(version)?))).collect()
        };
        let digest = |node: Option<&Node>| -> Result<Option<Digest>, String> {
            let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(None) };
            let digest = node.scalar().and_then(|text| text.parse().ok());
            digest.map(Some).ok_or_else(|| node.refuse("expected a digest, sha256:…"))
        };
        if let Some(bases) = root.get("bases") {
            let pairs = bases.pairs().ok_or_else(|| bases.refuse("bases: expected a mapping"))?;
            let section = |(base, section): &(Node, Node)| {
                Ok(Section {
                    base: text_of(base)?,
                    digest: digest(section.get("digest"))?,
                    packages: packages(section.get("packages"))?,
                })
            };
            return Ok(Lock(pairs.iter().map(section).collect::<Result<_, String>>()?));
        }
        // The form with one base.
        let meta = root.get("_meta").and_then(|meta| meta.get("base"));
        let base = meta.and_then(|base| base.get("original")).map(text_of).transpose()?;
        let section = Section {
            base: base.unwrap_or_default(),
            digest: digest(meta.and_then(|base| base.get("digest")))?,
            packages: packages(root.get("packages"))?,
        };
        Ok(Lock(vec![section]))
    }

    /// The Dockerfile with the versions of packages that `apt-get install` names, and the digest of its base.
    pub(super) fn apply(&self, dockerfile: &str) -> String {
        let last = named::last_from(dockerfile);
        let base = last.as_deref().unwrap_or_default();
        // The colon of a port is none of a tag.
        let has_tag = base.rsplit('/').next().is_some_and(|name| name.contains([':', '@']));
        let base = if has_tag { base.to_owned() } else { format!("{base}:latest") };
        let own = self.0.iter().find(|section| section.base == base);
        let Some(section) = own.or(self.0.first()) else { return dockerfile.to_owned() };
        let pinned = pin_packages(dockerfile, &section.packages);
        match (own.and_then(|own| own.digest), base.rsplit_once(':')) {
            (Some(digest), Some((name, _))) => pin_base(&pinned, &base, &format!("{name}@{digest}")),
            _ => pinned,
        }
    }
}

/// FROM of this base by its digest.
fn pin_base(dockerfile: &str, base: &str, pinned: &str) -> String {
    let short = base.strip_suffix(":latest");
    let mut lines: Vec<String> = dockerfile.split('\n').map(str::to_owned).collect();
    for from in named::froms(dockerfile) {
        let Some(lines) = lines.get_mut(from) else { continue };
        let is_part = |word: &&str| !word.starts_with("--") && *word != "\\" && *word != "`";
        let name = lines.iter().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#'));
        let mut words =
            name.flat_map(|(at, line)| line.split_whitespace().filter(is_part).map(move |word| (at, word)));
        // Behind FROM itself.
        let Some((at, name)) = words.nth(1).filter(|(_, name)| *name == base || Some(*name) == short) else {
            continue;
        };
        let begin = name.as_ptr().addr() - lines[at].as_ptr().addr();
        let end = begin + name.len();
        lines[at].replace_range(begin..end, pinned);
    }
    lines.join("\n")
}

/// Words of `apt-get install` and `apt install` that are these packages, without a version yet, get theirs.
fn pin_packages(dockerfile: &str, packages: &[(String, String)]) -> String {
    let mut out = String::with_capacity(dockerfile.len());
    let mut state = State::Outside;
    let mut rest = dockerfile;
    while !rest.is_empty() {
        let is_space = |c: char| c == ' ' || c == '\t';
        let end = match rest.chars().next() {
            Some(c) if is_space(c) => rest.find(|c| !is_space(c)),
            Some('\n' | ';' | '&' | '|' | '(' | ')') => Some(1),
            _ => rest.find(|c| is_space(c) || matches!(c, '\n' | ';' | '&' | '|' | '(' | ')')),
        };
        let (token, behind) = rest.split_at(end.unwrap_or(rest.len()));
        rest = behind;
        let version = packages.iter().find(|(name, _)| name == token).filter(|_| state == State::Install);
        out.push_str(token);
        if let Some((_, version)) = version {
            out.push('=');
            out.push_str(version);
        }
        // A line that goes on does not end a command.
        let goes_on = token == "\n" && out.trim_end_matches('\n').ends_with('\\');
        state = match (state, token) {
            (state, "\n") if goes_on => state,
            (_, "\n" | ";" | "&" | "|" | "(" | ")") => State::Outside,
            (state, token) if token.trim().is_empty() || token == "\\" => state,
            (State::Outside, "apt-get" | "apt") => State::Apt,
            (State::Apt, "install") => State::Install,
            (state, _) => state,
        };
    }
    out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Apt,
    Install,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:c35e29c9450151419d9448b0fd75374fec4fff364a27f176fb458d472dfc9e54";

    #[test]
    fn packages_and_bases_are_pinned() {
        let lock = format!(
            "_meta: {{version: 1}}\nbases:\n  ubuntu:24.04:\n    digest: {DIGEST}\n    codename: noble\n    packages: {{curl: 8.5.0-2, ca-certificates: '20240203'}}\n"
        );
        let lock = Lock::parse(&lock).expect("a lock file");
        let text = "FROM ubuntu:24.04 AS x\nRUN apt-get update \\\n  && apt-get install -y \\\n    curl \\\n\tca-certificates libcurl git=1 curl-dev && update-ca-certificates \\\n && curl -fsSL x\nRUN curl y; (apt install curl)\n";
        let expected = format!(
            "FROM ubuntu@{DIGEST} AS x\nRUN apt-get update \\\n  && apt-get install -y \\\n    curl=8.5.0-2 \\\n\tca-certificates=20240203 libcurl git=1 curl-dev && update-ca-certificates \\\n && curl -fsSL x\nRUN curl y; (apt install curl=8.5.0-2)\n"
        );
        assert_eq!(lock.apply(text), expected);
        // Of another base the first section's packages count, and its digest does not.
        assert_eq!(
            lock.apply("FROM base:1\nRUN apt-get install curl"),
            "FROM base:1\nRUN apt-get install curl=8.5.0-2"
        );
        assert_eq!(lock.apply(""), "");
        let hidden = "RUN <<EOF\nfrom ubuntu:24.04\nEOF\nFROM --platform=a \\\n# FROM\n ";
        let text = format!("FROM x\n{hidden}ubuntu:24.04 AS ubuntu:24.04");
        assert_eq!(lock.apply(&text), format!("FROM x\n{hidden}ubuntu@{DIGEST} AS ubuntu:24.04"));
        assert_eq!(lock.apply("from\tubuntu:24.04\r"), format!("from\tubuntu@{DIGEST}\r"));
    }

    #[test]
    fn the_older_form_is_read() {
        let lock = format!("_meta:\n  base: {{original: ubuntu, digest: {DIGEST}}}\npackages: {{curl: 1}}\n");
        let lock = Lock::parse(&lock).expect("a lock file");
        assert_eq!(lock.apply("FROM ubuntu\n"), "FROM ubuntu\n");
        let lock =
            Lock(vec![Section { base: "ubuntu:latest".into(), ..lock.0.into_iter().next().expect("one") }]);
        assert_eq!(lock.apply("FROM ubuntu\n"), format!("FROM ubuntu@{DIGEST}\n"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, words) in [
            ("bases: [a]", "line 1, column 8"),
            ("bases: {a: {digest: sha256:x}}", "line 1, column 21: expected a digest"),
            ("bases: {a: {packages: {curl: '1 && rm'}}}", "expected a word"),
            ("packages: [a]", "line 1, column 11"),
        ] {
            let why = Lock::parse(text).expect_err(text);
            assert!(why.contains(words), "{text}: {why}");
        }
        assert!(Lock::parse("").is_ok_and(|lock| lock.apply("FROM a") == "FROM a"));
    }
}
