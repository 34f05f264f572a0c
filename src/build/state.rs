//! An image's config while its steps are done: what each step makes of it, as the classic builder of Docker 20.10 has it.
//!
//! The config is the JSON that it was, so that fields nobody here knows survive. Two things of BuildKit are not done: `/` as the
//! working directory of an image that says none, and `ArgsEscaped`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::args::{Args, Globals};
use super::dockerfile::{HealthCheck, Instruction, Step};
use super::expanded::{expanded, ports};
use super::history;
use super::path;
use super::problem::Problem;

/// Where programs are looked for in an image that does not say it.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A stage's config, and what else its next step depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    document: Value,
    /// Whether CMD stands in this stage: else ENTRYPOINT takes away the base's.
    has_cmd: bool,
    args: Args,
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    /// The instruction with its variables expanded.
    pub(crate) instruction: Instruction,
    /// What the history says of it.
    pub(crate) created_by: String,
}

impl State {
    /// A stage from nothing, for a platform `os/architecture[/variant]`.
    pub(crate) fn scratch(platform: &str) -> State {
        let mut parts = platform.splitn(3, '/');
        let mut document = json!({"os": parts.next(), "architecture": parts.next(), "config": {}});
        if let Some(variant) = parts.next() {
            document["variant"] = variant.into();
        }
        State::of(document)
    }

    /// A stage from an image's config, and what that image wants done first.
    pub(crate) fn from_base(document: &Value) -> Result<(State, Vec<String>), String> {
        if !document.is_object() || document.get("config").is_some_and(|c| !c.is_object() && !c.is_null()) {
            return Err("the config of the base image is none".to_owned());
        }
        let mut document = document.clone();
        if let Some(fields) = document.as_object_mut() {
            // These tell how the base was made, and who made it.
            for past in ["author", "container", "container_config", "docker_version", "id", "parent"] {
                fields.remove(past);
            }
        }
        let mut state = State::of(document);
        let triggers = strings(state.config().get("OnBuild"));
        state.config_mut().remove("OnBuild");
        Ok((state, triggers))
    }

    /// The stage that begins where another ended: its ARGs and triggers are its own.
    pub(crate) fn after(stage: &State) -> Result<(State, Vec<String>), String> {
        State::from_base(&stage.document)
    }

    fn of(document: Value) -> State {
        let mut state = State { document, has_cmd: false, args: Args::default() };
        let mut environment = state.environment();
        if !environment.iter().any(|set| set.starts_with("PATH=")) {
            environment.push(DEFAULT_PATH.to_owned());
            state.set("Env", environment.into());
        }
        state
    }

    /// The whole config, without what the layers add to it.
    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// What the image says of its containers.
    pub(crate) fn config(&self) -> &Value {
        &self.document["config"]
    }

    /// `NAME=value` in their order.
    pub(crate) fn environment(&self) -> Vec<String> {
        strings(self.config().get("Env"))
    }

    /// The ARGs so far.
    pub(crate) fn args(&self) -> &Args {
        &self.args
    }

    /// The directory of the next command; `/` where the image says none.
    pub(crate) fn directory(&self) -> &str {
        self.text("WorkingDir").unwrap_or("/")
    }

    /// The user of the next command, if the image says one.
    pub(crate) fn user(&self) -> Option<&str> {
        self.text("User")
    }

    /// What runs a command that is not a list.
    pub(crate) fn shell(&self) -> Vec<String> {
        let shell = strings(self.config().get("Shell"));
        if shell.is_empty() { ["/bin/sh", "-c"].map(String::from).to_vec() } else { shell }
    }

    /// Does a step, as far as the config goes. Where it is refused nothing has changed.
    pub(crate) fn step(&mut self, step: &Step, globals: &Globals, escape: char) -> Result<Done, Problem> {
        let environment = self.environment();
        let instruction = expanded(step, escape, &|name| self.args.value(&environment, name))?;
        self.apply(&instruction, globals);
        let created_by = history::created_by(&instruction, self);
        Ok(Done { instruction, created_by })
    }

    fn apply(&mut self, instruction: &Instruction, globals: &Globals) {
        match instruction {
            Instruction::Arg(names) => {
                for (name, default) in names {
                    self.args.declare(globals, name, default.clone());
                }
            }
            Instruction::Env(pairs) => {
                let mut environment = self.environment();
                for (name, value) in pairs {
                    let same = |set: &&mut String| set.split('=').next() == Some(name);
                    let new = format!("{name}={value}");
                    match environment.iter_mut().find(same) {
                        Some(set) => *set = new,
                        None => environment.push(new),
                    }
                }
                self.set("Env", environment.into());
            }
            Instruction::Label(pairs) => {
                let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
                self.add("Labels", pairs.collect());
            }
            Instruction::Workdir(path) => {
                // One from the root stays as it is written, as Docker has it.
                let is_absolute = path.starts_with('/');
                let path = if is_absolute { path.clone() } else { path::absolute(self.directory(), path) };
                self.set("WorkingDir", path.into());
            }
            Instruction::User(user) => self.set("User", user.as_str().into()),
            Instruction::Expose(specs) => {
                let ports = specs.iter().flat_map(|spec| ports(spec).unwrap_or_default());
                self.add("ExposedPorts", ports.map(|port| (port, json!({}))).collect());
            }
            Instruction::Volume(paths) => {
                self.add("Volumes", paths.iter().map(|path| (path.clone(), json!({}))).collect());
            }
            Instruction::Entrypoint(command) => {
                self.set("Entrypoint", command.words(&self.shell()).into());
                if !self.has_cmd {
                    self.config_mut().remove("Cmd");
                }
            }
            Instruction::Cmd(command) => {
                self.set("Cmd", command.words(&self.shell()).into());
                self.has_cmd = true;
            }
            Instruction::Shell(words) => self.set("Shell", words.clone().into()),
            Instruction::StopSignal(signal) => self.set("StopSignal", signal.as_str().into()),
            Instruction::HealthCheck(check) => {
                let before = &self.config()["Healthcheck"];
                self.set("Healthcheck", health(check, before));
            }
            Instruction::OnBuild(trigger) => {
                let mut triggers = strings(self.config().get("OnBuild"));
                triggers.push(trigger.clone());
                self.set("OnBuild", triggers.into());
            }
            Instruction::Maintainer(name) => self.document["author"] = name.as_str().into(),
            Instruction::Run(_) | Instruction::Copy(_) | Instruction::Add(_) => {}
        }
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.config().get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    fn config_mut(&mut self) -> &mut Map<String, Value> {
        let config = &mut self.document["config"];
        if !config.is_object() {
            *config = json!({});
        }
        config.as_object_mut().expect("it was made one if it was none")
    }

    /// Sets a field; an empty one is left out.
    fn set(&mut self, field: &str, value: Value) {
        let is_empty =
            value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        match is_empty {
            true => drop(self.config_mut().remove(field)),
            false => drop(self.config_mut().insert(field.to_owned(), value)),
        }
    }

    /// Adds to a field that has names and values.
    fn add(&mut self, field: &str, pairs: Map<String, Value>) {
        if pairs.is_empty() {
            return;
        }
        let known = self.config_mut().entry(field).or_insert_with(|| json!({}));
        match known.as_object_mut() {
            Some(known) => known.extend(pairs),
            None => *known = pairs.into(),
        }
    }
}

/// The strings of a list; none where it is none.
fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The field of a health check. Times are in nanoseconds; one that is not said is that of the check before, if any: Docker
/// 20.10 has it so, even for a check that is taken away.
fn health(check: &HealthCheck, before: &Value) -> Value {
    let none = Duration::ZERO;
    let (times, retries) = match check {
        HealthCheck::None => ([none; 4], 0),
        HealthCheck::Test { interval, timeout, start_period, start_interval, retries, .. } => {
            ([*interval, *timeout, *start_period, *start_interval], *retries)
        }
    };
    let nanos = times.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let names = ["Interval", "Timeout", "StartPeriod", "StartInterval"];
    let said = names.into_iter().zip(nanos).chain([("Retries", u64::from(retries))]);
    let value = |(name, said): (&str, u64)| {
        let value = if said > 0 { said.into() } else { before.get(name)?.clone() };
        Some((name.to_owned(), value))
    };
    let test = ("Test".to_owned(), history::health_test(check).into());
    Value::Object(said.filter_map(value).chain([test]).collect())
}

#[cfg(test)]
mod tests;
