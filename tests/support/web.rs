//! A registry of the tests' own, on a loopback address: a shelf of documents and blobs, or another registry behind it, and a
//! rule that says what becomes of each request.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::image::{Image, digest};

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// With its query.
    pub path: String,
    headers: Vec<(String, String)>,
    /// How many requests of this method and path there were before.
    pub nth: usize,
}

impl Asked {
    /// A header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is a GET of a blob.
    pub fn is_blob(&self) -> bool {
        self.method == "GET" && self.path.contains("/blobs/")
    }

    /// Whether it is about a manifest.
    pub fn is_manifest(&self) -> bool {
        self.path.contains("/manifests/")
    }
}

/// What becomes of a request.
pub enum Does {
    /// It is answered as it should be.
    Pass,
    /// The connection breaks after so many bytes of the body.
    Cut(u64),
    /// This is the answer.
    Answer(Vec<u8>),
    /// This is the beginning of an answer that never ends.
    Endless(Vec<u8>),
    /// The connection stays open after so many bytes of the body, and nothing more comes.
    Stall(u64),
    /// The connection is closed without an answer.
    Close,
    /// No answer comes, and the connection stays.
    Hang,
    /// The same, some time later.
    After(Duration, Box<Does>),
    /// The same, once this is true.
    Until(Arc<AtomicBool>, Box<Does>),
}

/// An answer.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = head(status, headers, body.len() as u64);
    text.extend_from_slice(body);
    text
}

fn head(status: &str, headers: &[(&str, &str)], length: u64) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        text += &format!("Content-Length: {length}\r\n");
    }
    (text + "\r\n").into_bytes()
}

type Rule = Box<dyn Fn(&Asked) -> Does + Send + Sync>;

/// A registry that does what the test says.
pub struct Web {
    /// `127.0.0.1:port`.
    pub address: String,
    shared: Arc<Shared>,
}

/// Something on the shelf.
struct Item {
    media_type: String,
    digest: String,
    bytes: Arc<[u8]>,
}

struct Shared {
    behind: Option<String>,
    shelf: Mutex<BTreeMap<String, Item>>,
    asked: Mutex<Vec<Asked>>,
    rule: Mutex<Rule>,
    sent: AtomicU64,
    /// Requests that are kept waiting, and the most that were at once.
    busy: Mutex<(usize, usize)>,
}

impl Web {
    /// An empty shelf.
    pub fn new() -> Web {
        Web::before(None)
    }

    /// What stands before another registry.
    pub fn in_front_of(registry: &str) -> Web {
        Web::before(Some(registry.to_owned()))
    }

    fn before(behind: Option<String>) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared {
            behind,
            shelf: Mutex::default(),
            asked: Mutex::default(),
            rule: Mutex::new(Box::new(|_| Does::Pass)),
            sent: AtomicU64::new(0),
            busy: Mutex::default(),
        });
        let (address, for_all) = (listener.local_addr().unwrap().to_string(), Arc::clone(&shared));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let shared = Arc::clone(&for_all);
                std::thread::spawn(move || shared.serve(client.unwrap()));
            }
        });
        Web { address, shared }
    }

    /// Puts an image on the shelf: `name:tag`.
    pub fn put(&self, name: &str, image: &Image) -> String {
        let (repository, tag) = name.split_once(':').unwrap();
        for (media_type, bytes) in image.documents() {
            for which in [tag.to_owned(), digest(bytes)] {
                // The root comes last.
                self.put_document(&format!("/v2/{repository}/manifests/{which}"), media_type, bytes);
            }
        }
        for blob in image.blobs() {
            let path = format!("/v2/{repository}/blobs/{}", digest(blob));
            self.put_document(&path, "application/octet-stream", blob);
        }
        format!("{}/{name}", self.address)
    }

    /// Puts something under a path.
    pub fn put_document(&self, path: &str, media_type: &str, bytes: &[u8]) {
        let item = Item { media_type: media_type.to_owned(), digest: digest(bytes), bytes: bytes.into() };
        self.shared.shelf.lock().unwrap().insert(path.to_owned(), item);
    }

    /// Takes something away.
    pub fn remove(&self, path: &str) {
        self.shared.shelf.lock().unwrap().remove(path).unwrap();
    }

    /// From now on this becomes of requests.
    pub fn rule(&self, rule: impl Fn(&Asked) -> Does + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }

    /// The requests since the last time: `GET /v2/…`.
    pub fn take(&self) -> Vec<String> {
        self.take_all().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }

    /// The requests since the last time.
    pub fn take_all(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }

    /// The most requests that were kept waiting at the same time since the last time.
    pub fn most_at_once(&self) -> usize {
        std::mem::take(&mut self.shared.busy.lock().unwrap().1)
    }

    /// Bytes of bodies that were sent since the last time.
    pub fn sent(&self) -> u64 {
        self.shared.sent.swap(0, Ordering::SeqCst)
    }
}

impl Shared {
    fn serve(&self, mut client: TcpStream) {
        let Some(asked) = self.read(&mut client) else { return };
        let does = (self.rule.lock().unwrap())(&asked);
        self.asked.lock().unwrap().push(asked.clone());
        // Whoever asked may be gone.
        let _ = self.act(&mut client, &asked, does);
        let _ = client.shutdown(Shutdown::Write);
        // Not before the other side has read it all: what is in flight would be lost.
        let _ = client.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = std::io::copy(&mut client, &mut std::io::sink());
    }

    fn read(&self, client: &mut TcpStream) -> Option<Asked> {
        let head = read_head(client)?;
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let pair = |line: &str| {
            let (key, value) = line.split_once(':')?;
            Some((key.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers: Vec<_> = lines.filter_map(pair).collect();
        let asked = self.asked.lock().unwrap();
        let nth = asked.iter().filter(|before| before.method == method && before.path == path).count();
        Some(Asked { method, path, headers, nth })
    }

    fn act(&self, client: &mut TcpStream, asked: &Asked, does: Does) -> std::io::Result<()> {
        match does {
            Does::Pass => self.answer(client, asked, u64::MAX),
            Does::Cut(bytes) => self.answer(client, asked, bytes),
            Does::Answer(bytes) => client.write_all(&bytes),
            Does::Stall(bytes) => {
                self.answer(client, asked, bytes)?;
                client.read(&mut [0]).map(drop)
            }
            Does::Endless(bytes) => {
                client.write_all(&bytes)?;
                loop {
                    client.write_all(&[b' '; 4096])?;
                    self.sent.fetch_add(4096, Ordering::SeqCst);
                }
            }
            Does::Close => Ok(()),
            Does::Hang => client.read(&mut [0]).map(drop),
            Does::After(time, does) => {
                {
                    let mut busy = self.busy.lock().unwrap();
                    busy.0 += 1;
                    busy.1 = busy.1.max(busy.0);
                }
                std::thread::sleep(time);
                self.busy.lock().unwrap().0 -= 1;
                self.act(client, asked, *does)
            }
            Does::Until(is_time, does) => {
                super::wait_for(|| is_time.load(Ordering::SeqCst).then_some(()));
                self.act(client, asked, *does)
            }
        }
    }

    fn answer(&self, client: &mut TcpStream, asked: &Asked, bytes: u64) -> std::io::Result<()> {
        let (head, mut body): (Vec<u8>, Box<dyn Read>) = match &self.behind {
            Some(behind) => pass_on(behind, asked)?,
            None => self.of_the_shelf(asked),
        };
        client.write_all(&head)?;
        let (mut left, mut buffer) = (bytes, [0; 32 << 10]);
        while left > 0 && asked.method != "HEAD" {
            let most = left.min(buffer.len() as u64) as usize;
            let count = body.read(&mut buffer[..most])?;
            if count == 0 {
                break;
            }
            client.write_all(&buffer[..count])?;
            self.sent.fetch_add(count as u64, Ordering::SeqCst);
            left -= count as u64;
        }
        Ok(())
    }

    fn of_the_shelf(&self, asked: &Asked) -> (Vec<u8>, Box<dyn Read>) {
        let shelf = self.shelf.lock().unwrap();
        let path = asked.path.split('?').next().unwrap();
        let Some(Item { media_type, digest, bytes }) = shelf.get(path) else {
            let body = br#"{"errors":[{"code":"UNKNOWN","message":"unknown to the shelf"}]}"#;
            return (head("404 Not Found", &[], body.len() as u64), Box::new(Cursor::new(body)));
        };
        let headers = [("Content-Type", media_type.as_str()), ("Docker-Content-Digest", digest.as_str())];
        let mut body = Cursor::new(Arc::clone(bytes));
        let start = asked.header("range").map(|range| {
            range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse::<u64>().unwrap()
        });
        let size = bytes.len() as u64;
        let Some(start) = start else {
            return (head("200 OK", &headers, size), Box::new(body));
        };
        let range = format!("bytes {start}-{}/{size}", size - 1);
        let headers = [headers[0], headers[1], ("Content-Range", range.as_str())];
        body.set_position(start);
        (head("206 Partial Content", &headers, size - start), Box::new(body))
    }
}

/// Asks another registry.
fn pass_on(behind: &str, asked: &Asked) -> std::io::Result<(Vec<u8>, Box<dyn Read>)> {
    let mut registry = TcpStream::connect(behind)?;
    let mut text =
        format!("{} {} HTTP/1.1\r\nHost: {behind}\r\nConnection: close\r\n", asked.method, asked.path);
    for (key, value) in asked.headers.iter().filter(|(key, _)| !matches!(key.as_str(), "host" | "connection"))
    {
        text += &format!("{key}: {value}\r\n");
    }
    registry.write_all((text + "\r\n").as_bytes())?;
    let head = read_head(&mut registry).unwrap_or_default();
    Ok((head.into_bytes(), Box::new(registry)))
}

/// Up to the empty line, with it.
fn read_head(from: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if from.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
        if head == [TLS] {
            return refuse_tls(from);
        }
    }
    String::from_utf8(head).ok()
}

/// What a client begins with that wants TLS.
pub const TLS: u8 = 0x16;

/// Says that it is not spoken here, as servers do.
pub fn refuse_tls<T>(client: &mut TcpStream) -> Option<T> {
    client.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").ok()?;
    client.shutdown(Shutdown::Write).ok()?;
    client.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let _ = std::io::copy(client, &mut std::io::sink());
    None
}
