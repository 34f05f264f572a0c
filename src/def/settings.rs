//! `.image-manager.yml` beside the folder: labels that all images get, and the registry that images are pushed to. Pure.

use crate::catalog::meant;
use crate::catalog::yaml::{self, Node};

/// The file's name.
pub(crate) const FILE: &str = ".image-manager.yml";

const KEYS: [&str; 5] = ["registry", "registries", "labels", "cache", "ci"];
const LABELS: [&str; 5] = ["vendor", "authors", "url", "documentation", "licenses"];
const REGISTRY: [&str; 5] = ["url", "username", "password", "default", "insecure"];

/// What it says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The end of `org.opencontainers.image.*`, and the value; `%image%` and `%tag%` stand for themselves still.
    pub(super) labels: Vec<(&'static str, String)>,
    /// Where images are pushed to: a host, or a repository that theirs are below.
    pub(crate) registry: Option<String>,
    /// What people should know.
    pub(crate) notes: Vec<String>,
}

impl Settings {
    /// Reads the file's text; `${NAME}` is the environment's. The error has line and column.
    pub(crate) fn parse(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Settings, String> {
        let root = yaml::parse(text)?;
        let mut settings = Settings::default();
        if root.is_null() {
            return Ok(settings);
        }
        let expanded = |node: Option<&Node>| -> Result<Option<Result<String, String>>, String> {
            let Some(node) = node.filter(|node| !node.is_null()) else { return Ok(None) };
            let text = node.scalar().ok_or_else(|| node.refuse("expected a text"))?;
            Ok(Some(expand(text, env)))
        };
        known(&root, &KEYS)?;
        if let Some(labels) = root.get("labels").filter(|node| !node.is_null()) {
            known(labels, &LABELS)?;
            for name in LABELS {
                match expanded(labels.get(name))? {
                    Some(Ok(value)) => settings.labels.push((name, value)),
                    Some(Err(variable)) => settings.notes.push(format!(
                        "{FILE}: label {name} is left out: {variable} is not in the environment"
                    )),
                    None => {}
                }
            }
        }
        let several = root.get("registries").and_then(Node::items).unwrap_or_default();
        several
            .iter()
            .chain(root.get("registry").filter(|node| !node.is_null()))
            .try_for_each(|one| known(one, &REGISTRY))?;
        let is_default = |node: &&Node| node.get("default").and_then(Node::scalar) == Some("true");
        let chosen = several.iter().find(is_default).or(several.first()).or(root.get("registry"));
        if let Some(Ok(url)) = expanded(chosen.and_then(|registry| registry.get("url")))? {
            let url = url.split_once("://").map_or(url.as_str(), |(_, place)| place);
            settings.registry = Some(url.trim_end_matches('/').to_owned()).filter(|url| !url.is_empty());
        }
        Ok(settings)
    }
}

fn known(node: &Node, names: &[&str]) -> Result<(), String> {
    let pairs = node.pairs().ok_or_else(|| node.refuse("expected a mapping of keys"))?;
    for (key, _) in pairs {
        let name = key.scalar().unwrap_or_default();
        if !names.contains(&name) {
            let nearest = meant(name, names.iter().copied());
            let hint = nearest.map_or_else(
                || format!("the keys are {}", names.join(", ")),
                |near| format!("did you mean {near}?"),
            );
            return Err(key.refuse(&format!("unknown key {name:?}; {hint}")));
        }
    }
    Ok(())
}

/// The text with its variables; else the first one that is not there.
fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once("${") {
        let Some((name, behind)) = behind.split_once('}') else { break };
        out.push_str(before);
        out.push_str(&env(name).ok_or_else(|| name.to_owned())?);
        rest = behind;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(text, &|name| (name == "HOST").then(|| "r.example:5000".to_owned()))
    }

    #[test]
    fn labels_and_the_registry_are_read() {
        let read = parse(
            "
registries:
  - {url: ghcr.io, username: '${USER}'}
  - url: https://${HOST}/team/
    default: true
labels: {vendor: V, url: 'https://${HOST}/%image%', authors: '${NOBODY}'}
cache: false
ci: {artifacts: true}
",
        )
        .expect("settings");
        assert_eq!(read.registry.as_deref(), Some("r.example:5000/team"));
        assert_eq!(
            read.labels,
            [("vendor", "V".to_owned()), ("url", "https://r.example:5000/%image%".to_owned())]
        );
        assert!(read.notes.len() == 1 && read.notes[0].contains("NOBODY"), "{:?}", read.notes);
        assert_eq!(parse("registry: {url: '${NOBODY}'}").map(|it| it.registry), Ok(None));
        assert_eq!(parse(""), Ok(Settings::default()));
        for (text, words) in [
            ("labels: {vednor: x}", "line 1, column 10: unknown key \"vednor\"; did you mean vendor?"),
            ("registy: {}", "did you mean registry?"),
            ("labels: [a]", "line 1, column 9"),
            ("labels: {vendor: [a]}", "line 1, column 18"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.contains(words), "{why}");
        }
    }
}
