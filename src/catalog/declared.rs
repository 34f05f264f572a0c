//! What somebody declares of an image: annotations of its name, `dev.larder.{project,os,variant,compilers,packages,tools}`.
//!
//! Declared by a name of the convention, by flags, or by `annotate`. Nobody has looked into the image for it. Project, os and
//! variant together say which images are versions of each other.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use larder_store::descriptor::Annotations;
use larder_store::index;

use super::compiler::Compiler;
use super::name::{Name, Project, Suffix, Variant};
use super::os::Os;

/// What is declared of an image beside its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    /// What it is for.
    pub(crate) project: Option<Project>,
    /// Its operating system.
    pub(crate) os: Option<Os>,
    /// Its compilers; the first one is the variant's.
    pub(crate) compilers: Vec<Compiler>,
    /// What else is special about its variant.
    pub(crate) suffixes: BTreeSet<Suffix>,
    /// Packages that somebody asked for.
    pub(crate) packages: Vec<Word>,
    /// Tools that somebody asked for.
    pub(crate) tools: Vec<Word>,
}

/// The name of a package or a tool, in any distribution's spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word(String);

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Word, String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"+-._:/@=~^".contains(&b);
        if text.is_empty() || !text.bytes().all(fits) {
            return Err(format!("{text:?} is no name of a package or tool"));
        }
        Ok(Word(text.to_owned()))
    }
}

impl Word {
    /// As it was said.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Declared {
    /// What annotations say. What is in no form of ours, as other tools may write it, says nothing.
    pub(crate) fn of(annotations: &Annotations) -> Declared {
        fn list<T: FromStr>(text: Option<&String>) -> Vec<T> {
            text.into_iter()
                .flat_map(|text| text.split(','))
                .filter_map(|item| item.trim().parse().ok())
                .collect()
        }
        let one = |key| annotations.get(key);
        let variant = one(index::VARIANT).and_then(|text| text.parse::<Variant>().ok()).unwrap_or_default();
        Declared {
            project: one(index::PROJECT).and_then(|text| text.parse().ok()),
            os: one(index::OS).and_then(|text| text.parse().ok()),
            compilers: list(one(index::COMPILERS)),
            suffixes: variant.suffixes,
            packages: list(one(index::PACKAGES)),
            tools: list(one(index::TOOLS)),
        }
    }

    /// The variant, as far as it is declared.
    fn variant(&self) -> Variant {
        Variant { compiler: self.compilers.first().cloned(), suffixes: self.suffixes.clone() }
    }

    /// The name that says all this, where enough is declared for one.
    pub(crate) fn name(&self) -> Option<Name> {
        Name::new(self.project.clone()?, self.os.clone()?, self.variant()).ok()
    }

    /// With what a name says; or in what the two contradict each other.
    pub(crate) fn with(&self, name: &Name) -> Result<Declared, String> {
        let differ = |what, said: &dyn Display, named: String| {
            Err(format!("its {what} is {named} by its name, and {said} was given"))
        };
        if let Some(project) = self.project.as_ref().filter(|project| *project != name.project()) {
            return differ("project", project, name.project().to_string());
        }
        if let Some(os) = self.os.as_ref().filter(|os| *os != name.os()) {
            return differ("os", os, name.os().to_string());
        }
        let Variant { compiler, suffixes } = name.variant();
        let is_among = compiler.as_ref().is_some_and(|compiler| self.compilers.contains(compiler));
        if !self.compilers.is_empty() && !is_among {
            let named = compiler.as_ref().map_or("none".to_owned(), Compiler::to_string);
            return differ("compiler", &list(&self.compilers), named);
        }
        if !self.suffixes.is_empty() && self.suffixes != *suffixes {
            let alone = |suffixes: &BTreeSet<Suffix>| Variant { compiler: None, suffixes: suffixes.clone() };
            let named = Some(alone(suffixes)).filter(|these| !these.is_plain());
            let named = named.map_or("a plain one".to_owned(), |these| these.to_string());
            return differ("variant", &alone(&self.suffixes), named);
        }
        let others = self.compilers.iter().filter(|other| Some(*other) != compiler.as_ref());
        Ok(Declared {
            project: Some(name.project().clone()),
            os: Some(name.os().clone()),
            compilers: compiler.iter().chain(others).cloned().collect(),
            suffixes: suffixes.clone(),
            ..self.clone()
        })
    }

    /// As annotations; what is not declared is left out.
    pub(crate) fn annotations(&self) -> Annotations {
        let said = [
            (index::PROJECT, self.project.as_ref().map(ToString::to_string)),
            (index::OS, self.os.as_ref().map(ToString::to_string)),
            (index::VARIANT, Some(self.variant().to_string())),
            (index::COMPILERS, Some(list(&self.compilers))),
            (index::PACKAGES, Some(list(&self.packages))),
            (index::TOOLS, Some(list(&self.tools))),
        ];
        let said = said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        said.filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// Declares what a new name says of an image, in place of what the old one said. Its compilers stay if that of the name is
/// among them.
pub(crate) fn declare_anew(annotations: &mut Annotations, mut declared: Annotations) {
    if declared.is_empty() {
        return;
    }
    for key in [index::PROJECT, index::OS, index::VARIANT] {
        annotations.remove(key);
    }
    let have = annotations.get(index::COMPILERS).map(String::as_str).unwrap_or_default();
    if declared.get(index::COMPILERS).is_some_and(|one| have.split(',').any(|other| other == one)) {
        declared.remove(index::COMPILERS);
    }
    annotations.extend(declared);
}

/// Puts the value of an annotation of ours into its one form; `key` is one of [`index::DECLARED`]. The error is a phrase.
pub(crate) fn checked(key: &str, value: &str) -> Result<String, String> {
    match key {
        "project" => value.parse::<Project>().map(|project| project.to_string()),
        "os" => value.parse::<Os>().map(|os| os.to_string()),
        "variant" => value.parse::<Variant>().map(|variant| variant.to_string()),
        "compilers" => items::<Compiler>(value),
        "packages" | "tools" => items::<Word>(value),
        _ => value.parse::<Word>().map(|word| word.to_string()).map_err(|_| format!("{value:?} is no {key}")),
    }
}

fn items<T: FromStr<Err = String> + Display + PartialEq>(value: &str) -> Result<String, String> {
    let items = value.split(',').map(|item| item.trim().parse()).collect::<Result<Vec<T>, String>>()?;
    Ok(list(&items))
}

/// Each once, in the order in which they were said.
fn list<T: Display + PartialEq>(items: &[T]) -> String {
    let once = items.iter().enumerate().filter(|(at, item)| !items[..*at].contains(item));
    once.map(|(_, item)| item.to_string()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn shown(declared: &Declared) -> String {
        let said = declared.annotations();
        let said = said.iter().map(|(key, value)| format!("{}={value}", key.trim_start_matches(index::OURS)));
        said.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_name_declares_what_it_says() {
        for (text, said) in [
            (
                "capy-ubuntu-25.04-clang20-asan",
                "compilers=clang-20 os=ubuntu:25.04 project=capy variant=clang20-asan",
            ),
            ("capy-debian-12", "os=debian:12 project=capy"),
            ("capy-debian-12-x86", "os=debian:12 project=capy variant=x86"),
        ] {
            let declared = Declared::default().with(&name(text)).expect("nothing else is said");
            assert_eq!(shown(&declared), said);
            assert_eq!(declared.name(), Some(name(text)), "and it is the name again");
            assert_eq!(Declared::of(&declared.annotations()), declared);
        }
    }

    #[test]
    fn flags_add_to_a_name_and_do_not_contradict_it() {
        let flags = Declared {
            project: Some("capy".parse().expect("a project")),
            compilers: ["clang-20", "gcc-15"].map(|text| text.parse().expect("a compiler")).to_vec(),
            packages: ["libssl-dev", "libssl-dev"].map(|text| text.parse().expect("a package")).to_vec(),
            ..Declared::default()
        };
        let both = flags.with(&name("capy-ubuntu-25.04-gcc15-cov")).expect("they agree");
        assert_eq!(
            shown(&both),
            "compilers=gcc-15,clang-20 os=ubuntu:25.04 packages=libssl-dev project=capy variant=gcc15-cov"
        );
        for (text, words) in [
            ("other-ubuntu-25.04-gcc15", ["project", "other", "capy"]),
            ("capy-ubuntu-25.04-gcc14", ["compiler", "gcc-14", "clang-20,gcc-15"]),
            ("capy-ubuntu-25.04", ["compiler", "none", "clang-20,gcc-15"]),
        ] {
            let why = flags.with(&name(text)).expect_err(text);
            assert!(words.iter().all(|word| why.contains(word)), "{why}");
        }
        let asan = Declared { suffixes: BTreeSet::from([Suffix::Asan]), ..Declared::default() };
        assert!(asan.with(&name("capy-ubuntu-25.04-gcc15-asan")).is_ok());
        for text in ["capy-ubuntu-25.04-gcc15", "capy-ubuntu-25.04-gcc15-asan-ubsan"] {
            assert!(asan.with(&name(text)).expect_err(text).contains("variant"), "{text}");
        }
        let os = Declared { os: "debian:12".parse().ok(), ..Declared::default() };
        assert!(os.with(&name("capy-debian-13")).expect_err("another os").contains("debian:13"));
    }

    #[test]
    fn values_have_one_form() {
        for (key, value, form) in [
            ("project", "http-proto", "http-proto"),
            ("os", "ubuntu:25.04", "ubuntu:25.04"),
            ("variant", "clang20-asan-x86", "clang20-asan-x86"),
            ("compilers", "gcc-15, clang20,gcc15", "gcc-15,clang-20"),
            ("packages", "libssl-dev, libstdc++6:i386", "libssl-dev,libstdc++6:i386"),
            ("tools", "cmake", "cmake"),
            ("arch", "amd64", "amd64"),
            ("arch", "arm/v7", "arm/v7"),
        ] {
            assert_eq!(checked(key, value), Ok(form.to_owned()), "{key}={value}");
        }
        for (key, value) in [
            ("project", "Capy"),
            ("project", "capy-gcc15"),
            ("os", "ubuntu"),
            ("os", "docker.io/library/ubuntu:25.04"),
            ("variant", "gcc-15"),
            ("variant", "gcc15-ubsan-asan"),
            ("variant", "ubuntu-25.04-gcc15"),
            ("compilers", "gcc 12, g++ 12"),
            ("compilers", "gcc-15,,clang-20"),
            ("compilers", "gcc-*"),
            ("packages", "two words"),
            ("tools", "cmake,"),
            ("arch", "x y"),
        ] {
            assert!(checked(key, value).is_err(), "{key}={value}");
        }
    }
}
