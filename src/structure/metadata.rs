//! Metadata tests: what an image's config says. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::config::{MetadataTest, Value};

/// What is tested of a config; null is nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Settings {
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
    working_dir: Option<String>,
    user: Option<String>,
}

/// Reads an image's config; the error is a phrase.
pub(crate) fn settings(config: &[u8]) -> Result<Settings, String> {
    #[derive(Deserialize)]
    struct Config {
        config: Option<Settings>,
    }
    let config: Config = serde_json::from_slice(config).map_err(|error| error.to_string())?;
    Ok(config.config.unwrap_or_default())
}

impl Settings {
    /// The variables; of a name that is there twice the last.
    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        let pairs = self.env.iter().flatten().filter_map(|entry| entry.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Who runs commands; empty for root.
    pub(crate) fn user(&self) -> &str {
        self.user.as_deref().unwrap_or_default()
    }

    /// Where commands run.
    pub(crate) fn directory(&self) -> &str {
        self.working_dir.as_deref().unwrap_or_default()
    }
}

/// What is not as it should be.
pub(crate) fn judge(test: &MetadataTest, settings: &Settings) -> Vec<String> {
    let mut wrong = Vec::new();
    let (env, none) = (settings.env(), BTreeMap::new());
    let labels = settings.labels.as_ref().unwrap_or(&none);
    for (what, wanted, all) in [("variable", &test.env, &env), ("label", &test.labels, labels)] {
        for (name, wanted) in wanted {
            wrong.extend(pair(what, name, wanted, all.get(name)));
        }
    }
    for name in test.unbound_env.iter().filter(|name| env.contains_key(*name)) {
        wrong.push(format!("the variable {name} is set and should not be"));
    }
    for (what, wanted, is) in
        [("cmd", &test.cmd, &settings.cmd), ("entrypoint", &test.entrypoint, &settings.entrypoint)]
    {
        let is = is.as_deref().unwrap_or_default();
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != is) {
            wrong.push(format!("{what} is {is:?}, expected {wanted:?}"));
        }
    }
    for (what, wanted, is) in
        [("workdir", &test.workdir, settings.directory()), ("user", &test.user, settings.user())]
    {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != is) {
            wrong.push(format!("{what} is {is:?}, expected {wanted:?}"));
        }
    }
    let keys = |map: &Option<BTreeMap<String, serde_json::Value>>| {
        map.iter().flat_map(BTreeMap::keys).cloned().collect::<Vec<_>>()
    };
    // Without the protocol, as in the files.
    let ports = keys(&settings.exposed_ports).into_iter();
    let ports = ports.map(|port| port.split('/').next().unwrap_or_default().to_owned()).collect();
    let lists = [
        ("port", "exposed", &test.exposed_ports, &test.unexposed_ports, ports),
        ("volume", "declared", &test.volumes, &test.unmounted_volumes, keys(&settings.volumes)),
    ];
    for (what, done, wanted, unwanted, is) in lists {
        wrong.extend(
            wanted
                .iter()
                .filter(|one| !is.contains(one))
                .map(|one| format!("the {what} {one} is not {done}")),
        );
        let there = unwanted.iter().filter(|one| is.contains(one));
        wrong.extend(there.map(|one| format!("the {what} {one} is {done} and should not be")));
    }
    wrong
}

fn pair(what: &str, name: &str, wanted: &Value, is: Option<&String>) -> Option<String> {
    let Some(is) = is else { return Some(format!("the {what} {name} is not set")) };
    match wanted {
        Value::Text(wanted) if wanted != is => {
            Some(format!("the {what} {name} is {is:?}, expected {wanted:?}"))
        }
        Value::Pattern(wanted) if !wanted.is_in(is) => {
            Some(format!("the {what} {name} is {is:?}, which {:?} does not match", wanted.text()))
        }
        _ => None,
    }
}
