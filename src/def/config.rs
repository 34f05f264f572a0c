//! `image.yml` as it is written. Scalars are the text that stands there: `3.10` is a version and no number. Pure.

use std::collections::HashSet;

use super::alias::Order;
use super::keys::{self, Key};
use super::values::Values;
use crate::catalog::meant;
use crate::catalog::yaml::{self, Node, What};

/// An `image.yml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub(super) name: Option<String>,
    pub(super) template: Option<String>,
    pub(super) is_base_image: bool,
    pub(super) extends: Option<String>,
    pub(super) description: Option<String>,
    pub(super) licenses: Option<String>,
    pub(super) rootfs: Rootfs,
    pub(super) versions: Values,
    pub(super) variables: Values,
    pub(super) tags: Vec<TagConfig>,
    pub(super) variants: Vec<VariantConfig>,
    /// Alias, tag, and where it stands.
    pub(super) aliases: Vec<(String, String, At)>,
    pub(super) order: Order,
}

/// A tag of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TagConfig {
    pub(super) at: At,
    pub(super) name: String,
    pub(super) versions: Values,
    pub(super) variables: Values,
    pub(super) rootfs: Rootfs,
}

/// A variant of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct VariantConfig {
    pub(super) at: At,
    pub(super) name: String,
    pub(super) tag_suffix: String,
    pub(super) template: Option<String>,
    pub(super) versions: Values,
    pub(super) variables: Values,
    pub(super) rootfs: Rootfs,
}

/// What is said of `rootfs/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rootfs {
    pub(super) user: Option<String>,
    pub(super) copy: Option<bool>,
}

impl Rootfs {
    /// What is said here, else there.
    pub(super) fn or(&self, other: &Rootfs) -> Rootfs {
        Rootfs { user: self.user.clone().or_else(|| other.user.clone()), copy: self.copy.or(other.copy) }
    }
}

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct At {
    line: usize,
    column: usize,
}

impl At {
    fn of(node: &Node) -> At {
        At { line: node.place.line, column: node.place.column }
    }

    /// The error of this place.
    pub(super) fn refuse(self, why: impl std::fmt::Display) -> String {
        format!("line {}, column {}: {why}", self.line, self.column)
    }
}

type Read<T> = Result<T, String>;

/// Reads the text of an `image.yml`; the error has line and column.
pub(super) fn parse(text: &str) -> Read<Config> {
    let root = yaml::parse(text)?;
    let image = Keys::of(&root, keys::IMAGE)?;
    let tags = image.list("tags", |node| {
        let tag = Keys::of(node, keys::TAG)?;
        Ok(TagConfig {
            at: At::of(node),
            name: tag.required("name")?,
            versions: tag.values("versions")?,
            variables: tag.values("variables")?,
            rootfs: tag.rootfs()?,
        })
    })?;
    if tags.is_empty() {
        return Err(image.get("tags").unwrap_or(&root).refuse("no tag is named: nothing would be built"));
    }
    let variants = image.list("variants", |node| {
        let variant = Keys::of(node, keys::VARIANT)?;
        Ok(VariantConfig {
            at: At::of(node),
            name: variant.required("name")?,
            tag_suffix: variant.required("tag_suffix")?,
            template: variant.text("template")?,
            versions: variant.values("versions")?,
            variables: variant.values("variables")?,
            rootfs: variant.rootfs()?,
        })
    })?;
    let mut aliases = Vec::new();
    for (alias, tag) in image.pairs("aliases")? {
        aliases.push((text_of(alias)?.to_owned(), text_of(tag)?.to_owned(), At::of(alias)));
    }
    Ok(Config {
        name: image.text("name")?,
        template: image.text("template")?,
        is_base_image: image.switch("is_base_image")?.unwrap_or(false),
        extends: image.text("extends")?,
        description: image.text("description")?,
        licenses: image.text("licenses")?,
        rootfs: image.rootfs()?,
        versions: image.values("versions")?,
        variables: image.values("variables")?,
        tags,
        variants,
        aliases,
        order: image.order()?,
    })
}

/// A mapping whose keys are all known.
struct Keys<'a>(&'a Node);

impl<'a> Keys<'a> {
    fn of(node: &'a Node, known: &[Key]) -> Read<Keys<'a>> {
        let Some(pairs) = node.pairs() else { return Err(node.refuse("expected a mapping of keys")) };
        let names = || known.iter().map(|key| key.name);
        for (key, _) in merged(pairs) {
            let name = text_of(key)?;
            if names().any(|known| known == name) {
                continue;
            }
            let hint = match meant(name, names()) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("the keys are {}", names().collect::<Vec<_>>().join(", ")),
            };
            return Err(key.refuse(&format!("unknown key {name:?}; {hint}")));
        }
        let missing = |key: &&Key| key.is_required && node.get(key.name).is_none();
        match known.iter().find(missing) {
            Some(key) => Err(node.refuse(&format!("the key {} is missing", key.name))),
            None => Ok(Keys(node)),
        }
    }

    /// A value that is there and not null.
    fn get(&self, key: &str) -> Option<&'a Node> {
        self.0.get(key).filter(|node| !node.is_null())
    }

    fn text(&self, key: &str) -> Read<Option<String>> {
        self.get(key).map(|node| text_of(node).map(str::to_owned)).transpose()
    }

    fn required(&self, key: &str) -> Read<String> {
        let empty = || self.0.get(key).unwrap_or(self.0).refuse(&format!("{key}: expected a text"));
        self.text(key)?.filter(|text| !text.is_empty()).ok_or_else(empty)
    }

    fn switch(&self, key: &str) -> Read<Option<bool>> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match node.scalar().unwrap_or_default().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Ok(Some(true)),
            "false" | "no" | "off" => Ok(Some(false)),
            _ => Err(node.refuse(&format!("{key}: expected true or false"))),
        }
    }

    fn order(&self) -> Read<Order> {
        let Some(node) = self.get("alias_order") else { return Ok(Order::default()) };
        let word = text_of(node)?;
        Order::of(word).ok_or_else(|| {
            node.refuse(&format!("alias_order: {word:?} is none: expected {}", keys::ORDERS.join(", ")))
        })
    }

    fn rootfs(&self) -> Read<Rootfs> {
        let rootfs = Rootfs { user: self.text("rootfs_user")?, copy: self.switch("rootfs_copy")? };
        // It becomes a word of the Dockerfile.
        let is_word = |c: char| c.is_ascii_alphanumeric() || "_.:$-".contains(c);
        match (&rootfs.user, self.get("rootfs_user")) {
            (Some(user), Some(node)) if user.is_empty() || !user.chars().all(is_word) => {
                Err(node.refuse(&format!("rootfs_user: {user:?} is no USER[:GROUP]")))
            }
            _ => Ok(rootfs),
        }
    }

    fn pairs(&self, key: &str) -> Read<Vec<(&'a Node, &'a Node)>> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        match node.pairs() {
            Some(pairs) => Ok(merged(pairs)),
            None => Err(node.refuse(&format!("{key}: expected a mapping of names to texts"))),
        }
    }

    fn values(&self, key: &str) -> Read<Values> {
        let mut values = Values::default();
        for (name, value) in self.pairs(key)? {
            values.set(text_of(name)?, text_of(value)?);
        }
        Ok(values)
    }

    fn list<T>(&self, key: &str, read: impl Fn(&Node) -> Read<T>) -> Read<Vec<T>> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        match node.items() {
            Some(items) => items.iter().map(read).collect(),
            None => Err(node.refuse(&format!("{key}: expected a list"))),
        }
    }
}

/// The pairs with those that are merged in (`<<`), a mapping's own before them.
fn merged(pairs: &[(Node, Node)]) -> Vec<(&Node, &Node)> {
    let is_merge = |key: &Node| matches!(&key.what, What::Plain(name) if name == "<<");
    let mut all: Vec<_> =
        pairs.iter().filter(|(key, _)| !is_merge(key)).map(|(key, value)| (key, value)).collect();
    let mut seen: HashSet<_> = all.iter().map(|(key, _)| key.scalar()).collect();
    for (_, from) in pairs.iter().filter(|(key, _)| is_merge(key)) {
        for from in from.items().unwrap_or(std::slice::from_ref(from)) {
            for (key, value) in merged(from.pairs().unwrap_or_default()) {
                if seen.insert(key.scalar()) {
                    all.push((key, value));
                }
            }
        }
    }
    all
}

fn text_of(node: &Node) -> Read<&str> {
    let text = node.scalar().ok_or_else(|| node.refuse("expected a text"))?;
    match text.chars().any(char::is_control) {
        true => Err(node.refuse("expected a text of one line")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_read() {
        let text = "
name: python
template: D.jinja2
is_base_image: true
extends: base
description: a text
licenses: MIT
rootfs_user: 'node:node'
rootfs_copy: no
versions: {uv: 0.10, poetry: '2.2.1'}
variables: &v {ENV: production}
tags:
  - name: 3.13.7
    versions: {python: 3.13.7}
    variables: {<<: *v, A: b}
    rootfs_user: 1000
    rootfs_copy: true
  - {name: 2025.10}
variants:
  - name: browser
    tag_suffix: -browser
    template: B.jinja2
    versions: {chromium: 120}
    variables:
    rootfs_user: root
    rootfs_copy: false
aliases: {latest: 3.13.7}
alias_order: natural
";
        let config = parse(text).expect("a definition");
        insta::assert_debug_snapshot!(config);
    }

    /// 1.4 MiB of keys, and as many merged in: it took minutes while each key was looked for among all before it.
    #[test]
    fn very_many_keys_take_no_time() {
        use std::fmt::Write as _;
        let mut text = "tags: [{name: a, versions: {<<: &more {".to_owned();
        let many = 60_000;
        (0..many).for_each(|at| write!(text, "m{at}: 1, ").expect("a text"));
        text.push_str("}}}]\nversions:\n");
        (0..many).for_each(|at| writeln!(text, "  v{at}: 1").expect("a text"));
        let from = std::time::Instant::now();
        let config = parse(&text).expect("a definition");
        let all = config.versions.with(&config.tags[0].versions);
        assert_eq!(all.iter().count(), 2 * many);
        assert_eq!((all.get("v59999"), all.get("m0"), all.get("n")), (Some("1"), Some("1"), None));
        assert!(from.elapsed().as_secs() < 30, "{:?}", from.elapsed());
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column() {
        for (text, place, words) in [
            ("tags: [", "line 1, column", ""),
            ("tags:\n  - name: a\n    nmae: b\n", "line 3, column 5", "did you mean name?"),
            ("tags:\n  - name: a\nvarients: []\n", "line 3, column 1", "did you mean variants?"),
            ("tags:\n  - name: a\nsomething_else: 1\n", "line 3, column 1", "the keys are name, template"),
            ("name: a\n", "line 1, column 1", "the key tags is missing"),
            ("tags: []\n", "line 1, column 7", "no tag"),
            ("tags:\n", "line 1", "no tag"),
            ("tags:\n  - versions: {}\n", "line 2, column 5", "name is missing"),
            ("tags:\n  - name:\n", "line 2", "expected a text"),
            ("tags:\n  - name: [a]\n", "line 2, column 11", "expected a text"),
            ("tags:\n  - name: \"a\\nb\"\n", "line 2, column 11", "one line"),
            ("tags: a\n", "line 1, column 7", "expected a list"),
            ("tags:\n  - a\n", "line 2, column 5", "mapping"),
            ("- a\n", "line 1, column 1", "mapping"),
            ("", "line", "mapping"),
            ("tags: [{name: a}]\nis_base_image: maybe\n", "line 2, column 16", "true or false"),
            ("tags: [{name: a}]\nversions: [a]\n", "line 2, column 11", "mapping"),
            ("tags: [{name: a}]\nversions: {a: {b: c}}\n", "line 2, column 15", "expected a text"),
            ("tags: [{name: a}]\nvariants: [{name: a}]\n", "line 2, column 12", "tag_suffix is missing"),
            ("tags: [{name: a}]\nalias_order: age\n", "line 2, column 14", "semver, calver, natural"),
            ("tags: [{name: a}]\nrootfs_user: 'a b'\n", "line 2, column 14", "USER[:GROUP]"),
            ("tags: [{name: a}]\nrootfs_user: \"0:0 /etc\\n\"\n", "line 2, column 14", "one line"),
            ("tags: [{name: a}]\ntags: [{name: b}]\n", "line 2, column 1", "twice"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.starts_with(place) && why.contains(words), "{text}: {why}");
        }
    }
}
