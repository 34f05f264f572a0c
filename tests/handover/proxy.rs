//! A socket in front of an engine's: what goes over it is counted, and a load can be held up.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::Docker;

type Hook = Box<dyn FnOnce() -> Verdict + Send>;

/// What becomes of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    Pass,
    /// The connection breaks off.
    Break,
}

/// Passes everything on as it is.
pub(super) struct Proxy {
    path: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    sent: AtomicU64,
    loads: AtomicU64,
    before_load: Mutex<Option<Hook>>,
}

/// What clients sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Traffic {
    /// All bytes, requests included.
    pub(super) sent: u64,
    /// How many loads there were.
    pub(super) loads: u64,
}

impl Proxy {
    /// Listens at `path`; its threads end with the test process.
    pub(super) fn new(path: PathBuf, docker: &Docker) -> Self {
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
    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// What was sent since the last time.
    pub(super) fn take(&self) -> Traffic {
        let Shared { sent, loads, .. } = &*self.shared;
        Traffic { sent: sent.swap(0, Ordering::SeqCst), loads: loads.swap(0, Ordering::SeqCst) }
    }

    /// Has this done before the engine gets the next load.
    pub(super) fn before_load(&self, hook: impl FnOnce() -> Verdict + Send + 'static) {
        *self.shared.before_load.lock().unwrap() = Some(Box::new(hook));
    }
}

impl Shared {
    fn pass(&self, client: &UnixStream, engine: &Path) {
        // An engine that is gone is for the client to find out.
        let Ok(engine) = UnixStream::connect(engine) else { return };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                copy(&engine, client, |_| Verdict::Pass);
                let _ = client.shutdown(Shutdown::Both);
                let _ = engine.shutdown(Shutdown::Both);
            });
            let end = match copy(client, &engine, |piece| self.see(piece)) {
                Verdict::Pass => Shutdown::Write,
                Verdict::Break => Shutdown::Both,
            };
            let _ = engine.shutdown(end);
        });
    }

    fn see(&self, piece: &[u8]) -> Verdict {
        self.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
        let needle = b"/images/load";
        if piece.starts_with(b"POST ") && piece.windows(needle.len()).any(|window| window == needle) {
            self.loads.fetch_add(1, Ordering::SeqCst);
            let hook = self.before_load.lock().unwrap().take();
            return hook.map_or(Verdict::Pass, |hook| hook());
        }
        Verdict::Pass
    }
}

/// Copies until either side ends, or it is broken off.
fn copy(mut from: &UnixStream, mut to: &UnixStream, mut see: impl FnMut(&[u8]) -> Verdict) -> Verdict {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        if see(&buffer[..count]) == Verdict::Break {
            return Verdict::Break;
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    Verdict::Pass
}
