//! With which credentials and certificates a registry is asked, which hosts are asked before it, and when none is.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::login::said;
use crate::support::peer::{PASSWORD, SecuredRegistry, USER};
use crate::support::web::{Does, Web, answer};
use crate::support::{Sandbox, feed, fixture, need, peer, run, wait_for};

/// `larder:correct horse`, and `larder:hunter2`, in base64.
const RIGHT: &str = "bGFyZGVyOmNvcnJlY3QgaG9yc2U=";
const WRONG: &str = "bGFyZGVyOmh1bnRlcjI=";

/// A credential helper as a script that keeps what it gets in a directory, which is returned, a file a server; `before`
/// is done first. It is in front of everything on the `PATH`.
pub(super) fn install_helper(sandbox: &mut Sandbox, name: &str, before: &str) -> PathBuf {
    let (bin, kept) = (sandbox.path("bin"), sandbox.path("kept"));
    for dir in [&bin, &kept] {
        std::fs::create_dir_all(dir).unwrap();
    }
    let script = format!(
        r#"{before}
input=$(cat)
case $1 in
  store) server=${{input#*\"ServerURL\":\"}}; printf %s "$input" >"{kept}/${{server%%\"*}}" ;;
  get) cat "{kept}/$input" 2>/dev/null || {{ echo credentials not found in native keychain; exit 1; }} ;;
  erase) rm -f "{kept}/$input" ;;
esac
"#,
        kept = kept.display()
    );
    write_program(&bin.join(format!("docker-credential-{name}")), &script);
    let mut path = OsString::from(&bin);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    sandbox.set("PATH", path);
    kept
}

/// Another process writes it: what is open for writing here, other tests' children could have open for a moment too, and
/// then it cannot be run.
fn write_program(path: &Path, script: &str) {
    let write = r#"printf '#!/bin/sh\n%s' "$1" >"$0" && chmod 755 "$0""#;
    run(Command::new("sh").args(["-c", write]).arg(path).arg(script));
}

fn write(path: PathBuf, text: impl ToString) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text.to_string()).unwrap();
}

/// Puts a fixture into a registry by skopeo.
fn push(sandbox: &Sandbox, options: &[&str], to: &str) {
    let mut skopeo = peer::tool("skopeo").expect("skopeo");
    let source = format!("docker-archive:{}", fixture("docker20.tar").display());
    skopeo.args(["--insecure-policy", "copy", "-q"]).args(options).arg(source).arg(format!("docker://{to}"));
    run(&mut sandbox.enclose(skopeo));
}

fn push_secured(sandbox: &Sandbox, registry: &SecuredRegistry, name: &str) -> String {
    let image = format!("{}/{name}", registry.address);
    let certificates = registry.authority.parent().unwrap().join("trusted");
    std::fs::create_dir_all(&certificates).unwrap();
    let _ = std::fs::copy(&registry.authority, certificates.join("ca.crt"));
    let options =
        ["--dest-cert-dir", certificates.to_str().unwrap(), "--dest-creds", &format!("{USER}:{PASSWORD}")];
    push(sandbox, &options, &image);
    image
}

#[test]
fn credentials_are_found_in_the_order_of_skopeo() {
    let registry = need!(peer::secured_registry(), "docker-registry over TLS");
    need!(peer::tool("skopeo"), "skopeo");
    let host = registry.address.as_str();
    let image = push_secured(&Sandbox::new(), &registry, "access/order:1");
    let (right, wrong) =
        (json!({"auths": {host: {"auth": RIGHT}}}), json!({"auths": {host: {"auth": WRONG}}}));
    let of_part = |part: &str, whole: &str| json!({"auths": {host: {"auth": whole}, format!("{host}/access"): {"auth": part}}});
    let nothing = json!({"auths": {host: {}}});
    let (docker, podman) = ("home/.docker/config.json", "run/containers/auth.json");
    let config_home = "home/.config/containers/auth.json";
    // The files, a variable, and which of the files is said where it is refused.
    for (files, variable, refused) in [
        (vec![(docker, &right)], None, None),
        (vec![(docker, &wrong)], None, Some(docker)),
        (vec![(podman, &right), (config_home, &wrong), (docker, &wrong)], None, None),
        (vec![(podman, &wrong), (docker, &right)], None, Some(podman)),
        (vec![(config_home, &wrong), (docker, &right)], None, Some(config_home)),
        (vec![(podman, &nothing), (docker, &right)], None, None),
        (vec![(docker, &wrong), ("job/config.json", &right)], Some(("DOCKER_CONFIG", "job")), None),
        (vec![(podman, &wrong), ("job.json", &right)], Some(("REGISTRY_AUTH_FILE", "job.json")), None),
        (vec![(docker, &right)], Some(("REGISTRY_AUTH_FILE", "job.json")), Some("there are no credentials")),
        (vec![(docker, &of_part(RIGHT, WRONG))], None, None),
        (vec![(docker, &of_part(WRONG, RIGHT))], None, Some(docker)),
    ] {
        let mut sandbox = Sandbox::new();
        registry.trust_in(&sandbox);
        sandbox.set("XDG_RUNTIME_DIR", sandbox.path("run"));
        if let Some((name, value)) = variable {
            sandbox.set(name, sandbox.path(value));
        }
        for (file, text) in &files {
            write(sandbox.path(file), text);
        }
        let output = sandbox.larder(["pull", &image]);
        let text = said(&output);
        match refused {
            None => assert!(output.status.success(), "{files:?} {variable:?}: {text}"),
            Some(what) => {
                assert_eq!(output.status.code(), Some(1), "{files:?} {variable:?}: {text}");
                assert!(text.contains(what) && text.contains(&format!("larder login {host}")), "{text}");
            }
        }
    }
}

#[test]
fn tokens_of_a_file_are_sent_to_whom_they_are_for() {
    // An identity token is for the service, which gives another one for it; a registry's token is for the registry.
    for (entry, service, registry) in [
        (json!({"auth": RIGHT, "identitytoken": "hunter2"}), "POST /token", "Bearer given"),
        (json!({"auth": RIGHT, "registrytoken": "hunter2"}), "", "Bearer hunter2"),
        (json!({"auth": RIGHT}), "GET /token?service=x", "Bearer given"),
    ] {
        let (sandbox, web) = (Sandbox::new(), Web::new());
        write(sandbox.path("home/.docker/config.json"), json!({"auths": {web.address.as_str(): entry}}));
        let realm = format!(r#"Bearer realm="http://{}/token",service="x""#, web.address);
        web.rule(move |asked| match (asked.path.starts_with("/token"), asked.header("authorization")) {
            (true, _) => Does::Answer(answer("200 OK", &[], br#"{"token":"given"}"#)),
            (false, Some(_)) => Does::Answer(answer("404 Not Found", &[], b"")),
            (false, None) => Does::Answer(answer("401 Unauthorized", &[("WWW-Authenticate", &realm)], b"")),
        });
        let text = said(&sandbox.larder(["pull", &format!("{}/a:1", web.address)]));
        assert!(text.contains("404"), "{text}");
        let asked = web.take_all();
        let to_service: Vec<_> = asked.iter().filter(|asked| asked.path.starts_with("/token")).collect();
        assert_eq!(to_service.len(), usize::from(!service.is_empty()), "{asked:?}");
        for asked in &to_service {
            let request =
                format!("{} {}", asked.method, asked.path.replace("scope=repository%3Aa%3Apull&", ""));
            assert_eq!(request, service);
            let password = (asked.method == "GET").then(|| format!("Basic {RIGHT}"));
            assert_eq!(asked.header("authorization"), password.as_deref());
        }
        let to_registry = asked.iter().filter(|asked| !asked.path.starts_with("/token"));
        let shown: Vec<_> = to_registry.filter_map(|asked| asked.header("authorization")).collect();
        assert!(!shown.is_empty() && shown.iter().all(|shown| *shown == registry), "{shown:?}");
    }
}

#[test]
fn a_helper_is_asked_for_the_host() {
    let registry = need!(peer::secured_registry(), "docker-registry over TLS");
    need!(peer::tool("skopeo"), "skopeo");
    let host = registry.address.as_str();
    let mut sandbox = Sandbox::new();
    registry.trust_in(&sandbox);
    let image = push_secured(&sandbox, &registry, "access/helper:1");
    // What it says on stderr might be anything.
    let kept = install_helper(&mut sandbox, "test", "echo hunter2 >&2");
    let config = |config: serde_json::Value| write(sandbox.path("home/.docker/config.json"), config);
    let pull = |word: &str| {
        let output = sandbox.larder(["pull", &image]);
        let text = said(&output);
        assert_eq!(output.status.success(), word.is_empty(), "{text}");
        assert!(text.contains(word), "{text}");
    };
    let answer = json!({"ServerURL": host, "Username": USER, "Secret": PASSWORD});

    config(json!({"credHelpers": {host: "test"}, "auths": {host: {"auth": WRONG}}}));
    pull("there are no credentials");
    std::fs::write(kept.join(host), answer.to_string()).unwrap();
    pull("");
    sandbox.ok(["rm", &image]);
    sandbox.ok(["gc"]);
    config(json!({"credsStore": "test"}));
    pull("");
    std::fs::write(kept.join(host), answer.to_string().replace(PASSWORD, "hunter2")).unwrap();
    pull("docker-credential-test (");
    std::fs::write(kept.join(host), "hunter2").unwrap();
    pull("docker-credential-test: its answer is not the JSON object");
    config(json!({"credHelpers": {host: "none"}}));
    pull("docker-credential-none: is not below PATH");
}

#[test]
fn a_signal_ends_a_helper_that_hangs() {
    let mut sandbox = Sandbox::new();
    let fifo = sandbox.path("fifo");
    install_helper(&mut sandbox, "test", &format!("mkfifo {0}; cat {0}", fifo.display()));
    write(sandbox.path("home/.docker/config.json"), json!({"credsStore": "test"}));
    let mut child = sandbox.command(["pull", "127.0.0.1:1/x"]).spawn().unwrap();
    wait_for(|| fifo.exists().then_some(()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_damaged_file_of_credentials_is_named_and_not_quoted() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("home/.docker/config.json");
    let long = " ".repeat(2 << 20);
    for (text, why) in [
        ("{\"auths\":\n hunter2}", "line 2, column 2: is not JSON"),
        (r#"{"auths":{"127.0.0.1:1":{"auth":"hunter2!"}}}"#, "auths: \"127.0.0.1:1\": auth: is not base64"),
        (r#"{"credHelpers":{"127.0.0.1:1":{"hunter2":1}}}"#, "is not a string"),
        (&long, "more than 1 MiB"),
    ] {
        write(file.clone(), text);
        let output = sandbox.larder(["pull", "127.0.0.1:1/x"]);
        let shown = said(&output);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.contains(why) && shown.contains(file.to_str().unwrap()), "{shown}");
    }
    // doctor goes on to what else there is.
    write(file, "{hunter2");
    let text = said(&sandbox.larder(["doctor"]));
    assert!(text.contains("is not JSON") && text.contains("Docker engine"), "{text}");
}

#[test]
fn offline_lets_no_request_leave() {
    let sandbox = Sandbox::new();
    let web = Web::new();
    let host = web.address.clone();
    let file = sandbox.path("home/.config/larder/larder.toml");
    write(file.clone(), "offline = true\n");
    let login = ["login", &host, "-u", USER, "--password-stdin"];
    let pull = ["pull", &format!("{host}/a:1")];
    for output in [sandbox.larder(pull), feed(&mut sandbox.command(login), PASSWORD.as_bytes())] {
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains(&host) && text.contains(file.to_str().unwrap()) && text.contains("offline"),
            "{text}"
        );
    }
    assert!(web.take().is_empty());
    assert!(!sandbox.path("home/.docker").exists());
    assert_eq!(sandbox.json(["doctor"])["registries"]["offline"], json!(file));
}

#[test]
fn what_is_wrong_in_the_hosts_configuration_is_said_with_its_line() {
    let mut sandbox = Sandbox::new();
    sandbox.set("XDG_CONFIG_HOME", sandbox.path("config"));
    let file = sandbox.path("config/larder/larder.toml");
    for (text, why) in
        [("\nofline = true", "line 2"), ("[mirrors]\n\"docker.io\" = [\"https://m.io\"]", "https://m.io")]
    {
        write(file.clone(), text);
        let error = sandbox.fail(["pull", "127.0.0.1:1/x"], 1);
        assert!(error.contains(file.to_str().unwrap()) && error.contains(why), "{error}");
    }
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn mirrors_are_asked_in_their_order_and_before_the_host_itself() {
    let registry = need!(peer::registry(), "docker-registry");
    need!(peer::tool("skopeo"), "skopeo");
    let (sandbox, host) = (Sandbox::new(), registry.address.as_str());
    push(&sandbox, &["--dest-tls-verify=false"], &format!("{host}/mirrored/access/image:1"));
    let mirrors = |list: &[&str]| {
        let list: Vec<_> = list.iter().map(|mirror| format!("{mirror:?}")).collect();
        let text = format!("[mirrors]\n\"origin.invalid\" = [{}]\n", list.join(", "));
        write(sandbox.path("home/.config/larder/larder.toml"), text);
    };
    // Nobody answers at the first, and the second has nothing of that name.
    mirrors(&["127.0.0.1:1", &format!("{host}/other"), &format!("{host}/mirrored")]);
    assert!(sandbox.ok(["pull", "origin.invalid/access/image:1"]).contains("origin.invalid/access/image:1"));
    let log = registry.log();
    let asked = |name: &str| log.find(&format!("\"HEAD /v2/{name}/access/image/manifests/1 "));
    assert!(
        asked("other").is_some() && asked("other") < asked("mirrored"),
        "{:?}",
        (asked("other"), asked("mirrored"))
    );
    // Where none has it, the host itself has the last word.
    mirrors(&[&format!("{host}/other")]);
    let error = sandbox.fail(["pull", "origin.invalid/access/image:2"], 1);
    assert!(error.contains("origin.invalid"), "{error}");
}

#[test]
fn half_of_a_clients_certificate_is_refused() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("home/.config/containers/certs.d/127.0.0.1:1");
    for (name, why) in
        [("ca.cert", "its key ca.key is missing"), ("client.key", "its certificate client.cert is missing")]
    {
        write(dir.join(name), "");
        let error = sandbox.fail(["pull", "127.0.0.1:1/x"], 1);
        assert!(error.contains(dir.join(name).to_str().unwrap()) && error.contains(why), "{error}");
        std::fs::remove_file(dir.join(name)).unwrap();
    }
}

/// A registry of its own that wants a certificate of its clients, and ends with this.
struct Mutual {
    child: Child,
    address: String,
}

impl Mutual {
    /// Makes `ca.crt`, and `server` and `client`, each `.cert` and `.key`, in a directory, and starts the registry there.
    fn start(dir: &Path) -> Option<Mutual> {
        peer::tool("openssl")?;
        let openssl = |name: &str, more: &str| {
            let words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj";
            let mut openssl = peer::tool("openssl").expect("openssl");
            openssl.args(words.split(' ')).arg(format!("/CN={name}")).args(more.split(' ')).current_dir(dir);
            openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.cert")]);
            run(&mut openssl);
        };
        openssl("ca", "-addext keyUsage=critical,keyCertSign");
        std::fs::rename(dir.join("ca.cert"), dir.join("ca.crt")).unwrap();
        let signed = "-CA ca.crt -CAkey ca.key -addext basicConstraints=critical,CA:FALSE -addext";
        openssl("server", &format!("{signed} subjectAltName=IP:127.0.0.1"));
        openssl("client", &format!("{signed} extendedKeyUsage=clientAuth"));
        let text = format!(
            r#"{{"version": "0.1", "storage": {{"filesystem": {{"rootdirectory": "{0}/data"}}}}, "http": {{"addr": "127.0.0.1:0",
            "tls": {{"certificate": "{0}/server.cert", "key": "{0}/server.key", "clientcas": ["{0}/ca.crt"]}}}}}}"#,
            dir.display()
        );
        std::fs::write(dir.join("config.yml"), text).unwrap();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let mut registry = peer::tool("docker-registry")?;
        let child = registry
            .arg("serve")
            .arg(dir.join("config.yml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let listening = || {
            let log = std::fs::read_to_string(dir.join("log")).unwrap();
            let (_, behind) = log.split_once("listening on ")?;
            Some(behind.split(['"', ',']).next()?.to_owned())
        };
        let address = wait_for(listening);
        Some(Mutual { child, address })
    }
}

impl Drop for Mutual {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_clients_certificate_is_shown() {
    let sandbox = Sandbox::new();
    let made = sandbox.path("made");
    std::fs::create_dir(&made).unwrap();
    let registry = need!(Mutual::start(&made), "docker-registry and openssl");
    let image = format!("{}/none:1", registry.address);
    let dir = sandbox.path("home/.config/containers/certs.d").join(&registry.address);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(made.join("ca.crt"), dir.join("ca.crt")).unwrap();
    let error = sandbox.fail(["pull", &image], 1);
    assert!(error.contains(&registry.address) && !error.contains("404"), "{error}");
    for name in ["client.cert", "client.key"] {
        std::fs::copy(made.join(name), dir.join(name)).unwrap();
    }
    // There is no such image, and that is all that is wrong.
    let error = sandbox.fail(["pull", &image], 3);
    assert!(error.contains("404"), "{error}");
}
