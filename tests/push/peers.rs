//! Real registries, and real programs that pull what larder pushed.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::stored;
use crate::support::image::{Image, layer, noise};
use crate::support::store::{blob, named};
use crate::support::{Docker, Sandbox, fixture, need, peer, run, wait_for};

const GCC: &str = "capy-debian-12-gcc12:latest";
const MULTI: &str = "capy-debian-12-multi:latest";
const GREETING: &str = "hello from larder\n";

/// A sandbox with an image of the fixtures.
fn imported(file: &str, name: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    sandbox.ok(["import", "--no-facts", fixture(file).to_str().unwrap()]);
    let digest = named(&sandbox.store(), name).unwrap();
    (sandbox, digest)
}

/// A name of this process on a registry.
fn place(registry: &peer::Registry, name: &str) -> String {
    format!("{}/push-{}/{name}:1", registry.address, std::process::id())
}

fn forky(sandbox: &Sandbox, name: &str, args: &[&str]) -> Option<String> {
    Some(run(peer::forky(name, sandbox.root())?.args(args)))
}

/// An engine pulls an image, says its digest, and runs it.
fn assert_runs(docker: &Docker, place: &str, digest: &str) {
    let pulled = docker.ok(["pull", place]);
    assert!(pulled.contains(&format!("Digest: {digest}")), "{pulled}");
    assert_eq!(docker.run(place, &[]), GREETING);
}

#[test]
fn everybody_pulls_what_larder_pushed() {
    let registry = need!(peer::registry(), "docker-registry");
    for (file, name) in [("docker28.tar", GCC), ("multiarch-oci.tar", MULTI), ("skopeo-oci.tar", GCC)] {
        let (sandbox, digest) = imported(file, name);
        let place = place(&registry, &file.replace('.', "-"));
        assert_eq!(sandbox.ok(["push", name, &place]), format!("{place} {digest}\n"));
        let document = blob(&sandbox.store(), &digest);
        let mut skopeo = need!(peer::tool("skopeo"), "skopeo");
        let raw = run(skopeo.args(["inspect", "--raw", "--tls-verify=false", &format!("docker://{place}")]));
        assert_eq!(raw.as_bytes(), document, "byte for byte");
        let crane = need!(forky(&sandbox, "crane", &["digest", "--insecure", &place]), "crane of forky");
        assert_eq!(crane.trim(), digest);
        let oras = ["manifest", "fetch", "--plain-http", "--descriptor", &place];
        let oras = need!(forky(&sandbox, "oras", &oras), "oras of forky");
        assert!(oras.contains(&digest), "{oras}");
        let podman = ["pull", "--quiet", "--tls-verify=false", &place];
        need!(forky(&sandbox, "podman", &podman), "podman of forky");
        let ran = forky(&sandbox, "podman", &["run", "--rm", "--network=host", &place]);
        assert_eq!(ran.as_deref(), Some(GREETING));
        let docker = need!(peer::docker28(), "Docker 28");
        assert_runs(&docker, &place, &digest);
        drop(docker);
        assert_runs(&need!(peer::docker28c(), "Docker 28 with containerd"), &place, &digest);
    }
}

#[test]
fn a_manifest_of_dockers_schema_stays_one() {
    let registry = need!(peer::registry(), "docker-registry");
    let from = place(&registry, "schema2");
    let source = format!("docker-archive:{}", fixture("docker20.tar").display());
    let mut skopeo = need!(peer::tool("skopeo"), "skopeo");
    skopeo.args(["--insecure-policy", "copy", "--format", "v2s2", "--dest-tls-verify=false", &source]);
    run(skopeo.arg(format!("docker://{from}")));
    let sandbox = Sandbox::new();
    sandbox.ok(["pull", &from]);
    let digest = named(&sandbox.store(), &from).unwrap();
    let to = place(&registry, "schema2-again");
    let pushed = &sandbox.json(["push", &from, &to])[0];
    assert_eq!(pushed["digest"], digest.as_str());
    assert_eq!(
        (&pushed["sent_blobs"], pushed["mounted_blobs"].as_u64() > Some(0)),
        (&0.into(), true),
        "{pushed}"
    );
    let log = registry.log();
    let repository = to.split_once('/').unwrap().1.trim_end_matches(":1");
    assert!(log.contains(&format!("POST /v2/{repository}/blobs/uploads/?mount=sha256:")), "it was mounted");
    assert!(!log.contains(&format!("PUT /v2/{repository}/blobs/")), "and nothing was sent");
    let docker = need!(peer::docker20(), "Docker 20.10");
    assert_runs(&docker, &to, &digest);
}

#[test]
fn an_old_engine_runs_what_went_as_gzip() {
    let registry = need!(peer::registry(), "docker-registry");
    for (file, name) in [("docker28.tar", GCC), ("multiarch-oci.tar", MULTI)] {
        let (sandbox, stored) = imported(file, name);
        let to = place(&registry, &format!("gzip-{}", file.replace('.', "-")));
        let pushed = sandbox.larder(["push", "--layers", "gzip", name, &to]);
        let said = String::from_utf8_lossy(&pushed.stderr);
        let digest = String::from_utf8_lossy(&pushed.stdout).trim().rsplit(' ').next().unwrap().to_owned();
        if file == "docker28.tar" {
            assert_ne!(digest, stored);
            assert!(said.contains(&format!("manifest {digest} in place of {stored}")), "{said}");
        } else {
            assert_eq!(digest, stored, "its layers were gzip: {said}");
        }
        let again = &sandbox.json(["push", "--layers", "gzip", name, &to])[0];
        assert_eq!((&again["digest"], &again["sent_blobs"]), (&digest.clone().into(), &0.into()));
        let docker = need!(peer::docker20(), "Docker 20.10");
        assert_runs(&docker, &to, &digest);
        if file == "docker28.tar" {
            let id = crate::support::store::document(&sandbox.store(), &stored)["config"]["digest"].clone();
            assert_eq!(docker.image_id(&to).as_deref(), id.as_str(), "the image ID stays");
        }
    }
}

#[test]
fn an_index_goes_as_gzip_too() {
    let registry = need!(peer::registry(), "docker-registry");
    let sandbox = Sandbox::new();
    std::fs::copy(fixture("multiarch-oci.tar"), sandbox.path("multi.tar")).unwrap();
    let mut copy = need!(peer::forky("skopeo", sandbox.root()), "skopeo of forky");
    copy.args([
        "--insecure-policy",
        "copy",
        "--all",
        "--dest-compress-format",
        "zstd",
        "--dest-force-compress-format",
    ]);
    run(copy.args(["oci-archive:multi.tar", "oci-archive:zstd.tar:zstd:1"]));
    sandbox.ok(["import", "--no-facts", sandbox.path("zstd.tar").to_str().unwrap(), "--name", "zstd:1"]);
    let to = place(&registry, "index-as-gzip");
    let printed = sandbox.ok(["push", "--layers", "gzip", "zstd:1", &to]);
    let digest = printed.trim().rsplit(' ').next().unwrap();
    assert_ne!(Some(digest.to_owned()), named(&sandbox.store(), "zstd:1"));
    let docker = need!(peer::docker20(), "Docker 20.10");
    assert_runs(&docker, &to, digest);
    drop(docker);
    need!(forky(&sandbox, "crane", &["validate", "--insecure", "--remote", &to]), "crane of forky");
}

#[test]
fn what_oras_attached_is_pushed_on_and_found() {
    let registry = need!(peer::registry(), "docker-registry");
    let (sandbox, digest) = imported("docker28.tar", GCC);
    let (from, to) = (place(&registry, "signed"), place(&registry, "signed-again"));
    sandbox.ok(["push", GCC, &from]);
    std::fs::write(sandbox.path("sbom.txt"), "what is in it").unwrap();
    let attach = [
        "attach",
        "--plain-http",
        "--artifact-type",
        "application/vnd.example.sbom",
        &from,
        "sbom.txt:text/plain",
    ];
    need!(forky(&sandbox, "oras", &attach), "oras of forky");
    let other = Sandbox::new();
    other.ok(["pull", "--referrers", &from]);
    let pushed = &other.json(["push", &from, &to])[0];
    assert_eq!((&pushed["digest"], &pushed["referrers"]), (&digest.into(), &1.into()), "{pushed}");
    let discover = ["discover", "--plain-http", "--format", "json", &to];
    let found = forky(&sandbox, "oras", &discover).unwrap();
    assert!(found.contains("application/vnd.example.sbom"), "{found}");
    // A second one there does not push the first one out.
    let attach = [
        "attach",
        "--plain-http",
        "--artifact-type",
        "application/vnd.example.other",
        &to,
        "sbom.txt:text/plain",
    ];
    forky(&sandbox, "oras", &attach);
    let put = format!("PUT /v2/{}", to.split_once('/').unwrap().1.trim_end_matches(":1"));
    let before = registry.log().matches(&put).count();
    other.ok(["push", &from, &to]);
    assert_eq!(registry.log().matches(&put).count(), before, "nothing was put there again");
    let found = forky(&sandbox, "oras", &discover).unwrap();
    assert!(found.contains("vnd.example.sbom") && found.contains("vnd.example.other"), "{found}");
}

/// Passes connections on, and cuts the first ones after so many bytes from the client.
fn cutting(registry: &str, bytes: u64, times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, registry) = (listener.local_addr().unwrap().to_string(), registry.to_owned());
    std::thread::spawn(move || {
        let cut = std::sync::Arc::new(AtomicUsize::new(0));
        for client in listener.incoming() {
            let (client, server, cut) =
                (client.unwrap(), TcpStream::connect(&registry).unwrap(), cut.clone());
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let mut server = server;
                let _ = std::io::copy(&mut std::io::Read::take(&mut up, bytes), &mut server);
                // Only who sent as much as that is cut.
                if cut.fetch_add(1, Ordering::SeqCst) >= times {
                    let _ = std::io::copy(&mut up, &mut server);
                }
                let _ = server.shutdown(Shutdown::Both);
                let _ = up.shutdown(Shutdown::Both);
            });
            let mut client = client;
            std::thread::spawn(move || drop(std::io::copy(&mut down, &mut client)));
        }
    });
    address
}

#[test]
fn debians_registry_over_a_network_that_breaks() {
    let registry = need!(peer::registry(), "docker-registry");
    let (sandbox, name) =
        stored(&Image::of(&[layer("noise", &noise(3, 6 << 20)), layer("more", &noise(4, 6 << 20))]));
    let repository = format!("push-{}/cut", std::process::id());
    let to = format!("{}/{repository}:1", cutting(&registry.address, 1 << 20, 3));
    sandbox.ok(["push", &name, &to]);
    let log = registry.log();
    assert!(log.matches(&format!("POST /v2/{repository}/blobs/uploads/")).count() > 3, "it was cut");
    let other = Sandbox::new();
    other.ok(["pull", &format!("{}/{repository}:1", registry.address)]);
    crate::support::store::assert_sound(&other.store());
}

/// A registry with TLS and a user `user` whose password is `secret`, which ends when this is dropped.
struct Secured {
    address: String,
    child: Child,
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ip` is whom its certificate is for.
fn secured(dir: &Path, ip: &str) -> Option<Secured> {
    let mut registry = peer::tool("docker-registry")?;
    let mut openssl = peer::tool("openssl")?;
    openssl.current_dir(dir).args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]);
    // As people make it: by its own word it is an authority's, too.
    openssl.args(["-days", "2", "-subj", "/CN=larder", "-addext", &format!("subjectAltName=IP:{ip}")]);
    run(openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).stderr(Stdio::null()));
    let hash = "user:$2b$04$7rOy1gvCW.5C74WCJNtjDepWtawFmHXhW3HQX9J5oZZuwgMFxaJ1q\n";
    std::fs::write(dir.join("htpasswd"), hash).unwrap();
    let at = dir.display();
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {at}/data}}}}\n\
         http: {{addr: \"127.0.0.1:0\", tls: {{certificate: {at}/cert.pem, key: {at}/key.pem}}}}\n\
         auth: {{htpasswd: {{realm: tests, path: {at}/htpasswd}}}}\n"
    );
    std::fs::write(dir.join("config.yml"), config).unwrap();
    let log = std::fs::File::create(dir.join("log")).unwrap();
    registry.current_dir(dir).args(["serve", "config.yml"]).stderr(log.try_clone().unwrap()).stdout(log);
    let child = registry.spawn().unwrap();
    let address = wait_for(|| {
        let log = std::fs::read_to_string(dir.join("log")).unwrap();
        let (_, rest) = log.split_once("listening on ")?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':')?;
        Some(rest[..end].to_owned())
    });
    Some(Secured { address, child })
}

/// That a certificate is known does not make it good for another host, nor another one good.
#[test]
fn a_certificate_that_is_known_is_good_for_whom_it_is_for() {
    let (sandbox, _) = imported("docker28.tar", GCC);
    let [right, wrong] = ["right", "wrong"].map(|name| {
        let dir = sandbox.path(name);
        std::fs::create_dir(&dir).unwrap();
        dir
    });
    let registry = need!(secured(&wrong, "127.0.0.2"), "docker-registry and openssl");
    let _other = need!(secured(&right, "127.0.0.1"), "docker-registry and openssl");
    let certs = sandbox.path(format!("home/.config/containers/certs.d/{}", registry.address));
    std::fs::create_dir_all(&certs).unwrap();
    for dir in [wrong, right] {
        std::fs::copy(dir.join("cert.pem"), certs.join("ca.crt")).unwrap();
        let error = sandbox.fail(["push", GCC, &format!("{}/a/b:1", registry.address)], 1);
        assert!(error.contains("certificate"), "{error}");
    }
}

#[test]
fn a_registry_with_tls_and_a_password() {
    let (mut sandbox, digest) = imported("docker28.tar", GCC);
    let dir = sandbox.path("secured");
    std::fs::create_dir(&dir).unwrap();
    let registry = need!(secured(&dir, "127.0.0.1"), "docker-registry and openssl");
    let to = format!("{}/a/b:1", registry.address);
    let error = sandbox.fail(["push", GCC, &to], 1);
    assert!(error.contains("not trusted") && error.contains("certs.d"), "{error}");
    let certs = sandbox.path(format!("home/.config/containers/certs.d/{}", registry.address));
    std::fs::create_dir_all(&certs).unwrap();
    std::fs::copy(dir.join("cert.pem"), certs.join("ca.crt")).unwrap();
    let error = sandbox.fail(["push", GCC, &to], 1);
    assert!(error.contains(&format!("larder login {}", registry.address)), "{error}");
    let login = |sandbox: &Sandbox, password: &str| {
        let mut login = sandbox.command(["login", "--user", "user", "--password-stdin", &registry.address]);
        crate::support::feed(&mut login, password.as_bytes())
    };
    sandbox.set("DOCKER_CONFIG", sandbox.path("docker"));
    std::fs::create_dir(sandbox.path("docker")).unwrap();
    // user:wrong
    let auths = serde_json::json!({"auths": {&registry.address: {"auth": "dXNlcjp3cm9uZw=="}}});
    std::fs::write(sandbox.path("docker/config.json"), auths.to_string()).unwrap();
    let error = sandbox.fail(["push", GCC, &to], 1);
    assert!(error.contains("were refused") && !error.contains("wrong"), "{error}");
    let logged = login(&sandbox, "secret");
    assert!(logged.status.success(), "{logged:?}");
    assert_eq!(sandbox.ok(["push", GCC, &to]), format!("{to} {digest}\n"));
    let pushed = &sandbox.json(["push", GCC, &format!("{}/c:1", registry.address)])[0];
    assert_eq!(pushed["sent_blobs"], 0, "it mounts: {pushed}");
    let mut skopeo = need!(peer::tool("skopeo"), "skopeo");
    skopeo.args(["inspect", "--tls-verify=false", "--creds", "user:secret", "--format", "{{.Digest}}"]);
    assert_eq!(run(skopeo.arg(format!("docker://{to}"))).trim(), digest);
}
