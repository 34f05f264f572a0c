//! A file of credentials, docker's `config.json` or podman's `auth.json`, and what it says of a host.
//!
//! No error quotes what stands in it: places only. A value may be a secret wherever somebody put it wrongly.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::host::{docker_key, fit, meant, normal};
use super::{Credentials, Secret};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What `auth` of an entry is: `USER:PASSWORD` in base64.
pub(super) fn encoded(user: &str, password: &Secret) -> String {
    BASE64.encode(format!("{user}:{}", password.reveal()))
}

/// What a file says of hosts.
#[derive(Default)]
pub(super) struct Config {
    auths: Map<String, Value>,
    helpers: Map<String, Value>,
    store: Option<String>,
}

/// A program that keeps credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// What follows `docker-credential-` in its name.
    pub(super) helper: String,
    /// How it names the host.
    pub(super) server: String,
    /// Whether it alone has this host's: `credHelpers` says so, and not `credsStore`.
    pub(super) alone: bool,
}

/// Reads a file; the error says the place.
pub(super) fn parse(bytes: &[u8]) -> Result<Config, String> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Config::default());
    }
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("line {}, column {}: is not JSON", error.line(), error.column()))?;
    let Value::Object(mut all) = value else { return Err("is not a JSON object".into()) };
    let mut object = |key: &str| match all.remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(_) => Err(format!("{key}: is not an object")),
    };
    let (auths, helpers) = (object("auths")?, object("credHelpers")?);
    let store = match all.remove("credsStore") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
        Some(_) => return Err("credsStore: is not a string".into()),
    };
    Ok(Config { auths, helpers, store })
}

impl Config {
    /// Which program is asked for a host.
    pub(super) fn helper(&self, host: &str) -> Result<Option<Asked>, String> {
        let fitting = self.helpers.iter().filter_map(|(key, name)| Some((fit(key, host, "")?, key, name)));
        let Some((_, key, name)) = fitting.max_by_key(|(fit, ..)| *fit) else {
            return Ok(self.store.as_ref().map(|helper| Asked {
                helper: helper.clone(),
                server: docker_key(host),
                alone: false,
            }));
        };
        let name = name.as_str().ok_or_else(|| format!("credHelpers: {key:?}: is not a string"))?;
        // Named as nothing, this host's are in `auths`, whatever `credsStore` says.
        Ok((!name.is_empty()).then(|| Asked { helper: name.into(), server: key.clone(), alone: true }))
    }

    /// What the file itself has for a repository of a host.
    pub(super) fn entry(&self, host: &str, repository: &str) -> Result<Option<Credentials>, String> {
        let mut fitting: Vec<_> = self
            .auths
            .iter()
            .filter_map(|(key, entry)| Some((fit(key, host, repository)?, key, entry)))
            .collect();
        fitting.sort_by_key(|(fit, ..)| std::cmp::Reverse(*fit));
        for (_, key, entry) in fitting {
            let found = credentials(entry).map_err(|why| format!("auths: {key:?}: {why}"))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The keys of `auths` that mean a host as a whole.
    pub(super) fn keys<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a str> {
        self.auths.keys().map(String::as_str).filter(move |key| meant(key) == (normal(host), ""))
    }

    /// Of how many hosts, and parts of them, it has credentials itself.
    pub(super) fn count(&self) -> usize {
        self.auths.values().filter(|entry| credentials(entry).is_ok_and(|found| found.is_some())).count()
    }

    /// The programs that it names, each once.
    pub(super) fn programs(&self) -> Vec<String> {
        let named = self.helpers.values().filter_map(Value::as_str).filter(|name| !name.is_empty());
        let mut all: Vec<_> = named.chain(self.store.as_deref()).map(str::to_owned).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// What an entry of `auths` says. One that is empty says that a helper has the rest.
fn credentials(entry: &Value) -> Result<Option<Credentials>, String> {
    let Value::Object(entry) = entry else { return Err("is not an object".into()) };
    let text = |key: &str| match entry.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("{key}: is not a string")),
    };
    if let Some(token) = text("registrytoken")? {
        return Ok(Some(Credentials::Bearer(Secret::new(token))));
    }
    if let Some(token) = text("identitytoken")? {
        return Ok(Some(Credentials::IdentityToken(Secret::new(token))));
    }
    if let Some(auth) = text("auth")? {
        let (user, password) = decoded(auth).map_err(|why| format!("auth: {why}"))?;
        return Ok(Some(Credentials::Basic { user, password }));
    }
    let Some(user) = text("username")? else { return Ok(None) };
    let password = Secret::new(text("password")?.unwrap_or_default());
    Ok(Some(Credentials::Basic { user: user.to_owned(), password }))
}

fn decoded(auth: &str) -> Result<(String, Secret), &'static str> {
    let bytes = BASE64.decode(auth.trim()).map_err(|_| "is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "is not text in base64")?;
    let (user, password) = text.split_once(':').ok_or("is not USER:PASSWORD in base64")?;
    if user.is_empty() {
        return Err("has no user");
    }
    // Old versions of docker wrote these.
    Ok((user.to_owned(), Secret::new(password.trim_matches('\0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn basic(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Basic { user: user.into(), password: Secret::new(password) })
    }

    fn entry(text: &str, host: &str, repository: &str) -> Result<Option<Credentials>, String> {
        parse(text.as_bytes())?.entry(host, repository)
    }

    #[test]
    fn entries_are_read_in_all_their_forms() {
        // `dTpw` is `u:p`.
        for (entry_text, expected) in [
            (r#"{"auth":"dTpw"}"#, basic("u", "p")),
            (r#"{"auth":"dTpw","email":"x@y"}"#, basic("u", "p")),
            (r#"{"auth":"dTo"}"#, basic("u", "")),
            (r#"{"auth":"dTpwOnE="}"#, basic("u", "p:q")),
            (r#"{"auth":"dTpwAAA="}"#, basic("u", "p")),
            (r#"{"username":"u","password":"p"}"#, basic("u", "p")),
            (r#"{"username":"x","password":"y","auth":"dTpw"}"#, basic("u", "p")),
            (r#"{"auth":"dTo=","identitytoken":"t"}"#, Some(Credentials::IdentityToken(Secret::new("t")))),
            (r#"{"identitytoken":"t","registrytoken":"r"}"#, Some(Credentials::Bearer(Secret::new("r")))),
            (r#"{"auth":"","identitytoken":null}"#, None),
            ("{}", None),
        ] {
            let text = format!(r#"{{"auths":{{"r.io":{entry_text}}}}}"#);
            assert_eq!(entry(&text, "r.io", "a"), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_key_that_fits_best_counts() {
        let text = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"aHViOnA="},"r.io":{"auth":"aG9zdDpw"},
            "r.io/team":{"auth":"dGVhbTpw"},"r.io/team/app":{},"http://old.io:5000/v2/":{"auth":"b2xkOnA="}}}"#;
        for (host, repository, user) in [
            ("docker.io", "library/debian", Some("hub")),
            ("r.io", "app", Some("host")),
            ("r.io", "team/other", Some("team")),
            // An entry that says nothing hides nothing.
            ("r.io", "team/app", Some("team")),
            ("old.io:5000", "a", Some("old")),
            ("old.io", "a", None),
            ("io", "a", None),
        ] {
            let expected = user.and_then(|user| basic(user, "p"));
            assert_eq!(entry(text, host, repository), Ok(expected), "{host}/{repository}");
        }
    }

    #[test]
    fn helpers_are_asked_by_the_name_that_the_file_gives_the_host() {
        let text = r#"{"credsStore":"pass","credHelpers":{"r.io":"ecr-login","docker.io":"secretservice","plain.io":""}}"#;
        let config = parse(text.as_bytes()).expect("a file");
        let asked = |helper: &str, server: &str, alone| {
            Ok(Some(Asked { helper: helper.into(), server: server.into(), alone }))
        };
        assert_eq!(config.helper("r.io"), asked("ecr-login", "r.io", true));
        assert_eq!(config.helper("docker.io"), asked("secretservice", "docker.io", true));
        assert_eq!(config.helper("plain.io"), Ok(None));
        assert_eq!(config.helper("other.io:5000"), asked("pass", "other.io:5000", false));
        assert_eq!(config.programs(), ["ecr-login", "pass", "secretservice"]);
        let config = parse(br#"{"credsStore":"pass"}"#).expect("a file");
        assert_eq!(config.helper("docker.io"), asked("pass", "https://index.docker.io/v1/", false));
        assert_eq!(parse(b" \n").expect("an empty file").helper("r.io"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_said_by_its_place_and_not_quoted() {
        for (text, place) in [
            ("{\n \"hunter2", "line 2, column 9: is not JSON"),
            ("{} hunter2", "line 1, column 4: is not JSON"),
            ("[\"hunter2\"]", "is not a JSON object"),
            (r#"{"auths":"hunter2"}"#, "auths: is not an object"),
            (r#"{"credHelpers":["hunter2"]}"#, "credHelpers: is not an object"),
            (r#"{"credsStore":{"hunter2":1}}"#, "credsStore: is not a string"),
            (r#"{"credHelpers":{"r.io":["hunter2"]}}"#, "credHelpers: \"r.io\": is not a string"),
            (r#"{"auths":{"r.io":"hunter2"}}"#, "auths: \"r.io\": is not an object"),
            (r#"{"auths":{"r.io":{"auth":["hunter2"]}}}"#, "auths: \"r.io\": auth: is not a string"),
            (r#"{"auths":{"r.io":{"auth":"hunter2!"}}}"#, "auths: \"r.io\": auth: is not base64"),
            (
                r#"{"auths":{"r.io":{"auth":"aHVudGVyMg=="}}}"#,
                "auths: \"r.io\": auth: is not USER:PASSWORD in base64",
            ),
            (r#"{"auths":{"r.io":{"auth":"Omh1bnRlcjI="}}}"#, "auths: \"r.io\": auth: has no user"),
        ] {
            let read = parse(text.as_bytes());
            let why = read
                .and_then(|config| config.helper("r.io").and_then(|_| config.entry("r.io", "a")))
                .expect_err(text);
            assert_eq!(why, place, "{text}");
            assert!(!why.contains("hunter2"), "{why}");
        }
        // What is wrong with another host's is no concern of this one.
        assert_eq!(entry(r#"{"auths":{"other.io":{"auth":"!"}}}"#, "r.io", "a"), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_again(user in "[^:\0]{1,10}", password in "[^\0]{0,20}") {
            let text = serde_json::json!({"auths": {"r.io": {"auth": encoded(&user, &Secret::new(password.as_str()))}}});
            prop_assert_eq!(entry(&text.to_string(), "r.io", "a"), Ok(basic(&user, &password)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = entry(&text, "r.io", "a");
        }
    }
}
