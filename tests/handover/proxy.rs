//! A socket in front of an engine's: what goes over it is counted, a load can be held up, something can be done just before a
//! request, and answers can be untrue, or not come.
//!
//! No pull gets through: it is counted, and answered with 404.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::Docker;

type Hook = Box<dyn FnOnce() -> Verdict + Send>;
/// A method, a part of a path, and what is done before such a request.
type Act = (&'static str, &'static str, Box<dyn FnOnce() + Send>);

/// What becomes of a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Pass,
    /// The connection breaks off.
    Break,
    /// The engine does not get it; this is the answer, at the end of the request.
    Answer(Vec<u8>),
    /// The engine does not get it; this is the answer, at once, and the rest of the request is not read.
    AnswerEarly(Vec<u8>),
}

/// An answer with this status and body.
pub(crate) fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into()
}

/// Passes everything on as it is, unless it was told otherwise.
pub(crate) struct Proxy {
    path: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    sent: AtomicU64,
    loads: AtomicU64,
    pulls: AtomicU64,
    has_loaded: AtomicBool,
    is_hung: AtomicBool,
    before_load: Mutex<VecDeque<Hook>>,
    acts: Mutex<Vec<Act>>,
    untrue: Mutex<Option<(String, Vec<u8>)>>,
}

/// What clients sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// All bytes, requests included.
    pub(crate) sent: u64,
    /// How many loads there were.
    pub(crate) loads: u64,
    /// How many pulls were asked for.
    pub(crate) pulls: u64,
}

impl Proxy {
    /// Listens at `path`; its threads end with the test process.
    pub(crate) fn new(path: PathBuf, docker: &Docker) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        let shared = Arc::new(Shared::default());
        let (engine, for_all) = (docker.socket().to_path_buf(), Arc::clone(&shared));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (engine, shared) = (engine.clone(), Arc::clone(&for_all));
                std::thread::spawn(move || shared.pass(&client.unwrap(), &engine));
            }
        });
        Self { path, shared }
    }

    /// For `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// What was sent since the last time.
    pub(crate) fn take(&self) -> Traffic {
        let Shared { sent, loads, pulls, .. } = &*self.shared;
        let [sent, loads, pulls] = [sent, loads, pulls].map(|count| count.swap(0, Ordering::SeqCst));
        Traffic { sent, loads, pulls }
    }

    /// From the first load on, has requests for this path (the end of it) answered so.
    pub(crate) fn after_load(&self, path: &str, answer: Vec<u8>) {
        *self.shared.untrue.lock().unwrap() = Some((format!("{path} HTTP/1.1\r\n"), answer));
    }

    /// Has this done before the engine gets the next load; said again, before the one after it.
    pub(crate) fn before_load(&self, hook: impl FnOnce() -> Verdict + Send + 'static) {
        self.shared.before_load.lock().unwrap().push_back(Box::new(hook));
    }

    /// Has this done once, before the engine gets a request of this method with this in its path.
    pub(crate) fn before(
        &self,
        method: &'static str,
        path: &'static str,
        act: impl FnOnce() + Send + 'static,
    ) {
        self.shared.acts.lock().unwrap().push((method, path, Box::new(act)));
    }

    /// From now on the engine gets nothing, and clients no answer.
    pub(crate) fn hang(&self) {
        self.shared.is_hung.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn pass(&self, client: &UnixStream, engine: &Path) {
        // An engine that is gone is for the client to find out.
        let Ok(engine) = UnixStream::connect(engine) else { return };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                copy(&engine, client, |_| Some(Verdict::Pass));
                let _ = client.shutdown(Shutdown::Both);
                let _ = engine.shutdown(Shutdown::Both);
            });
            let end = match copy(client, &engine, |piece| self.see(piece, client)) {
                Verdict::Pass => Shutdown::Write,
                _ => Shutdown::Both,
            };
            let _ = engine.shutdown(end);
        });
    }

    /// What becomes of a piece; `None` when it has been answered here.
    fn see(&self, piece: &[u8], mut client: &UnixStream) -> Option<Verdict> {
        self.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
        let line = piece.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = std::str::from_utf8(line).unwrap_or_default();
        if self.is_hung.load(Ordering::SeqCst) {
            return Some(hang(client));
        }
        let act = {
            let mut acts = self.acts.lock().unwrap();
            let is_it = |(method, path, _): &Act| line.starts_with(method) && line.contains(path);
            acts.iter().position(is_it).map(|at| acts.remove(at).2)
        };
        if let Some(act) = act {
            act();
        }
        if line.starts_with("POST ") && line.contains("/images/load") {
            self.loads.fetch_add(1, Ordering::SeqCst);
            self.has_loaded.store(true, Ordering::SeqCst);
            let hook = self.before_load.lock().unwrap().pop_front();
            let verdict = hook.map_or(Verdict::Pass, |hook| hook());
            match &verdict {
                Verdict::Answer(answer) => {
                    read_chunks(piece, client);
                    client.write_all(answer).unwrap();
                    return None;
                }
                Verdict::AnswerEarly(answer) => {
                    client.write_all(answer).unwrap();
                    return Some(hang(client));
                }
                Verdict::Pass | Verdict::Break => return Some(verdict),
            }
        }
        if line.starts_with("POST ") && line.contains("/images/create") {
            self.pulls.fetch_add(1, Ordering::SeqCst);
            client.write_all(&answer("404 Not Found", r#"{"message":"nothing is pulled here"}"#)).unwrap();
            return None;
        }
        let untrue = self.untrue.lock().unwrap();
        if let Some((_, answer)) = untrue.as_ref().filter(|(path, _)| line.ends_with(path.as_str()))
            && self.has_loaded.load(Ordering::SeqCst)
        {
            client.write_all(answer).unwrap();
            return None;
        }
        Some(Verdict::Pass)
    }
}

/// As an engine that hangs: the connection stays open until the client goes.
fn hang(client: &UnixStream) -> Verdict {
    let mut polled = [rustix::event::PollFd::new(client, rustix::event::PollFlags::RDHUP)];
    let _ = rustix::event::poll(&mut polled, None);
    Verdict::Break
}

/// Reads a request in chunks to its end.
fn read_chunks(begun: &[u8], mut client: &UnixStream) {
    let mut last = begun.to_vec();
    let mut buffer = vec![0; 64 << 10];
    while !last.ends_with(b"\r\n0\r\n\r\n") {
        let count = client.read(&mut buffer).unwrap();
        assert!(count > 0, "the request broke off");
        last = [&last[last.len().saturating_sub(8)..], &buffer[..count]].concat();
    }
}

/// Copies until either side ends, or it is broken off.
fn copy(
    mut from: &UnixStream,
    mut to: &UnixStream,
    mut see: impl FnMut(&[u8]) -> Option<Verdict>,
) -> Verdict {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        match see(&buffer[..count]) {
            Some(Verdict::Pass) => {}
            Some(verdict) => return verdict,
            None => continue,
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    Verdict::Pass
}
