//! Templates: Jinja2 with two filters of its own. Pure.
//!
//! What is not defined is an error where it is printed, joined or looked into, and false where it is asked for. A template reads no file, and
//! has fuel for so much work and memory; [`methods`] and [`print`] see to what the fuel does not. What is left is stopped from
//! [outside](super::apart).

mod methods;
mod print;

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
/// Bytes of a template: its parser calls itself for each operator, and has 4 KiB of [stack](super::apart) for each byte.
const MOST_TEXT: usize = 64 << 10;

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
    if text.len() > MOST_TEXT {
        return Err(format!("{name}: has more than {} KiB", MOST_TEXT >> 10));
    }
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(DEEPEST);
    // Nothing is escaped, whatever the file is called.
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_unknown_method_callback(methods::call);
    env.set_formatter(print::print);
    env.add_filter("join", print::join);
    env.add_filter("string", print::string);
    env.add_test("none", |value: &Value| value.is_none() || value.is_undefined());
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
    fn what_is_not_defined_is_an_error_wherever_it_would_be_seen() {
        for text in [
            "{{ [tag.foo]|join }}",
            "{{ [tag.foo]|string }}",
            "{{ ['p', tag.foo]|join('-') }}",
            "{{ [tag.nope] }}",
            "{{ {'a': [tag.nope]} }}",
            "{{ (1, tag.nope) }}",
            "{{ '{}'.format(tag.nope) }}",
            "{{ '%s'|format(tag.nope) }}",
            "{{ '-'.join(['a', tag.nope]) }}",
            "{{ tag.versions.get('zz') }}",
            "{{ 'a' ~ tag.versions.get('zz') }}",
            "{{ 'a'.replace('a', tag.nope) }}",
            "{{ none }}",
            "{{ [none] }}",
            "{{ '-'.join([none]) }}",
        ] {
            let why = rendered(text).expect_err(text);
            assert!(why.contains("not defined"), "{text}: {why}");
        }
        for (text, expected) in [
            ("{{ tag.foo | default('d') }}{{ tag.versions.get('zz') | default('e') }}", "de"),
            ("{{ tag.versions.get('zz', 'f') }}{{ tag.versions.get('node') }}", "f24"),
            (
                "{% if tag.versions.get('zz') is none %}a{% endif %}{% if tag.foo is not defined %}b{% endif %}",
                "ab",
            ),
            ("{% if tag.foo.bar is defined or tag.versions.get('zz') %}a{% else %}b{% endif %}", "!"),
            ("{{ 'x' if tag.foo }}{% if not tag.foo %}y{% endif %}", "y"),
            (
                "{{ ['a', 1, true]|join('-') }}{{ '-'.join(['b', 'c']) }}{{ '{}!'.format(1) }}",
                "a-1-Trueb-c1!",
            ),
            ("{{ ['a', {'b': 1}] }}{{ 1.5 }}{{ true }}", "['a', {'b': 1}]1.5True"),
        ] {
            let made = rendered(text).map(|it| it.text);
            match expected {
                "!" => assert!(made.is_err(), "{text}"),
                _ => assert_eq!(made.as_deref(), Ok(expected), "{text}"),
            }
        }
    }

    #[test]
    fn bombs_have_no_more_than_their_fuel() {
        let doubled = |last: &str| format!("{{% set a=['x'] %}}{}{last}", "{% set a=[a,a] %}".repeat(100));
        for text in [
            "{% set x='a'*60000 %}{{ x.join(x)|length }}",
            "{% set x='a'*60000 %}{{ x.replace('a',x)|length }}",
            "{% set x='a'*60000 %}{{ x.replace('',x)|length }}",
            "{{ '{:>1999999999}'.format(1)|length }}",
            &doubled("{{ a }}"),
            &doubled("{{ a|join }}"),
            &doubled("{{ a|string }}"),
            &doubled("{{ ''.join(a) }}"),
            &doubled("{{ '{}'.format(a) }}"),
        ] {
            let from = std::time::Instant::now();
            let why = rendered(text).expect_err("a bomb");
            assert!(why.contains("does not come to an end"), "{text:.90}: {why}");
            assert!(from.elapsed().as_secs() < 10, "{text:.90}: {:?}", from.elapsed());
        }
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
