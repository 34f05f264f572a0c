//! A registry of the tests' own that takes what is pushed, on a loopback address, and a rule that says what becomes of each
//! request. It refuses a manifest whose parts it lacks.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::image::digest;
use crate::support::wait_for;
use crate::support::web::{TLS, answer, refuse_tls};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// How many requests of this method to a path of this kind there were before.
    pub(crate) nth: usize,
}

impl Asked {
    /// `PUT blob`: method and what it is about.
    pub(crate) fn kind(&self) -> String {
        let about = match self.path.as_str() {
            path if path.contains("/blobs/uploads/") && path.contains("mount=") => "mount",
            path if path.contains("/blobs/uploads/") => "upload",
            path if path.contains("/blobs/") => "blob",
            path if path.contains("/manifests/") => "manifest",
            path if path.contains("/referrers/") => "referrers",
            _ => "other",
        };
        format!("{} {about}", self.method)
    }
}

/// What becomes of a request.
pub(crate) enum Does {
    /// It is answered as it should be.
    Pass,
    /// The connection breaks after so many bytes of the body, which are kept.
    Cut(usize),
    /// All of it is done, and the connection breaks instead of an answer.
    Mute,
    /// No answer comes, and the connection stays.
    Hang,
    /// This is the answer, and nothing is done.
    Answer(Vec<u8>),
    /// All of it is done, and this is the answer.
    Lie(Vec<u8>),
    /// It is answered as it should be, once this is true.
    Until(Arc<AtomicBool>),
}

type Rule = Box<dyn Fn(&Asked) -> Does + Send + Sync>;

/// The registry.
pub(crate) struct Taker {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shelf {
    /// By `repository digest`.
    blobs: BTreeMap<(String, String), Vec<u8>>,
    /// By repository and tag or digest: media type and bytes.
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    /// What came of uploads that are not finished.
    uploads: Vec<Vec<u8>>,
    asked: Vec<Asked>,
}

struct Shared {
    shelf: Mutex<Shelf>,
    rule: Mutex<Rule>,
    /// Where uploads go: its own address where this is empty.
    sends_to: Mutex<String>,
}

impl Taker {
    pub(crate) fn new() -> Taker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            shelf: Mutex::default(),
            rule: Mutex::new(Box::new(|_| Does::Pass)),
            sends_to: Mutex::default(),
        });
        let (address, for_all) = (listener.local_addr().unwrap().to_string(), Arc::clone(&shared));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let shared = Arc::clone(&for_all);
                std::thread::spawn(move || shared.serve(client.unwrap()));
            }
        });
        Taker { address, shared }
    }

    /// From now on this becomes of requests.
    pub(crate) fn rule(&self, rule: impl Fn(&Asked) -> Does + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }

    /// From now on blobs go to this host.
    pub(crate) fn send_to(&self, host: &str) {
        *self.shared.sends_to.lock().unwrap() = format!("http://{host}");
    }

    /// The same registry once more, for a rule of its own.
    pub(crate) fn again(&self) -> Taker {
        Taker { address: self.address.clone(), shared: Arc::clone(&self.shared) }
    }

    /// The requests since the last time.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.shelf.lock().unwrap().asked)
    }

    /// What the requests since the last time were about, sorted.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<_> = self.take().iter().map(Asked::kind).collect();
        kinds.sort();
        kinds
    }

    /// The bytes behind a tag or a digest.
    pub(crate) fn manifest(&self, repository: &str, which: &str) -> Option<Vec<u8>> {
        let shelf = self.shared.shelf.lock().unwrap();
        shelf.manifests.get(&(repository.to_owned(), which.to_owned())).map(|(_, bytes)| bytes.clone())
    }

    /// The digests of a repository's blobs.
    pub(crate) fn blobs(&self, repository: &str) -> Vec<String> {
        let shelf = self.shared.shelf.lock().unwrap();
        shelf.blobs.keys().filter(|(name, _)| name == repository).map(|(_, digest)| digest.clone()).collect()
    }

    /// Puts a manifest there, as another one's push would.
    pub(crate) fn put_manifest(&self, repository: &str, which: &str, media_type: &str, bytes: &[u8]) {
        let (key, value) = ((repository.into(), which.into()), (media_type.into(), bytes.to_vec()));
        self.shared.shelf.lock().unwrap().manifests.insert(key, value);
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) {
        let Some((asked, length)) = self.read(&mut client) else { return };
        let does = (self.rule.lock().unwrap())(&asked);
        let most = match does {
            Does::Cut(bytes) => bytes.min(length),
            _ => length,
        };
        let mut body = vec![0; most];
        // Who is refused may go on sending, or be gone.
        let is_whole = client.read_exact(&mut body).is_ok() && most == length;
        let said = match does {
            Does::Answer(said) => said,
            Does::Hang => return drop(std::io::copy(&mut client, &mut std::io::sink())),
            Does::Pass | Does::Cut(_) | Does::Mute | Does::Lie(_) | Does::Until(_) => {
                if let Does::Until(is_time) = &does {
                    wait_for(|| is_time.load(Ordering::SeqCst).then_some(()));
                }
                let done = self.act(&asked, body, is_whole);
                match does {
                    Does::Lie(said) => said,
                    Does::Pass | Does::Until(_) => done,
                    _ => Vec::new(),
                }
            }
        };
        let _ = client.write_all(&said);
        let _ = client.shutdown(if said.is_empty() { Shutdown::Both } else { Shutdown::Write });
        let _ = client.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = std::io::copy(&mut client, &mut std::io::sink());
    }

    fn read(&self, client: &mut TcpStream) -> Option<(Asked, usize)> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            if client.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.push(byte[0]);
            if head == [TLS] {
                return refuse_tls(client);
            }
        }
        let head = String::from_utf8(head).ok()?;
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let pairs = lines.filter_map(|line| line.split_once(':'));
        let headers: BTreeMap<_, _> =
            pairs.map(|(key, value)| (key.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut asked = Asked { method, path, headers, nth: 0 };
        let mut shelf = self.shelf.lock().unwrap();
        asked.nth = shelf.asked.iter().filter(|before| before.kind() == asked.kind()).count();
        shelf.asked.push(asked.clone());
        Some((asked, length))
    }

    fn act(&self, asked: &Asked, body: Vec<u8>, is_whole: bool) -> Vec<u8> {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let parameter = |name: &str| {
            let found =
                query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
            found.map(|(_, value)| value.replace("%3A", ":").replace("%2F", "/"))
        };
        let path = path.trim_start_matches("/v2/");
        let mut shelf = self.shelf.lock().unwrap();
        let not_found = || answer("404 Not Found", &[], b"{\"errors\":[{\"code\":\"UNKNOWN\"}]}");
        if let Some((repository, id)) = path.split_once("/blobs/uploads/") {
            let to = self.sends_to.lock().unwrap().clone();
            return match (asked.method.as_str(), id) {
                ("POST", _) => {
                    let source = parameter("from").zip(parameter("mount"));
                    if let Some(blob) = source.and_then(|key| shelf.blobs.get(&key).cloned()) {
                        shelf.blobs.insert((repository.to_owned(), digest(&blob)), blob);
                        return answer("201 Created", &[("Location", "/somewhere")], b"");
                    }
                    shelf.uploads.push(Vec::new());
                    let at =
                        format!("{to}/v2/{repository}/blobs/uploads/{}?state=1", shelf.uploads.len() - 1);
                    answer("202 Accepted", &[("Location", &at)], b"")
                }
                ("GET", id) => {
                    let Some(have) = shelf.uploads.get(id.parse::<usize>().unwrap()) else {
                        return not_found();
                    };
                    let range = format!("0-{}", have.len().saturating_sub(1));
                    answer(
                        "204 No Content",
                        &[("Range", &range), ("Location", &format!("{to}{}", asked.path))],
                        b"",
                    )
                }
                (_, id) => {
                    let Some(have) = shelf.uploads.get_mut(id.parse::<usize>().unwrap()) else {
                        return not_found();
                    };
                    let from = asked
                        .headers
                        .get("content-range")
                        .map_or(0, |range| range.split('-').next().unwrap().parse::<usize>().unwrap());
                    if from != have.len() {
                        return answer("416 Requested Range Not Satisfiable", &[], b"");
                    }
                    have.extend_from_slice(&body);
                    let blob = have.clone();
                    let wanted = parameter("digest").unwrap();
                    if !is_whole || digest(&blob) != wanted {
                        return answer(
                            "400 Bad Request",
                            &[],
                            b"{\"errors\":[{\"code\":\"DIGEST_INVALID\"}]}",
                        );
                    }
                    shelf.blobs.insert((repository.to_owned(), wanted.clone()), blob);
                    answer("201 Created", &[("Docker-Content-Digest", &wanted), ("Location", "/x")], b"")
                }
            };
        }
        if let Some((repository, digest)) = path.split_once("/blobs/") {
            let Some(blob) = shelf.blobs.get(&(repository.to_owned(), digest.to_owned())) else {
                return not_found();
            };
            return answer("200 OK", &[("Content-Type", "application/octet-stream")], blob);
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            let tags =
                shelf.manifests.keys().filter(|(name, which)| name == repository && !which.contains(':'));
            let tags: Vec<_> = tags.map(|(_, tag)| tag).collect();
            return answer("200 OK", &[], serde_json::json!({"tags": tags}).to_string().as_bytes());
        }
        let Some((repository, which)) = path.split_once("/manifests/") else { return not_found() };
        if asked.method == "DELETE" {
            // By its digest, with all of its tags.
            let before = shelf.manifests.len();
            shelf.manifests.retain(|(name, key), (_, bytes)| {
                name != repository || (key != which && (which != digest(bytes)))
            });
            return if shelf.manifests.len() < before {
                answer("202 Accepted", &[], b"")
            } else {
                not_found()
            };
        }
        if asked.method == "PUT" && !is_whole {
            return answer("400 Bad Request", &[], b"");
        }
        if asked.method == "PUT" {
            return take_manifest(&mut shelf, repository, which, &asked.headers["content-type"], body);
        }
        let Some((media_type, bytes)) = shelf.manifests.get(&(repository.to_owned(), which.to_owned()))
        else {
            return not_found();
        };
        let own = digest(bytes);
        let headers = [("Content-Type", media_type.as_str()), ("Docker-Content-Digest", own.as_str())];
        if asked.method == "HEAD" {
            let length = bytes.len().to_string();
            return answer("200 OK", &[headers[0], headers[1], ("Content-Length", &length)], b"");
        }
        answer("200 OK", &headers, bytes)
    }
}

fn take_manifest(
    shelf: &mut Shelf,
    repository: &str,
    which: &str,
    media_type: &str,
    bytes: Vec<u8>,
) -> Vec<u8> {
    let parsed: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let list = |key: &str| parsed[key].as_array().cloned().unwrap_or_default();
    let own = |part: &serde_json::Value| (repository.to_owned(), part["digest"].as_str().unwrap().to_owned());
    let parts: Vec<_> = list("layers").into_iter().chain(parsed.get("config").cloned()).collect();
    let lacks_blob = parts.iter().any(|part| {
        !part["mediaType"].as_str().unwrap().contains("nondistributable")
            && !shelf.blobs.contains_key(&own(part))
    });
    if lacks_blob || list("manifests").iter().any(|child| !shelf.manifests.contains_key(&own(child))) {
        return answer("400 Bad Request", &[], b"{\"errors\":[{\"code\":\"MANIFEST_BLOB_UNKNOWN\"}]}");
    }
    let digest = digest(&bytes);
    for key in [which, &digest] {
        shelf
            .manifests
            .insert((repository.to_owned(), key.to_owned()), (media_type.to_owned(), bytes.clone()));
    }
    answer("201 Created", &[("Docker-Content-Digest", &digest), ("Location", "/x")], b"")
}
