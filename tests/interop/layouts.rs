//! umoci, oras and crane, which work on layouts in directories, and on registries.

use super::{Bench, GCC, Identity, Seen, Source, Tool, Written, attempt, image_id_of, same, tool};
use crate::support::peer::{self, Registry};
use crate::support::store::{assert_blobs_match, named};
use crate::support::tarball::sha256;

/// umoci, which unpacks.
pub(super) struct Umoci {
    pub(super) newest: bool,
}

impl Umoci {
    fn ok(&self, bench: &Bench, args: &[&str]) -> Seen<String> {
        attempt(tool(self.newest, "umoci", bench).expect("it was there a moment ago").args(args))
    }
}

/// The name inside: archives bear the tag alone, as containerd wants it.
fn tag(source: Source) -> &'static str {
    if source.is_store() { GCC } else { "latest" }
}

impl Tool for Umoci {
    fn version(&self) -> String {
        let command = if self.newest { peer::forky("umoci", "/tmp".as_ref()) } else { peer::tool("umoci") };
        attempt(command.unwrap().arg("--version")).unwrap().split_whitespace().nth(2).unwrap().to_owned()
    }

    fn read(&self, bench: &Bench, source: Source) -> Seen {
        let layout = bench.unpacked(source)?;
        let bundle = bench.fresh("bundle");
        let image = format!("{}:{}", layout.display(), tag(source));
        self.ok(bench, &["unpack", "--image", &image, "bundle"])?;
        let version = std::fs::read_to_string(bundle.join("rootfs/opt/gcc12/version")).unwrap();
        same("a file of the last layer", &version, "g++-12 version 12.2.0-14")
    }

    fn write(&self, bench: &Bench, _: &str) -> Seen<Written> {
        let (layout, bundle) = (bench.fresh("umoci"), bench.fresh("bundle"));
        self.ok(bench, &["init", "--layout", "umoci"])?;
        self.ok(bench, &["new", "--image", "umoci:written"])?;
        self.ok(bench, &["unpack", "--image", "umoci:written", "bundle"])?;
        std::fs::write(bundle.join("rootfs/greeting"), "hello").unwrap();
        self.ok(bench, &["repack", "--image", "umoci:written", "bundle"])?;
        self.ok(bench, &["config", "--image", "umoci:written", "--config.cmd", "/greeting"])?;
        let identity = Identity::Images(vec![image_id_of(&layout)]);
        Ok(Written { path: layout, identity })
    }
}

/// oras, which copies from layouts in directories and in tar archives.
pub(super) struct Oras;

impl Oras {
    fn ok(bench: &Bench, args: &[&str]) -> Seen<String> {
        attempt(peer::forky("oras", bench.root()).expect("it was there a moment ago").args(args))
    }

    fn copy(bench: &Bench, source: Source) -> Seen<std::path::PathBuf> {
        let copy = bench.fresh("copy");
        let file = source.file();
        // A path and a name with a colon do not go into one word of oras.
        Self::ok(bench, &["cp", "--from-oci-layout-path", file, tag(source), "--to-oci-layout", "copy:x"])?;
        Ok(copy)
    }
}

impl Tool for Oras {
    fn version(&self) -> String {
        let said = attempt(peer::forky("oras", "/tmp".as_ref()).unwrap().arg("version")).unwrap();
        said.split_whitespace().nth(1).unwrap().to_owned()
    }

    fn read(&self, bench: &Bench, source: Source) -> Seen {
        let copy = Self::copy(bench, source)?;
        let stored = if source == Source::GzipStore { source } else { Source::Store };
        same("manifest", &named(&copy, "x").unwrap_or_default(), &bench.digest(stored))?;
        assert_blobs_match(&copy);
        same("image ID", &image_id_of(&copy), &bench.image_id)
    }

    fn write(&self, bench: &Bench, _: &str) -> Seen<Written> {
        let copy = Self::copy(bench, Source::GzipStore)?;
        bench.written(copy)
    }
}

/// crane, which pushes what it reads and pulls what it writes.
pub(super) struct Crane(pub(super) Registry);

impl Crane {
    fn ok(bench: &Bench, args: &[&str]) -> Seen<String> {
        attempt(peer::forky("crane", bench.root()).expect("it was there a moment ago").args(args))
    }

    /// A repository of this process.
    fn repository(&self, source: Source) -> String {
        format!("{}/interop-{}/{source:?}:1", self.0.address, std::process::id()).to_lowercase()
    }
}

impl Tool for Crane {
    fn version(&self) -> String {
        // The program was built without one; its package has it.
        let mut dpkg = peer::forky("dpkg-query", "/tmp".as_ref()).unwrap();
        attempt(dpkg.args(["-W", "-f", "${Version}", "crane"])).unwrap()
    }

    fn read(&self, bench: &Bench, source: Source) -> Seen {
        let to = self.repository(source);
        let path = if source == Source::Oci { bench.unpacked(source)? } else { source.file().into() };
        Self::ok(bench, &["push", path.to_str().unwrap(), &to])?;
        let config = Self::ok(bench, &["config", &to])?;
        same("config", &sha256(config.as_bytes()), &bench.image_id)?;
        match source {
            Source::Store | Source::Oci => {
                same("manifest", &Self::ok(bench, &["digest", &to])?, &bench.digest(Source::Store))?;
                let pulled = bench.fresh("pulled");
                Self::ok(bench, &["pull", "--format", "oci", &to, "pulled"])?;
                assert_blobs_match(&pulled);
                Ok(())
            }
            // It unpacks every layer by its media type, of which it knows gzip alone.
            _ => Self::ok(bench, &["validate", "--remote", &to]).map(drop),
        }
    }

    fn write(&self, bench: &Bench, form: &str) -> Seen<Written> {
        let (source, format) = match form.strip_suffix(", zstd layers") {
            Some(format) => (Source::Store, format),
            None => (Source::GzipStore, form),
        };
        let to = self.repository(source);
        Self::ok(bench, &["push", source.file(), &to])?;
        let written = bench.fresh("written");
        Self::ok(bench, &["pull", "--format", format.trim_start_matches("pull --format "), &to, "written"])?;
        bench.written(written)
    }
}
