//! What packages say of their licences, as SPDX expressions (SPDX 2.3, annex D).
//!
//! Debian has its own short names, Python its classifiers, and people write what they like. What is no expression becomes a
//! `LicenseRef-` of its own, with the words that were found; nothing is guessed.

use spdx::{AdditionItem, Expression, LicenseItem, ParseMode};

/// A licence, as a document can say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Licence {
    /// One of SPDX's list.
    Id(&'static str),
    /// An expression of several.
    Expression(String),
    /// Words that are neither.
    Words(String),
}

/// How a licence's name begins that is explained in the document.
const REFERENCE: &str = "LicenseRef-";
/// What the library has among the licences, and SPDX has not.
const NO_LICENCE: [&str; 2] = ["NOASSERTION", "NONE"];

/// Names that everybody knows under another one: Debian's (copyright-format 1.0, "Short name") and those of Python's classifiers.
const OTHER_NAMES: [(&str, &str); 21] = [
    ("Expat", "MIT"),
    ("MIT License", "MIT"),
    ("Apache License 2.0", "Apache-2.0"),
    ("Apache-2", "Apache-2.0"),
    ("Artistic", "Artistic-1.0"),
    ("Artistic-2", "Artistic-2.0"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("BSD-4-clause", "BSD-4-Clause"),
    ("CC0", "CC0-1.0"),
    ("FTL", "FTL"),
    ("ISC License (ISCL)", "ISC"),
    ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
    ("PSF", "PSF-2.0"),
    ("Python Software Foundation License", "PSF-2.0"),
    ("Python-2.0", "Python-2.0"),
    ("ZLIB", "Zlib"),
    ("zlib/libpng", "Zlib"),
    ("BSL-1", "BSL-1.0"),
    ("curl", "curl"),
    ("W3C", "W3C"),
];

/// A licence from its words.
pub(crate) fn licence(words: &str) -> Licence {
    let known = OTHER_NAMES.iter().find(|(name, _)| *name == words).map_or(words, |(_, id)| id);
    if let Some(id) = id(known) {
        return Licence::Id(id);
    }
    // Debian and Fedora write `and`, `or` and `with` small.
    let terms = known.split_whitespace().map(|term| match term {
        "and" => "AND".to_owned(),
        "or" => "OR".to_owned(),
        "with" => "WITH".to_owned(),
        term => {
            let name = term.trim_matches(['(', ')', ',']);
            let found =
                OTHER_NAMES.iter().find(|(other, _)| *other == name).map(|(_, id)| *id).or_else(|| id(name));
            term.replace(name, found.unwrap_or(name))
        }
    });
    let text = terms.collect::<Vec<_>>().join(" ");
    let mode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };
    match Expression::parse_mode(&text, mode) {
        Ok(expression) if is_plain(&expression) && is_marked(&text) => Licence::Expression(text),
        _ => Licence::Words(words.to_owned()),
    }
}

/// Whether a document can say it: it has names of SPDX's list, and such as are explained beside it.
fn is_plain(expression: &Expression) -> bool {
    expression.requirements().all(|one| {
        let is_here = match &one.req.license {
            LicenseItem::Spdx { id, .. } => !NO_LICENCE.contains(&id.name),
            LicenseItem::Other(reference) => reference.doc_ref.is_none() && !reference.lic_ref.is_empty(),
        };
        is_here && !matches!(one.req.addition, Some(AdditionItem::Other(_)))
    })
}

/// Whether it is meant as an expression, and no word that looks like one.
fn is_marked(text: &str) -> bool {
    let is_or_later = || text.strip_suffix('+').is_some_and(|name| id(name).is_some());
    text.contains([' ', '(']) || text.starts_with(REFERENCE) || is_or_later()
}

/// The licences of an expression that are on nobody's list.
pub(crate) fn references(expression: &str) -> impl Iterator<Item = &str> {
    expression.split([' ', '(', ')']).filter(|term| term.starts_with(REFERENCE))
}

/// The identifier of SPDX's list; `GPL-2+` and its like are the GNU licences, as Debian writes them.
fn id(name: &str) -> Option<&'static str> {
    let gnu = name.split_once('-').filter(|(family, _)| matches!(*family, "GPL" | "LGPL" | "AGPL" | "GFDL"));
    let Some((family, version)) = gnu.filter(|(_, version)| !version.contains('-')) else {
        let id = spdx::license_id(name).filter(|id| id.name == name && !NO_LICENCE.contains(&name));
        return id.map(|id| id.name);
    };
    let (number, or_later) = version.strip_suffix('+').map_or((version, false), |number| (number, true));
    let dotted = if number.contains('.') { number.to_owned() } else { format!("{number}.0") };
    let end = if or_later { "or-later" } else { "only" };
    spdx::license_id(&format!("{family}-{dotted}-{end}")).map(|id| id.name)
}

/// A name for words that are no expression: letters, digits, `-` and `.` (SPDX 2.3, 10.1).
pub(crate) fn reference(words: &str) -> String {
    let plain: String =
        words.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).take(64).collect();
    let plain = plain.trim_matches('-');
    // Two different words never have one name.
    let hash = larder_store::digest::Digest::of(words.as_bytes()).hex();
    format!("{REFERENCE}{plain}{}{}", if plain.is_empty() { "" } else { "-" }, &hash[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_recognised() {
        let expression = |text: &str| Licence::Expression(text.to_owned());
        let words = |text: &str| Licence::Words(text.to_owned());
        for (said, meant) in [
            ("MIT", Licence::Id("MIT")),
            ("Expat", Licence::Id("MIT")),
            ("GPL-2+", Licence::Id("GPL-2.0-or-later")),
            ("GPL-3", Licence::Id("GPL-3.0-only")),
            ("LGPL-2.1+", Licence::Id("LGPL-2.1-or-later")),
            ("GFDL-1.3+", Licence::Id("GFDL-1.3-or-later")),
            ("GPL-2.0-only", Licence::Id("GPL-2.0-only")),
            ("BSD-3-clause", Licence::Id("BSD-3-Clause")),
            ("GPL-2+ and Expat", expression("GPL-2.0-or-later AND MIT")),
            ("Apache-2.0+", expression("Apache-2.0+")),
            ("Apache-2+", words("Apache-2+")),
            ("LicenseRef-", words("LicenseRef-")),
            ("(MIT OR Apache-2.0)", expression("(MIT OR Apache-2.0)")),
            (
                "GPL-3.0-or-later WITH GCC-exception-3.1",
                expression("GPL-3.0-or-later WITH GCC-exception-3.1"),
            ),
            ("GPL-3+ with OpenSSL exception", words("GPL-3+ with OpenSSL exception")),
            ("public-domain", words("public-domain")),
            ("BSD", words("BSD")),
            ("(MIT)", expression("(MIT)")),
            ("LicenseRef-Solo", expression("LicenseRef-Solo")),
            ("MIT AND LicenseRef-Acme", expression("MIT AND LicenseRef-Acme")),
            ("DocumentRef-x:LicenseRef-y", words("DocumentRef-x:LicenseRef-y")),
            ("MIT AND DocumentRef-x:LicenseRef-y", words("MIT AND DocumentRef-x:LicenseRef-y")),
            ("MIT WITH AdditionRef-x", words("MIT WITH AdditionRef-x")),
            ("MIT OR NOASSERTION", words("MIT OR NOASSERTION")),
            ("NOASSERTION", words("NOASSERTION")),
            ("Apache Software License", words("Apache Software License")),
            ("GPL-9", words("GPL-9")),
            ("SEE LICENSE IN <script>", words("SEE LICENSE IN <script>")),
            ("", words("")),
        ] {
            assert_eq!(licence(said), meant, "{said:?}");
        }
        let all: Vec<_> = references("(MIT AND LicenseRef-a) OR LicenseRef-b").collect();
        assert_eq!(all, ["LicenseRef-a", "LicenseRef-b"]);
        assert_ne!(reference("a b"), reference("a-b"));
        assert!(
            reference("<script>alert(1)</script>")
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        );
    }

    #[test]
    fn every_other_name_is_one_of_the_list() {
        for (name, id) in OTHER_NAMES {
            assert_eq!(licence(name), Licence::Id(id), "{name}");
        }
    }
}
