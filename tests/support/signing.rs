//! Keys of real minisign, and a host that trusts one of them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Sandbox, peer, run};

/// A sandbox with the keys `trusted` and `foreign` (`.pub`, `.key`), of which the host trusts the first alone.
pub(crate) struct Signing {
    pub(crate) sandbox: Sandbox,
    minisign: PathBuf,
}

/// What a host's configuration says that demands signatures; KEY is the trusted one.
pub(crate) const REQUIRED: &str = "trusted_keys = [\"KEY\"]\nrequire_signature = true\n";

impl Signing {
    /// With this configuration of the host. `None` where there is no minisign.
    pub(crate) fn new(host: &str) -> Option<Signing> {
        let minisign = PathBuf::from(peer::tool("minisign")?.get_program());
        let signing = Signing { sandbox: Sandbox::new(), minisign };
        for key in ["trusted", "foreign"] {
            // Without a passphrase: opening one takes minisign 1 GiB and seconds.
            signing.minisign(&["-G", "-W", "-p", &format!("{key}.pub"), "-s", &format!("{key}.key")]);
        }
        signing.host(host);
        Some(signing)
    }

    /// Writes the host's configuration.
    pub(crate) fn host(&self, text: &str) {
        let public = std::fs::read_to_string(self.sandbox.path("trusted.pub")).unwrap();
        let text = text.replace("KEY", public.lines().nth(1).unwrap());
        let dir = self.sandbox.path("home/.config/larder");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("larder.toml"), text).unwrap();
    }

    /// A call of minisign.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.minisign);
        command.args(args).current_dir(self.sandbox.root());
        command
    }

    /// minisign does this.
    pub(crate) fn minisign(&self, args: &[&str]) {
        run(self.command(args).stdin(Stdio::null()));
    }

    /// minisign signs a file.
    pub(crate) fn sign(&self, key: &str, file: &str) {
        self.minisign(&["-S", "-s", &format!("{key}.key"), "-m", file]);
    }
}
