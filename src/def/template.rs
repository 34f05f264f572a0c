//! Templates: Jinja2 with two filters of its own. Pure.
//!
//! What is not defined is an error where it is printed or looked into, and false where it is asked for. A template reads no file, and has
//! fuel for so much work and memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::Value;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use super::values::Values;
use crate::catalog::meant;

/// Instructions, and 64 bytes for each that is made: more than a second no template takes.
const FUEL: u64 = 1 << 20;
/// Bytes of what comes out.
const LONGEST: usize = 4 << 20;
/// Macros in macros.
const DEEPEST: usize = 64;

/// Images that others may begin with: what `resolve_base_image` says of each name.
#[derive(Debug, Default)]
pub(super) struct Bases(BTreeMap<String, Known>);

#[derive(Debug)]
enum Known {
    /// Its one tag.
    Base(String),
    /// It has several tags.
    Several(Vec<String>),
    /// It is no base image.
    Other,
}

impl Bases {
    /// Adds a definition with its own tags.
    pub(super) fn add(&mut self, name: &str, is_base_image: bool, tags: Vec<String>) {
        let known = self.0.remove(name);
        let known = match (known, is_base_image) {
            (known, false) => known.unwrap_or(Known::Other),
            (None | Some(Known::Other), true) => match <[String; 1]>::try_from(tags) {
                Ok([tag]) => Known::Base(tag),
                Err(tags) => Known::Several(tags),
            },
            (Some(Known::Base(tag)), true) => Known::Several([tag].into_iter().chain(tags).collect()),
            (Some(Known::Several(known)), true) => Known::Several(known.into_iter().chain(tags).collect()),
        };
        self.0.insert(name.to_owned(), known);
    }

    /// The reference of a base image.
    fn reference(&self, name: &str) -> Result<String, String> {
        match self.0.get(name) {
            Some(Known::Base(tag)) => Ok(format!("{name}:{tag}")),
            Some(Known::Several(tags)) => Err(format!(
                "base image {name:?} has several tags ({}), and others can only begin with one that has one",
                tags.join(", ")
            )),
            Some(Known::Other) => {
                Err(format!("image {name:?} is no base image: is_base_image: true makes it one"))
            }
            None => {
                let nearest = meant(name, self.0.keys().map(String::as_str));
                let hint = nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"));
                Err(format!("there is no base image {name:?}{hint}"))
            }
        }
    }
}

/// What came of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    pub(super) text: String,
    /// What `resolve_base_image` said: `base:2025.09`.
    pub(super) bases: BTreeSet<String>,
}

/// Renders a template; the error begins with its name.
pub(super) fn render(
    name: &str,
    text: &str,
    context: Value,
    versions: &Values,
    bases: &Arc<Bases>,
) -> Result<Rendered, String> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(DEEPEST);
    // Nothing is escaped, whatever the file is called.
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    let (known, found) = (bases.clone(), asked.clone());
    env.add_filter("resolve_base_image", move |name: String| {
        let reference = known.reference(&name).map_err(refuse)?;
        found.lock().unwrap_or_else(PoisonError::into_inner).insert(reference.clone());
        Ok::<_, Error>(reference)
    });
    let versions = versions.clone();
    env.add_filter("resolve_version", move |name: String| match versions.get(&name) {
        Some(version) => Ok(version.to_owned()),
        None => {
            let nearest = meant(&name, versions.iter().map(|(name, _)| name));
            let hint = nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"));
            Err(refuse(format!("there is no version of {name:?}{hint}")))
        }
    });
    let said = |error: Error| match error.line() {
        Some(line) => format!("{name}: line {line}: {}", words(&error)),
        None => format!("{name}: {}", words(&error)),
    };
    let text = env.render_named_str("template", text, context).map_err(said)?;
    if text.len() > LONGEST {
        return Err(format!("{name}: comes to more than {} MiB", LONGEST >> 20));
    }
    let bases = std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Rendered { text, bases })
}

fn refuse(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// What is wrong, without the place.
fn words(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => {
            "does not come to an end: a loop is too long, or what it makes is too large".to_owned()
        }
        (ErrorKind::UndefinedError, None) => "a value is used that is not defined".to_owned(),
        (ErrorKind::UndefinedError, Some(detail)) => format!("a value is used that is not defined: {detail}"),
        (ErrorKind::InvalidOperation, Some(detail)) => detail.to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}

/// A mapping for templates.
pub(super) fn mapping<'a>(pairs: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::from_pairs(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)))
}

/// Values for templates.
pub(super) fn values(values: &Values) -> Value {
    mapping(values.iter().map(|(name, value)| (name, Value::from(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Result<Rendered, String> {
        let mut bases = Bases::default();
        bases.add("base", true, vec!["2025.09".into()]);
        bases.add("many", true, vec!["1".into(), "2".into()]);
        bases.add("python", false, vec!["3".into()]);
        let versions: Values = [("python", "3.13.7"), ("node", "24")].into_iter().collect();
        let tag = mapping([("name", Value::from("3.13.7")), ("versions", values(&versions))]);
        render("D", text, mapping([("tag", tag)]), &versions, &Arc::new(bases))
    }

    #[test]
    fn templates_are_rendered_as_jinja2_renders_them() {
        for (text, expected) in [
            ("FROM {{ \"base\" | resolve_base_image }}\n", "FROM base:2025.09"),
            ("A={{'python'|resolve_version}}\n\n", "A=3.13.7\n"),
            ("{{ \"node\" | resolve_version | replace('4', '5') }}", "25"),
            ("{{ tag.name }} {{ tag.versions.python }}", "3.13.7 3.13.7"),
            ("{% for k, v in tag.versions.items() %}{{ k }}={{ v }} {% endfor %}", "python=3.13.7 node=24 "),
            ("{{ tag.name.split('.')[0] }}{% if tag.none %}a{% else %}b{% endif %}", "3b"),
            ("{{ tag.none | default('d') }}{{ 'x' if tag.none is defined else 'y' }}", "dy"),
            ("{# a comment #}{%- set a = '<&>' %}{{ a }}", "<&>"),
            ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(1) }}", "[1]"),
        ] {
            assert_eq!(rendered(text).map(|it| it.text).as_deref(), Ok(expected), "{text}");
        }
        let asked = rendered("{# {{ 'x' | resolve_base_image }} #}{{ 'base' | resolve_base_image }}")
            .expect("a text");
        assert_eq!(asked.bases.into_iter().collect::<Vec<_>>(), ["base:2025.09"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let long = "{% for a in range(99999) %}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}";
        let wide =
            "{% set n = namespace(a='x') %}{% for a in range(60) %}{% set n.a = n.a ~ n.a %}{% endfor %}";
        let deep = "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}";
        for (text, words) in [
            ("a\n{{ nothing }}", "D: line 2: a value is used that is not defined"),
            ("{{ tag.nothing }}", "line 1: a value is used that is not defined"),
            ("{{ tag.versions.nothing }}", "not defined"),
            ("{% for a in nothing %}{% endfor %}", "not defined"),
            (
                "a\nb\n{{ 'pyton' | resolve_version }}",
                "line 3: there is no version of \"pyton\"; did you mean python?",
            ),
            ("{{ 'bsae' | resolve_base_image }}", "there is no base image \"bsae\"; did you mean base?"),
            ("{{ 'python' | resolve_base_image }}", "is no base image"),
            ("{{ 'many' | resolve_base_image }}", "has several tags (1, 2)"),
            ("a\n{{ ", "D: line 2: syntax error"),
            ("{{ 'a' | nonsense }}", "unknown filter"),
            ("{% include '/etc/passwd' %}", "D: "),
            (long, "does not come to an end"),
            (wide, "does not come to an end"),
            (deep, "D: line 1"),
        ] {
            let why = rendered(text).expect_err(text);
            assert!(why.contains(words) && !why.contains('\n'), "{text}: {why}");
        }
    }
}
