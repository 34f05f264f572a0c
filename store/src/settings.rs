//! What a store says of itself in `.larder/larder.toml`: the policy, and how its images are named. Never whom to trust: a store
//! that was copied may be hostile.

use crate::error::{Error, Result};
use crate::policy::{self, Policy};
use crate::store::Store;

/// How every `larder.toml` is read, the host's too.
pub use crate::policy::read;

/// The file of `.larder/`.
const FILE: &str = "larder.toml";
const MAX_SIZE: u64 = 1 << 20;

/// All that the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// How images are named.
    pub naming: Naming,
    /// What may go.
    pub policy: Policy,
}

/// How images are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Naming {
    /// As anybody likes.
    #[default]
    Free,
    /// By the convention: no other name is given to an image. What has another one keeps it.
    Strict,
}

/// What is read here; the policy reads its own part, and knows every key that is none of its own.
#[derive(serde::Deserialize)]
struct Written {
    #[serde(default)]
    naming: Naming,
}

/// Reads settings; the error says the line.
pub fn parse(text: &str) -> Result<Settings, String> {
    let policy = policy::parse(text)?;
    let Written { naming } = read(text)?;
    Ok(Settings { naming, policy })
}

/// Reads the settings of a store; without the file, nothing is limited and names are free.
pub fn settings_of(store: &Store) -> Result<Settings> {
    let private = store.layout().private();
    let shown = private.at(FILE);
    if private.read_link(FILE)?.is_some() {
        let why = "is a symbolic link, and none is followed in a store; put the file itself there";
        return Err(Error::invalid(shown.display(), why));
    }
    let Some(bytes) = private.read(FILE, MAX_SIZE)? else { return Ok(Settings::default()) };
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(shown.display(), "is not text"))?;
    parse(&text).map_err(|why| Error::invalid(shown.display(), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naming_and_policy_stand_in_one_file() {
        assert_eq!(parse(""), Ok(Settings::default()));
        let both = parse("naming = \"strict\"\nmax_size = \"1GB\"\n").expect("settings");
        assert_eq!((both.naming, both.policy.max_size), (Naming::Strict, Some(1_000_000_000)));
        assert_eq!(parse("naming = \"free\"").map(|settings| settings.naming), Ok(Naming::Free));
        for (text, line, word) in [
            ("\nnaming = \"loose\"", 2, "strict"),
            ("naming = true", 1, "string"),
            ("naming = \"strict\"\nname = \"strict\"", 2, "name"),
            ("naming = \"strict\"\nnaming = \"free\"", 2, "duplicate"),
            ("[[rule]]\npattern = \"*\"\nnaming = \"strict\"", 3, "naming"),
            // Which registries are asked, and how, is the host's to say.
            ("offline = false", 1, "offline"),
            ("\n[mirrors]\n\"docker.io\" = [\"evil.example.com\"]", 2, "mirrors"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.starts_with(&format!("line {line}: ")) && why.contains(word), "{text:?}: {why}");
        }
    }
}
