//! Layers mounted upon each other with overlayfs, in the mount namespace of the process that asks.
//!
//! All directories are named to the kernel by their open descriptors (`/proc/self/fd/N`): no colon or comma in a path is
//! misread, nothing can be put in their place meanwhile, and some 200 layers fit into the page that mount(2) takes.

use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

use crate::error::{Error, Result};
use crate::tree::Directory;

/// Bytes of options that the kernel takes: a page, less the zero at its end.
const MAX_OPTIONS: usize = 4095;
/// What is the same on every kernel and for every reader: no renamed directories, no files of metadata alone, no links across layers.
const PLAIN: &str = "redirect_dir=off,metacopy=off,index=off";

/// A mounted overlay; it is taken off when dropped.
#[must_use = "it is unmounted when this is dropped"]
#[derive(Debug)]
pub struct Overlay {
    target: PathBuf,
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // Where that fails, the namespace's end does it.
        let _ = unmount(&self.target, UnmountFlags::DETACH);
    }
}

/// Gives this process a mount namespace of its own, out of which no mount gets, and which ends with its last process. For a
/// process of one thread: others stay where they are.
pub fn own_namespace() -> Result<()> {
    let failed = |e: Errno| Error::io("make a mount namespace for", "/")(e.into());
    // What makes it unsafe are shared descriptors, and this does not touch them.
    #[allow(deprecated, reason = "the other one is marked unsafe for flags that are not used here")]
    rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNS).map_err(failed)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(failed)
}

/// Mounts layers, the uppermost first, with a directory for what is written and one for overlayfs itself, both empty and of one file
/// system; all of them opened in this namespace. `None` where this kernel or these file systems cannot do it, for a copy to be made instead.
pub fn overlay(
    layers: &[Directory],
    upper: &Directory,
    work: &Directory,
    target: &Directory,
) -> Result<Option<Overlay>> {
    let mut lower = Vec::with_capacity(layers.len());
    for layer in layers {
        lower.push(handle(layer));
        // The kernel merges all roots, whatever they say of themselves.
        if layer.is_opaque()? {
            break;
        }
    }
    let options =
        format!("lowerdir={},upperdir={},workdir={},{PLAIN}", lower.join(":"), handle(upper), handle(work));
    if options.len() > MAX_OPTIONS {
        let why = format!("{} layers are more than one mount can name", layers.len());
        return Err(Error::invalid(target.path().display(), why));
    }
    let options = std::ffi::CString::new(options).map_err(|e| Error::invalid(target.path().display(), e))?;
    match mount("overlay", handle(target), "overlay", MountFlags::empty(), options.as_c_str()) {
        Ok(()) => Ok(Some(Overlay { target: target.path().to_path_buf() })),
        Err(Errno::NODEV | Errno::INVAL | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::NOSYS) => {
            Ok(None)
        }
        Err(e) => Err(target.error("mount layers at", b"")(e)),
    }
}

fn handle(directory: &Directory) -> String {
    format!("/proc/self/fd/{}", directory.fd.as_raw_fd())
}
