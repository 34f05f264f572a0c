//! Small disks of their own for one test, which can be filled, made read-only and cut off.
//!
//! They are mounted in a mount namespace that ends with the process, so that nothing stays mounted whatever is killed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::ioctl::{Setter, ioctl};
use tempfile::TempDir;

use super::{child, directory, skip};

/// Runs the calling test again, as root, in a mount namespace of its own; true there, false in the first process,
/// which has nothing left to do then. Where that cannot be, the test is skipped.
pub fn own_namespace(test: &str) -> bool {
    const INSIDE: &str = "LARDER_TEST_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if !rustix::process::geteuid().is_root() {
        skip::record(test, "root", "is needed to mount a disk");
        return false;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]).stdin(Stdio::null());
        command
    };
    if !unshare().arg("true").output().is_ok_and(|output| output.status.success()) {
        skip::record(test, "mount namespaces", "cannot be made here");
        return false;
    }
    let exe = std::env::current_exe().unwrap();
    let output = unshare().arg(exe).args(child::arguments(test)).env(INSIDE, "1").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let _ = std::io::stderr().write_all(stderr.as_bytes());
    let ran = stdout.contains("test result: ok. 1 passed");
    assert!(
        output.status.success() && ran,
        "{test} in its own namespace: {}\n{stdout}\n{stderr}",
        output.status
    );
    false
}

/// A mounted file system.
pub struct Disk {
    options: String,
    kind: &'static str,
    dir: TempDir,
}

impl Disk {
    /// An ext4 file system of `size` bytes, without blocks that only root may use.
    pub fn ext4(size: u64, options: &str) -> Disk {
        let dir = directory();
        let image = dir.path().join("image");
        File::create(&image).unwrap().set_len(size).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image));
        Disk::mounted(Disk { options: format!("loop,{options}"), kind: "ext4", dir })
    }

    /// A file system in memory.
    pub fn tmpfs(options: &str) -> Disk {
        Disk::mounted(Disk { options: options.to_owned(), kind: "tmpfs", dir: directory() })
    }

    fn mounted(disk: Disk) -> Disk {
        std::fs::create_dir(disk.path()).unwrap();
        disk.mount();
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn mount(&self) {
        let image = self.dir.path().join("image");
        run(Command::new("mount").args(["-t", self.kind, "-o", &self.options]).arg(image).arg(self.path()));
    }

    /// Takes it off and mounts it again, as a machine does that starts anew.
    pub fn restart(&self) {
        run(Command::new("umount").arg(self.path()));
        self.mount();
    }

    /// Makes it read-only, or writable again.
    pub fn remount(&self, mode: &str) {
        run(Command::new("mount").arg("-o").arg(format!("remount,{mode}")).arg(self.path()));
    }

    /// Cuts it off at this moment: what is not on the disk now will never be.
    pub fn cut_power(&self) {
        const EXT4_IOC_SHUTDOWN: u32 = 0x8004_587D;
        const NO_LOG_FLUSH: u32 = 2;
        let root = File::open(self.path()).unwrap();
        // SAFETY: the request reads one u32 through its argument, and that is what it is given.
        #[allow(unsafe_code, reason = "there is no safe way to shut a file system down")]
        unsafe {
            ioctl(root, Setter::<EXT4_IOC_SHUTDOWN, u32>::new(NO_LOG_FLUSH)).unwrap();
        }
    }

    /// Writes a file until not one more byte fits.
    pub fn fill(&self) {
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).open(self.path().join("filler")).unwrap();
        let zeros = vec![0; 1 << 20];
        loop {
            let mut piece = zeros.len();
            while piece > 0 {
                if file.write(&zeros[..piece]).is_err() {
                    piece /= 2;
                }
            }
            // What was only promised is allotted now, and may turn out to be less.
            file.sync_all().unwrap();
            if file.write(&[0]).is_err() {
                return;
            }
        }
    }

    /// Makes empty files until there is no inode left.
    pub fn fill_inodes(&self) {
        let dir = self.path().join("fillers");
        std::fs::create_dir(&dir).unwrap();
        let made = (0..).take_while(|number| File::create(dir.join(number.to_string())).is_ok()).count();
        assert!(made < 100_000, "the disk has no end of inodes");
    }

    /// Gives back what [`Disk::fill`] has taken.
    pub fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let umount = |lazily: &[&str]| Command::new("umount").args(lazily).arg(self.path()).output();
        if !umount(&[]).is_ok_and(|output| output.status.success()) {
            // A failed test still has files open on it.
            let _ = umount(&["-l"]);
        }
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The size of what [`Disk::ext4`] is mostly asked for.
pub const SMALL: u64 = 32 << 20;
