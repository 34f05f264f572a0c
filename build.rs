//! Links the unwinder into the binary, so that it needs nothing but libc at run time.
//!
//! rustc names the shared libgcc_s on the linker's command line "as needed"; with the static libgcc_eh taken whole
//! it is not needed. Where there is no libgcc_eh (musl, clang's runtime) nothing changes.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_gnu = std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    let is_native = std::env::var("HOST").ok() == std::env::var("TARGET").ok();
    let Some(library) = libgcc_eh().filter(|_| is_gnu && is_native) else { return };
    println!("cargo::rustc-link-arg-bins=-Wl,--whole-archive,{},--no-whole-archive", library.display());
}

fn libgcc_eh() -> Option<PathBuf> {
    let answer = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let path = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim());
    Some(path).filter(|path| path.is_absolute() && path.is_file())
}
