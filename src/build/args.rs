//! ARG: which names a stage has, and what they are worth.
//!
//! An ARG before the first FROM is seen by every FROM, and by a stage only after an ARG of that name in it. What was given beats
//! a default, and ENV beats ARG.

use std::collections::BTreeMap;

use super::dockerfile::Dockerfile;
use super::expand;
use super::problem::Problem;

/// What may be given without an ARG: commands see it, and the image's history does not.
const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What a build is given from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Given {
    build_args: BTreeMap<String, String>,
    platform: BTreeMap<String, String>,
}

/// ARG before the first FROM, with their values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Globals {
    given: Given,
    values: BTreeMap<String, String>,
}

/// The names that a stage has so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Args(Vec<(String, Option<String>)>);

impl Given {
    /// The values of `--build-arg`, and the platform of the machine and the image: `os/architecture[/variant]`.
    pub(crate) fn new(build_args: BTreeMap<String, String>, platform: &str) -> Given {
        let mut parts = platform.splitn(3, '/').map(str::to_owned);
        let (os, architecture, variant) = (parts.next(), parts.next(), parts.next());
        let mut platforms = BTreeMap::new();
        for side in ["TARGET", "BUILD"] {
            platforms.insert(format!("{side}PLATFORM"), platform.to_owned());
            for (name, value) in [("OS", &os), ("ARCH", &architecture), ("VARIANT", &variant)] {
                platforms.insert(format!("{side}{name}"), value.clone().unwrap_or_default());
            }
        }
        Given { build_args, platform: platforms }
    }

    /// The proxies that were given and that an image does not set, for the environment of commands only.
    pub(crate) fn proxies<'a>(
        &'a self,
        environment: &'a [String],
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let given = self.build_args.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        given.filter(move |(name, _)| PROXIES.contains(name) && !is_set(environment, name))
    }

    /// What was given, is no proxy, and none of these names.
    pub(super) fn unused(&self, is_declared: impl Fn(&str) -> bool) -> Vec<String> {
        let known =
            |name: &str| PROXIES.contains(&name) || self.platform.contains_key(name) || is_declared(name);
        self.build_args.keys().filter(|name| !known(name)).cloned().collect()
    }
}

impl Globals {
    /// The values of a Dockerfile's ARG before the first FROM. A default may name those before it.
    pub(crate) fn of(dockerfile: &Dockerfile, given: Given) -> Result<Globals, Problem> {
        let mut globals = Globals { given, values: BTreeMap::new() };
        for (line, name, default) in &dockerfile.globals {
            let problem = |why: String| Problem::new(*line, format!("ARG {name}"), why);
            let expand = |text: &String| expand::word(text, dockerfile.escape, &|name| globals.value(name));
            let default = default.as_ref().map(expand).transpose().map_err(problem)?;
            match globals.given.build_args.get(name).cloned().or(default) {
                Some(value) => drop(globals.values.insert(name.clone(), value)),
                None => drop(globals.values.remove(name)),
            }
        }
        Ok(globals)
    }

    /// What a name is worth in FROM.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let platform = || self.given.build_args.get(name).or_else(|| self.given.platform.get(name));
        let is_platform = self.given.platform.contains_key(name);
        self.values.get(name).or_else(|| is_platform.then(platform).flatten()).cloned()
    }
}

impl Args {
    /// ARG in a stage. The value is what a name is worth from here on; a second ARG of a name goes over the first.
    pub(crate) fn declare(
        &mut self,
        globals: &Globals,
        name: &str,
        default: Option<String>,
    ) -> Option<String> {
        let given = globals.given.build_args.get(name).cloned();
        let value = given.or(default).or_else(|| globals.value(name));
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.clone()));
        value
    }

    /// What a name is worth in a stage with this environment.
    pub(crate) fn value(&self, environment: &[String], name: &str) -> Option<String> {
        let set = environment.iter().find_map(|set| set.strip_prefix(name)?.strip_prefix('='));
        let declared = || self.0.iter().find(|(known, _)| known == name)?.1.clone();
        set.map(str::to_owned).or_else(declared)
    }

    /// What a command sees beside its environment, in the order of the names.
    pub(crate) fn for_command(&self, environment: &[String]) -> BTreeMap<&str, &str> {
        let valued = self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)));
        valued.filter(|(name, _)| !is_set(environment, name)).collect()
    }
}

fn is_set(environment: &[String], name: &str) -> bool {
    environment.iter().any(|set| set.split_once('=').is_some_and(|(known, _)| known == name))
}
