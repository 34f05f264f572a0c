//! How a registry says that it wants to know who is asking: `WWW-Authenticate` (RFC 9110, section 11.6.1).

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token, which this service gives.
    Bearer(Service),
}

/// Who gives tokens (distribution, docs/spec/auth/token.md).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Service {
    pub(super) realm: String,
    pub(super) service: Option<String>,
    pub(super) scope: Option<String>,
}

/// The challenges in header lines. Other schemes, and a bearer without a realm, are passed over; so is what cannot be read.
pub(super) fn challenges<'h>(headers: impl Iterator<Item = &'h str>) -> Vec<Challenge> {
    headers.flat_map(parse).collect()
}

/// The one to answer: tokens are better than passwords.
pub(super) fn best(challenges: Vec<Challenge>) -> Option<Challenge> {
    let is_bearer = |challenge: &Challenge| matches!(challenge, Challenge::Bearer(_));
    let at = challenges.iter().position(is_bearer);
    challenges.into_iter().nth(at.unwrap_or(0))
}

fn parse(header: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    // The scheme and parameters of the challenge that is being read.
    let mut current: Option<(String, Vec<(String, String)>)> = None;
    let mut rest = header.trim();
    while !rest.is_empty() {
        let end = rest.find([' ', '=', ',']).unwrap_or(rest.len());
        let word = &rest[..end];
        let behind = rest[end..].trim_start();
        if let Some(value) = behind.strip_prefix('=').filter(|_| !word.is_empty()) {
            let (value, left) = value_of(value.trim_start());
            if let Some((_, parameters)) = &mut current {
                parameters.push((word.to_ascii_lowercase(), value));
            }
            rest = left.trim_start();
        } else {
            if !word.is_empty() {
                found.extend(current.take().and_then(challenge));
                current = Some((word.to_ascii_lowercase(), Vec::new()));
            }
            // A lone `=` must not be met for ever.
            rest = behind.strip_prefix('=').unwrap_or(behind);
        }
        rest = rest.trim_start_matches([',', ' ']);
    }
    found.extend(current.and_then(challenge));
    found
}

/// A token or a quoted string, and what stands behind it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut is_escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if is_escaped => {
                value.push(c);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            _ => value.push(c),
        }
    }
    (value, "")
}

fn challenge((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let take = |key: &str| {
        parameters
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.clone())
            .filter(|v| !v.is_empty())
    };
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer(Service {
            realm: take("realm")?,
            service: take("service"),
            scope: take("scope"),
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer(Service {
            realm: realm.into(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn registries_say_it_in_many_ways() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull""#;
        for (header, expected) in [
            (
                hub,
                vec![bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/debian:pull"),
                )],
            ),
            (r#"Basic realm="Registry Realm""#, vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                r#"bearer REALM = "https://a/t" , Scope="a:b:pull,push""#,
                vec![bearer("https://a/t", None, Some("a:b:pull,push"))],
            ),
            (
                r#"Negotiate, Basic realm="x", Bearer realm="https://a\"b""#,
                vec![Challenge::Basic, bearer("https://a\"b", None, None)],
            ),
            (r#"Bearer service="x""#, vec![]),
            (r#"Bearer realm="unfinished"#, vec![bearer("unfinished", None, None)]),
            ("", vec![]),
            ("=,=", vec![]),
        ] {
            assert_eq!(challenges(std::iter::once(header)), expected, "{header}");
        }
    }

    #[test]
    fn a_token_is_preferred() {
        let both = [r#"Basic realm="x""#, r#"Bearer realm="https://a""#];
        assert_eq!(best(challenges(both.into_iter())), Some(bearer("https://a", None, None)));
        assert_eq!(best(Vec::new()), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_hang(header in "[a-zé=\", \\\\]{0,60}") {
            let _ = challenges(std::iter::once(header.as_str()));
        }
    }
}
