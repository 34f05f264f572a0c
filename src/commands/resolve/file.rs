//! A file of requirements: YAML, or JSON, which is YAML.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::marker::PhantomData;
use std::path::Path;
use std::str::FromStr;

use larder_store::cancel::Cancel;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_saphyr::UserMessageFormatter;

use crate::catalog::{Arch, Asked, Compiler, Os, Project, Suffix, Word};
use crate::cli::{Outcome, fail, interruptible_stdin};

const MAX_BYTES: u64 = 1 << 20;

/// What stands in it; every key may be left out.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    project: Option<Said<Project>>,
    os: Option<Said<Os>>,
    arch: Option<Said<Arch>>,
    architecture: Option<Said<Arch>>,
    compiler: Option<Said<Compiler>>,
    variant: Option<List<Suffix>>,
    packages: Option<List<Word>>,
    tools: Option<List<Word>>,
    x86: Option<bool>,
}

/// A text in its one form; where it is none, the parser knows the place.
struct Said<T>(T);

struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = Said<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Said<T>, E> {
        text.parse().map(Said).map_err(E::custom)
    }
}

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for Said<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Said<T>, D::Error> {
        deserializer.deserialize_str(Text(PhantomData))
    }
}

/// Several texts: a list, or one text with commas or spaces between them, as flags and workflows have it.
struct List<T>(Vec<T>);

struct Texts<T>(PhantomData<T>);

impl<'de, T: FromStr<Err = String>> Visitor<'de> for Texts<T> {
    type Value = List<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<List<T>, E> {
        let words = text.split([',', ' ', '\t', '\n']).filter(|word| !word.is_empty());
        words.map(str::parse).collect::<Result<_, String>>().map(List).map_err(E::custom)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(Said(item)) = seq.next_element()? {
            list.push(item);
        }
        Ok(List(list))
    }
}

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List<T>, D::Error> {
        deserializer.deserialize_any(Texts(PhantomData))
    }
}

/// Reads the requirements of a file, or of stdin for `-`.
pub(super) fn read(path: &Path, cancel: &Cancel) -> Outcome<Asked> {
    parse(&text(path, cancel)?).map_err(|why| {
        let hint = "keys are project, os, arch, compiler, variant, packages, tools, x86; docs/resolve.md has examples";
        fail(format!("{}: {why}", path.display())).with_hint(hint).usage()
    })
}

/// The text of a file, or of stdin for `-`.
pub(in crate::commands) fn text(path: &Path, cancel: &Cancel) -> Outcome<String> {
    let shown = path.display();
    let mut text = String::new();
    let is_stdin = path == Path::new("-");
    let read = if is_stdin {
        interruptible_stdin(cancel.clone()).take(MAX_BYTES + 1).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
    };
    cancel.check()?;
    let size = read.map_err(|error| fail(format!("cannot read {shown}: {error}")).usage())?;
    if size as u64 > MAX_BYTES {
        return Err(fail(format!("{shown} has more than the {MAX_BYTES} bytes that are read")).usage());
    }
    Ok(text)
}

/// Reads its text; the error says line and column.
fn parse(text: &str) -> Result<Asked, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    let written: Written = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| error.render_with_formatter(&UserMessageFormatter))?;
    let words = |words: Option<List<Word>>| words.into_iter().flat_map(|list| list.0).collect();
    let mut suffixes: BTreeSet<_> = written.variant.into_iter().flat_map(|list| list.0).collect();
    let is_x86 =
        [&written.arch, &written.architecture].into_iter().flatten().any(|arch| arch.0.as_str() == Arch::X86)
            || suffixes.contains(&Suffix::X86);
    if written.x86 == Some(false) && is_x86 {
        return Err("x86 is false, and the architecture or the variant is x86".to_owned());
    }
    suffixes.extend(written.x86.filter(|is_x86| *is_x86).map(|_| Suffix::X86));
    let asked = Asked {
        project: written.project.map(|said| said.0),
        os: written.os.map(|said| said.0),
        arch: written.arch.map(|said| said.0),
        compiler: written.compiler.map(|said| said.0),
        suffixes,
        packages: words(written.packages),
        tools: words(written.tools),
    };
    let same = Asked { arch: written.architecture.map(|said| said.0), ..Asked::default() };
    asked.and(same, ["`arch`", "`architecture`"])?.with_x86_as_architecture()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_say_the_same() {
        let yaml = "os: ubuntu:25.04\narchitecture: x86_64\ncompiler: gcc-15\npackages: [libssl-dev]\ntools:\n- cmake\nvariant: [asan]\nproject: capy\n";
        let json = r#"{"os": "ubuntu:25.04", "arch": "amd64", "compiler": "gcc15", "packages": ["libssl-dev"], "tools": ["cmake"], "variant": ["asan"], "project": "capy", "x86": false}"#;
        assert_eq!(parse(yaml), parse(json));
        assert_eq!(parse(yaml).expect("asked").arch, "amd64".parse().ok());
        let texts = yaml
            .replace("[libssl-dev]", "libssl-dev")
            .replace("\n- cmake", " cmake")
            .replace("[asan]", "asan");
        assert_eq!(parse(&texts.replace("gcc-15", "g++-15")), parse(json));
        let two = parse("packages: a, b  c\ntools: []\nvariant: asan, ubsan\n").expect("asked");
        assert_eq!((two.packages.len(), two.tools.len(), two.suffixes.len()), (3, 0, 2));
        let x86 = parse("{os: debian:12, x86: true}").expect("asked");
        assert_eq!((x86.arch, x86.suffixes), ("386".parse().ok(), BTreeSet::new()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, place, words) in [
            ("os: ubuntu:25.04\ncompilers: gcc-15\n", "line 2", "compilers"),
            ("os: ubuntu:25.04\ncompiler: tcc-1\n", "line 2", "tcc"),
            ("os: ubuntu:25.04\ncompiler: gcc-*\n", "line 2", "\"*\""),
            ("os: ubuntu:*\n", "line 1", "\"*\""),
            ("os: docker.io/library/ubuntu:25.04\n", "line 1", "docker.io"),
            ("arch: amd64\nos: ubuntu\n", "line 2", "ubuntu"),
            ("os: ubuntu:25.04\npackages:\n- libssl-dev\n- two words\n", "line 4", "two words"),
            ("os: ubuntu:25.04\npackages: {libssl-dev: 1}\n", "line 2", "list"),
            ("os: ubuntu:25.04\npackages: libssl$dev\n", "line 2", "libssl$dev"),
            ("os: ubuntu:25.04\n---\nos: debian:12\n", "line 3", "document"),
            ("os: ubuntu:25.04\nvariant: [debug]\n", "line 2", "debug"),
            ("os: ubuntu:25.04\nos: debian:12\n", "line 2", "os"),
            ("os: ubuntu:25.04\n\tcompiler: gcc-15\n", "line 1", "tab"),
            ("os: *nothing\n", "line 1", ""),
            ("- os: ubuntu:25.04\n", "line 1", ""),
            ("{\n  \"os\": \"ubuntu:25.04\",\n  \"tool\": []\n}", "line 3", "tool"),
            ("{\n  \"os\": \"ubuntu:25.04\",\n  \"compiler\": \"tcc-1\"\n}", "line 3", "tcc"),
            ("{\n  \"os\": \"ubuntu:25.04\"\n  \"arch\": \"amd64\"\n}", "line", ""),
        ] {
            let error = parse(text).expect_err(text);
            assert!(
                error.contains(place) && error.contains("column") && error.contains(words),
                "{text:?}: {error}"
            );
            assert!(!error.contains('\n') && !error.contains("from_"), "{error}");
        }
        for (contradiction, words) in [
            ("{arch: arm64, x86: true}", "x86"),
            ("{arch: amd64, variant: [x86]}", "x86"),
            ("{arch: x86, x86: false}", "x86 is false"),
            ("{architecture: i386, x86: false}", "x86 is false"),
            ("{variant: x86, x86: false}", "x86 is false"),
            ("{arch: amd64, architecture: arm64}", "arm64 by `architecture`"),
        ] {
            assert!(parse(contradiction).expect_err(contradiction).contains(words));
        }
    }
}
