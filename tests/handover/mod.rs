//! `larder export --to-docker`: what an engine lacks is sent, and afterwards the name is right.

mod act;
mod fallback;
pub(crate) mod images;
mod lies;
mod names;
pub(crate) mod proxy;
mod refused;
mod transfer;
mod unwritable;

use std::ffi::OsStr;
use std::process::Output;

use serde_json::Value;

use crate::support::{Docker, Sandbox, succeeded};
use proxy::{Proxy, Traffic};

/// Requests without a body: nothing of an image was among them.
const REQUESTS: u64 = 24 << 10;

/// Makes three tests of one function, each with an engine of its own.
macro_rules! on_every_engine {
    ($($function:ident),+ $(,)?) => {
        mod docker20 {
            $(#[test] fn $function() { super::$function(&crate::support::need!(crate::support::peer::docker20(), "Docker 20.10")); })+
        }
        mod docker28 {
            $(#[test] fn $function() { super::$function(&crate::support::need!(crate::support::peer::docker28(), "Docker 28")); })+
        }
        mod docker28c {
            $(#[test] fn $function() {
                super::$function(&crate::support::need!(crate::support::peer::docker28c(), "Docker 28 with containerd store"));
            })+
        }
    };
}
pub(crate) use on_every_engine;

/// A sandbox whose larder reaches the engine through a proxy.
pub(crate) struct Desk {
    pub(crate) sandbox: Sandbox,
    pub(crate) proxy: Proxy,
}

impl Desk {
    pub(crate) fn new(docker: &Docker) -> Self {
        let mut sandbox = Sandbox::new();
        let proxy = Proxy::new(sandbox.path("proxy.sock"), docker);
        sandbox.set("DOCKER_HOST", proxy.host());
        Self { sandbox, proxy }
    }

    /// Hands over, which must succeed: the rows of JSON, and what went over the socket.
    fn hand_over<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> (Vec<Value>, Traffic) {
        self.proxy.take();
        let mut command = self.sandbox.command(["export", "--to-docker", "--format", "json"]);
        command.args(args);
        let output = command.output().unwrap();
        let rows: Value = serde_json::from_str(&succeeded(&command, &output)).unwrap();
        (rows.as_array().unwrap().clone(), self.take())
    }

    /// Hands over, whatever becomes of it.
    fn try_hand_over<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> (Output, Traffic) {
        self.proxy.take();
        let output = self.sandbox.command(["export", "--to-docker"]).args(args).output().unwrap();
        (output, self.take())
    }

    /// What went over the socket; whatever it was, no hand-over ever makes an engine pull.
    pub(crate) fn take(&self) -> Traffic {
        let traffic = self.proxy.take();
        assert_eq!(traffic.pulls, 0, "an engine was asked to pull");
        traffic
    }
}

/// The ID that an image must have in the engine: the manifest's digest on containerd, else the config's.
fn expected_id(docker: &Docker, sandbox: &Sandbox, reference: &str) -> Option<String> {
    let image = &sandbox.json(["inspect", reference])[0];
    let key = if docker.has_containerd_store() { "digest" } else { "image_id" };
    image[key].as_str().map(str::to_owned)
}

/// Says what is wrong where a count is not what it should be.
fn assert_sent(row: &Value, traffic: &Traffic, layers: u64, spared: u64) {
    assert_eq!((&row["sent_layers"], &row["spared_layers"]), (&layers.into(), &spared.into()), "{row}");
    let sent = row["sent_bytes"].as_u64().unwrap();
    assert_eq!(traffic.loads, u64::from(layers > 0), "{row} {traffic:?}");
    let counted = traffic.sent.checked_sub(sent);
    assert!(counted.is_some_and(|requests| requests < REQUESTS + sent / 100), "{row} {traffic:?}");
}
