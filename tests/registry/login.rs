//! `login` and `logout`: the registry is asked, and what is kept is docker's file, as docker would have it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::peer::{PASSWORD, USER};
use crate::support::web::{Does, Web, answer};
use crate::support::{Sandbox, feed, need, peer, run};

/// `USER:PASSWORD` in base64.
const ENCODED: &str = "bGFyZGVyOmNvcnJlY3QgaG9yc2U=";

fn login(sandbox: &Sandbox, host: &str, password: &str) -> Output {
    feed(&mut sandbox.command(["login", host, "-u", USER, "--password-stdin"]), password.as_bytes())
}

/// What a command said, which must be no secret.
pub(super) fn said(output: &Output) -> String {
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    for secret in [PASSWORD, ENCODED, "hunter2", "aHVudGVyMg"] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Answers everything with 200, on all loopback addresses; its port.
fn open_registry() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
                    request.push(byte[0]);
                }
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
            });
        }
    });
    port
}

#[test]
fn only_what_the_registry_takes_is_kept() {
    let registry = need!(peer::secured_registry(), "docker-registry over TLS");
    let (sandbox, host) = (Sandbox::new(), registry.address.as_str());
    let file = sandbox.path("home/.docker/config.json");

    // Whoever speaks for it without its authority is not told the password.
    let output = login(&sandbox, host, PASSWORD);
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains(host) && text.contains("GET /v2/") && text.contains("certs.d"), "{text}");
    assert!(!file.exists());

    registry.trust_in(&sandbox);
    let output = login(&sandbox, host, "hunter2");
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains(host) && text.contains("GET /v2/") && text.contains("401"), "{text}");
    assert!(text.contains("nothing was kept") && !file.exists(), "{text}");

    // With the end of its line, as `echo` writes it.
    let output = login(&sandbox, host, &format!("{PASSWORD}\n"));
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty());
    assert!(said(&output).contains("config.json"));
    assert_eq!(read(&file), json!({"auths": {host: {"auth": ENCODED}}}));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);

    let doctor = sandbox.json(["doctor"]);
    let credentials = &doctor["registries"]["credentials"];
    assert_eq!(*credentials, json!([{"file": file, "entries": 1, "helpers": [], "error": null}]));
    assert!(said(&sandbox.larder(["doctor"])).contains("config.json (1 entry)"));

    let output = sandbox.larder(["logout", host]);
    assert!(output.status.success() && said(&output).contains("forgotten"));
    assert_eq!(read(&file), json!({"auths": {}}));
    assert!(said(&sandbox.larder(["logout", host])).contains("nothing to forget"));
}

#[test]
fn a_service_for_tokens_is_asked_for_none_in_particular() {
    let (sandbox, web) = (Sandbox::new(), Web::new());
    let realm = format!(r#"Bearer realm="http://{}/token",service="x""#, web.address);
    let basic = format!("Basic {ENCODED}");
    web.rule(move |asked| {
        let authorization = asked.header("authorization");
        let unauthorized = |challenge: &str| {
            Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", challenge)], b""))
        };
        match (asked.path.starts_with("/token"), authorization) {
            (true, Some(text)) if text == basic => Does::Answer(answer("200 OK", &[], br#"{"token":"abc"}"#)),
            (true, _) => unauthorized(r#"Basic realm="x""#),
            (false, Some("Bearer abc")) => Does::Answer(answer("200 OK", &[], b"{}")),
            (false, _) => unauthorized(&realm),
        }
    });
    let output = login(&sandbox, &web.address, "hunter2");
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("GET /token") && text.contains("nothing was kept"), "{text}");
    assert!(!sandbox.path("home/.docker").exists());
    web.take();
    let output = login(&sandbox, &web.address, PASSWORD);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(web.take(), ["GET /v2/", "GET /token?service=x", "GET /v2/"]);
    assert!(sandbox.path("home/.docker/config.json").exists());
}

#[test]
fn skopeo_and_larder_know_each_others_logins() {
    let registry = need!(peer::secured_registry(), "docker-registry over TLS");
    let mut skopeo = need!(peer::tool("skopeo"), "skopeo");
    let (mut sandbox, host) = (Sandbox::new(), registry.address.as_str());
    registry.trust_in(&sandbox);
    std::fs::create_dir(sandbox.path("run")).unwrap();
    sandbox.set("XDG_RUNTIME_DIR", sandbox.path("run"));
    let own = sandbox.path("run/containers/auth.json");

    assert!(login(&sandbox, host, PASSWORD).status.success());
    skopeo.args(["login", "--get-login", host]);
    assert_eq!(run(&mut sandbox.enclose(skopeo)).trim(), USER);

    assert!(sandbox.larder(["logout", host]).status.success());
    let mut skopeo = peer::tool("skopeo").unwrap();
    skopeo.args(["login", "-u", USER, "--password-stdin", host]);
    let output = feed(&mut sandbox.enclose(skopeo), PASSWORD.as_bytes());
    assert!(output.status.success(), "{output:?}");
    assert!(own.exists());
    // It is refused for the image, and no more for who asks.
    let text = said(&sandbox.larder(["pull", &format!("{host}/access/none:1")]));
    assert!(text.contains("404"), "{text}");
    let text = said(&sandbox.larder(["logout", host]));
    assert!(text.contains("nothing to forget") && text.contains(own.to_str().unwrap()), "{text}");
    let text = said(&login(&sandbox, host, PASSWORD));
    assert!(text.contains(own.to_str().unwrap()) && text.contains("asked before"), "{text}");
}

#[test]
fn all_else_in_the_file_and_its_links_stay() {
    let (mut sandbox, host) = (Sandbox::new(), format!("127.0.0.1:{}", open_registry()));
    let (dir, real) = (sandbox.path("config"), sandbox.path("elsewhere/real.json"));
    for dir in [&dir, &sandbox.path("elsewhere")] {
        std::fs::create_dir(dir).unwrap();
    }
    let text = "{\n\t\"psFormat\": \"table {{.ID}}\",\n\t\"auths\": {\n\t\t\"z.io\": {\"auth\":  \"dTpw\"}\n\t},\n\t\"HttpHeaders\": { \"b\": 1, \"a\": 2 }\n}\n";
    std::fs::write(&real, text).unwrap();
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o644)).unwrap();
    symlink("../elsewhere/real.json", dir.join("config.json")).unwrap();
    sandbox.set("DOCKER_CONFIG", &dir);

    let output = login(&sandbox, &host, PASSWORD);
    assert!(said(&output).contains("was not tried"), "{output:?}");
    let entry = format!(
        "\"z.io\": {{\"auth\":  \"dTpw\"}},\n\t\t\"{host}\": {{\n\t\t\t\"auth\": \"{ENCODED}\"\n\t\t}}\n"
    );
    let expected = text.replace("\"z.io\": {\"auth\":  \"dTpw\"}\n", &entry);
    assert_eq!(std::fs::read_to_string(&real).unwrap(), expected);
    assert!(dir.join("config.json").is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(sandbox.path("elsewhere")).unwrap().count(), 1);

    assert!(sandbox.larder(["logout", &host]).status.success());
    assert_eq!(std::fs::read_to_string(&real).unwrap(), text);

    // What is no such file is left as it is.
    std::fs::write(&real, "{\"auths\": hunter2").unwrap();
    for output in [login(&sandbox, &host, PASSWORD), sandbox.larder(["logout", &host])] {
        assert_eq!(output.status.code(), Some(1));
        let text = said(&output);
        assert!(text.contains("config.json: line 1, column 11: is not JSON"), "{text}");
    }
    assert_eq!(std::fs::read_to_string(&real).unwrap(), "{\"auths\": hunter2");
}

#[test]
fn logins_at_a_time_are_all_kept() {
    let (sandbox, port) = (Sandbox::new(), open_registry());
    let hosts: Vec<_> = (1..=12).map(|number| format!("127.0.0.{number}:{port}")).collect();
    std::thread::scope(|scope| {
        for host in &hosts {
            scope.spawn(|| assert!(login(&sandbox, host, PASSWORD).status.success()));
        }
    });
    let file = read(&sandbox.path("home/.docker/config.json"));
    assert_eq!(file["auths"].as_object().unwrap().len(), hosts.len(), "{file}");
}

#[test]
fn a_helper_keeps_what_it_is_configured_for() {
    let (mut sandbox, host) = (Sandbox::new(), format!("127.0.0.1:{}", open_registry()));
    let kept = super::access::install_helper(&mut sandbox, "test", "");
    let file = sandbox.path("home/.docker/config.json");
    for config in [json!({"credsStore": "test"}), json!({"credHelpers": {host.as_str(): "test"}})] {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, config.to_string()).unwrap();
        let text = said(&login(&sandbox, &host, PASSWORD));
        assert!(text.contains("docker-credential-test keeps"), "{text}");
        let expected = json!({"ServerURL": host, "Username": USER, "Secret": PASSWORD});
        assert_eq!(read(&kept.join(&host)), expected);
        let mut with_entry = config.clone();
        with_entry["auths"] = json!({host.as_str(): {}});
        assert_eq!(read(&file), with_entry);

        assert!(said(&sandbox.larder(["logout", &host])).contains("forgotten"));
        assert!(!kept.join(&host).exists());
        assert_eq!(read(&file)["auths"], json!({}));
        assert!(said(&sandbox.larder(["logout", &host])).contains("nothing to forget"));
    }
}

#[test]
fn registry_auth_file_is_written_where_it_is_what_is_read() {
    let (mut sandbox, host) = (Sandbox::new(), format!("127.0.0.1:{}", open_registry()));
    let file = sandbox.path("job/auth.json");
    sandbox.set("REGISTRY_AUTH_FILE", &file);
    assert!(login(&sandbox, &host, PASSWORD).status.success());
    assert_eq!(read(&file), json!({"auths": {host: {"auth": ENCODED}}}));
    assert!(!sandbox.path("home/.docker").exists());
}

#[test]
fn what_cannot_be_a_login_is_refused_before_anybody_is_asked() {
    let sandbox = Sandbox::new();
    let too_long = "p".repeat(100_000);
    for (args, stdin, code, word) in [
        (&["login", "127.0.0.1:1", "-u", USER][..], PASSWORD, 2, "--password-stdin"),
        (&["login", "127.0.0.1:1", "--password-stdin"], PASSWORD, 2, "-u"),
        (&["login", "127.0.0.1:1", "-u", "", "--password-stdin"], PASSWORD, 2, "user is empty"),
        (&["login", "127.0.0.1:1", "-u", "a:b", "--password-stdin"], PASSWORD, 2, "no `:`"),
        (&["login", "127.0.0.1:1", "-u", USER, "--password-stdin"], "\n", 1, "password is empty"),
        (&["login", "127.0.0.1:1", "-u", USER, "--password-stdin"], &too_long, 1, "64 KiB"),
        (&["login", "ghcr.io/me", "-u", USER, "--password-stdin"], PASSWORD, 2, "no registry's host"),
        (&["login", "../x", "-u", USER, "--password-stdin"], PASSWORD, 2, "no registry's host"),
        (&["login", "ghcr.io", "-p", PASSWORD], "", 2, "-p"),
        (&["logout", "user@ghcr.io"], "", 2, "no registry's host"),
    ] {
        let output = feed(&mut sandbox.command(args), stdin.as_bytes());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert!(text.contains(word), "{args:?}: {text}");
    }
    assert!(!sandbox.path("home/.docker").exists());
}

#[test]
fn what_is_typed_is_not_shown() {
    let mut script = need!(peer::tool("script"), "script");
    let (sandbox, host) = (Sandbox::new(), format!("127.0.0.1:{}", open_registry()));
    let larder = assert_cmd::cargo::cargo_bin!("larder");
    script.arg("-qec").arg(format!("{} login {host}", larder.display())).arg("/dev/null");
    let mut child = sandbox.enclose(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = Vec::new();
    let mut answer = |question: &str, answer: &str| {
        let mut byte = [0];
        while !String::from_utf8_lossy(&shown).contains(question) {
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&shown));
            shown.push(byte[0]);
        }
        stdin.write_all(answer.as_bytes()).unwrap();
    };
    answer("User: ", "larder\n");
    answer("(not shown): ", "correct horse\n");
    stdout.read_to_end(&mut shown).unwrap();
    assert!(child.wait().unwrap().success());
    let shown = String::from_utf8_lossy(&shown);
    assert!(shown.contains("User: larder") && !shown.contains("horse"), "{shown}");
    let file = read(&sandbox.path("home/.docker/config.json"));
    assert_eq!(file, json!({"auths": {host: {"auth": ENCODED}}}));
}
