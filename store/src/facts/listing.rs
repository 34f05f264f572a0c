//! What of a layer's members says something about an image: where databases lie, and what is in directories of programs.
//!
//! A layer has tens of thousands of members, and this keeps the few that matter, so that facts can be read later without
//! unpacking the layer again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The version of what is written; another one is read anew.
const FORMAT: u32 = 1;
/// Bytes of a listing; what a lister takes in fits.
const MAX_JSON: usize = 64 << 20;
/// Path components of a member that is looked at.
pub(super) const MAX_DEPTH: usize = 16;

/// Files whose content is read.
pub(super) const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
pub(super) const DPKG_STATUS: &str = "var/lib/dpkg/status";
pub(super) const DPKG_STATUS_DIR: &str = "var/lib/dpkg/status.d";
pub(super) const APK_INSTALLED: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
pub(super) const PACMAN_LOCAL: &str = "var/lib/pacman/local";
const PACMAN_DESC: &str = "/desc";
const ALTERNATIVES: &str = "etc/alternatives";

/// The members of a layer that matter, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    format: u32,
    pub(super) entries: Vec<Entry>,
    /// Why it ends before the layer does.
    pub(super) broken: Option<String>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Relative, with `/` between plain components.
    pub(super) path: String,
    pub(super) kind: Kind,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Directory,
    File(Place),
    /// A symbolic link, with its target as it stands there.
    Link(String),
    /// A hard link to another member.
    HardLink(String),
    /// A device, a pipe, a socket.
    Other,
    /// The path is gone (OCI image spec, layer.md, "Whiteouts").
    Whiteout,
    /// What lower layers have below the path is gone.
    Opaque,
}

/// Where a file's content is in the plain layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) is_executable: bool,
    /// Of files whose content is read.
    pub(super) digest: Option<Digest>,
}

impl Listing {
    pub(super) fn new(entries: Vec<Entry>, broken: Option<String>) -> Listing {
        Listing { format: FORMAT, entries, broken }
    }

    /// Reads what [`Listing::to_bytes`] wrote; nothing of another version.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Listing> {
        let json = zstd::bulk::decompress(bytes, MAX_JSON).ok()?;
        serde_json::from_slice(&json).ok().filter(|listing: &Listing| listing.format == FORMAT)
    }

    /// As it is kept: JSON, a tenth of it.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("strings and numbers serialise");
        zstd::bulk::compress(&json, 1).unwrap_or_default()
    }
}

/// Which members matter.
#[derive(Debug, Clone, Default)]
pub(super) struct Interest {
    /// Directories of programs that do not look like it by their names.
    pub(super) directories: BTreeSet<String>,
}

impl Interest {
    /// Whether this directory's members are listed.
    pub(super) fn covers(&self, directory: &str) -> bool {
        let is_usual = matches!(name(directory), "bin" | "sbin" | "games") && depth(directory) < MAX_DEPTH;
        is_usual || directory == ALTERNATIVES || self.directories.contains(directory)
    }

    /// Whether a member matters, so far as its path says: itself, or because others hang on what it is.
    pub(super) fn wants(&self, path: &str, is_link: bool) -> bool {
        let depth = depth(path);
        let is_above = |inside: &str| {
            inside.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // Any of these may turn out to stand in the way to a directory, or to be the way.
        depth <= 2
            || is_link && depth <= 4
            || depth <= MAX_DEPTH && (self.covers(parent(path)) || self.covers(path) || is_content(path))
            || [DPKG_STATUS_DIR, APK_INSTALLED[0], APK_INSTALLED[1], PACMAN_LOCAL].into_iter().any(is_above)
            || self.directories.iter().any(|directory| is_above(directory))
    }
}

/// Whether a file's content is read.
pub(super) fn is_content(path: &str) -> bool {
    OS_RELEASE.contains(&path)
        || path == DPKG_STATUS
        || APK_INSTALLED.contains(&path)
        || parent(path) == DPKG_STATUS_DIR
        || path.ends_with(PACMAN_DESC) && parent(parent(path)) == PACMAN_LOCAL
}

pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

pub(super) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn depth(path: &str) -> usize {
    path.split('/').count()
}

/// A member's path as plain components. `None` for what no reader should take: climbing out, not UTF-8, or with control
/// characters that would reach a terminal.
pub(super) fn clean(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok().filter(|text| !text.chars().any(char::is_control))?;
    let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
    let mut path = String::with_capacity(text.len());
    for part in parts {
        if part == ".." {
            return None;
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters() {
        let mut interest = Interest::default();
        for (path, is_link, wanted) in [
            ("usr", false, true),
            ("etc/os-release", false, true),
            ("usr/bin/g++", false, true),
            ("usr/bin", false, true),
            ("usr/lib/llvm-14/bin/clang", false, true),
            ("usr/lib/jvm/default-java", true, true),
            ("usr/lib/jvm/default-java", false, false),
            ("usr/share/doc/bash", false, false),
            ("etc/alternatives/c++", true, true),
            ("var/lib/dpkg", false, true),
            ("var/lib/dpkg/status", false, true),
            ("var/lib/dpkg/status.d/tzdata", false, true),
            ("var/lib/dpkg/info/bash.list", false, false),
            ("lib/apk/db", false, true),
            ("var/lib/pacman/local/gcc-14-1/desc", false, true),
            ("var/lib/pacman/local/gcc-14-1/files", false, false),
            ("opt/vendor/tools/run", false, false),
        ] {
            assert_eq!(interest.wants(path, is_link), wanted, "{path}");
        }
        interest.directories.insert("opt/vendor/tools".into());
        assert!(interest.wants("opt/vendor/tools/run", false) && interest.wants("opt/vendor/tools", false));
    }

    #[test]
    fn paths_are_made_plain() {
        for (raw, path) in [
            (&b"./usr//bin/./ls"[..], Some("usr/bin/ls")),
            (b"/usr/bin/", Some("usr/bin")),
            (b"usr/../etc", None),
            (b"./", None),
            (b"a\x1b[2J", None),
            (b"\xff", None),
        ] {
            assert_eq!(clean(raw).as_deref(), path);
        }
    }
}
