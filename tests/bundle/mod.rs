//! `larder bundle`: what travels is what is missing, and what arrives is what was sent.

mod apply;
mod bad;
mod consume;
mod create;
mod delta;
mod full;
mod have;
mod lists;
mod mutations;
mod parts;
mod peers;
mod signed;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, describe};

/// Two stores, `out` that images come from and `in` that no network reaches.
pub(super) struct Gap {
    pub(super) sandbox: Sandbox,
}

impl Gap {
    pub(super) fn new() -> Gap {
        Gap { sandbox: Sandbox::new() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// Runs larder on a store of this name.
    pub(super) fn at<'a>(&self, store: &'a str, args: impl IntoIterator<Item = &'a str>) -> String {
        self.sandbox.ok(["--store", store].into_iter().chain(args))
    }

    /// The same with JSON.
    pub(super) fn json<'a>(&self, store: &'a str, args: impl IntoIterator<Item = &'a str>) -> Value {
        self.sandbox.json(["--store", store].into_iter().chain(args))
    }

    /// The same, which must end with this code; its stderr.
    pub(super) fn fail<'a>(
        &self,
        store: &'a str,
        args: impl IntoIterator<Item = &'a str>,
        code: i32,
    ) -> String {
        self.sandbox.fail(["--store", store].into_iter().chain(args), code)
    }

    /// Puts an image with a layer for each of these seeds into a store.
    pub(super) fn image(&self, store: &str, name: &str, seeds: &[u64]) {
        self.image_of(store, name, seeds, 100_000, &[]);
    }

    /// The same, with layers of a size, and more arguments for the import.
    pub(super) fn image_of(&self, store: &str, name: &str, seeds: &[u64], size: usize, args: &[&str]) {
        let layers: Vec<_> = seeds.iter().map(|seed| layer("noise", &noise(*seed, size))).collect();
        std::fs::write(self.path("image.tar"), docker_archive(name, &layers)).unwrap();
        self.at(store, ["import", "image.tar"].into_iter().chain(args.iter().copied()));
    }

    /// The list of what `in` has, in this file.
    pub(super) fn have(&self, file: &str, args: &[&str]) {
        let said = self.at("in", ["bundle", "have"].into_iter().chain(args.iter().copied()));
        std::fs::write(self.path(file), said).unwrap();
    }

    /// What `in` says of stdin that is these bytes: the exit code and all that a person sees.
    pub(super) fn apply_stdin(&self, bytes: &[u8], args: &[&str]) -> (Option<i32>, String) {
        self.feed("in", bytes, args)
    }

    /// The same of another store.
    pub(super) fn apply_stdin_to(&self, store: &str, bytes: &[u8]) -> (Option<i32>, String) {
        self.feed(store, bytes, &[])
    }

    fn feed(&self, store: &str, bytes: &[u8], args: &[&str]) -> (Option<i32>, String) {
        let words = ["--store", store, "bundle", "apply", "-"].into_iter().chain(args.iter().copied());
        let mut command = self.sandbox.command(words);
        let output = crate::support::feed(&mut command, bytes);
        (output.status.code(), describe(&command, &output))
    }

    /// A store's path.
    pub(super) fn store(&self, name: &str) -> PathBuf {
        self.path(name)
    }
}

/// How many files there are below a store's private directory, by its name there.
pub(super) fn files(store: &Path, place: &str) -> usize {
    std::fs::read_dir(store.join(".larder").join(place)).map_or(0, Iterator::count)
}
