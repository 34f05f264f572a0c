//! What strace saw of a command: every call, and which of them change anything.
//!
//! Nothing is passed over: a call that this page does not know fails the test, and so does a change on another thread
//! than the command's own, because strace counts the calls of each thread by itself.

use std::collections::BTreeMap;

use super::points::Point;

/// Calls that change what is on the disk, always.
const CHANGES: [&str; 32] = [
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "mknodat",
    "creat",
    "truncate",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "syncfs",
    "sync_file_range",
    "copy_file_range",
    "sendfile",
    "splice",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "fchownat",
    "utimensat",
    "fsetxattr",
];

/// Calls that change a file where they are given one: to a pipe, a terminal or an event they are nothing.
const WRITES: [&str; 5] = ["write", "writev", "pwrite64", "pwritev", "pwritev2"];

/// Calls that tell an engine something. How many there are depends on who is faster.
pub(crate) const SENDS: [&str; 3] = ["sendto", "sendmsg", "shutdown"];

/// Calls that change no file: memory, threads, signals, clocks, looking, reading, waiting, locking.
const HARMLESS: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "clock_gettime",
    "clock_nanosleep",
    "clone",
    "clone3",
    "close",
    "connect",
    "dup",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "eventfd2",
    "execve",
    "exit",
    "exit_group",
    "fadvise64",
    "fcntl",
    "flock",
    "fstat",
    "fstatfs",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpeername",
    "getpid",
    "getrandom",
    "getsockname",
    "getsockopt",
    "gettid",
    "getuid",
    "lseek",
    "madvise",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "newfstatat",
    "pipe2",
    "poll",
    "ppoll",
    "pread64",
    "prlimit64",
    "prctl",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmsg",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "setsockopt",
    "sigaltstack",
    "socket",
    "socketpair",
    "statfs",
    "statx",
    "tgkill",
    "uname",
    "wait4",
];

/// One call of a command.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) name: &'a str,
    pub(crate) args: &'a str,
    /// Whether the command's own thread made it.
    is_own: bool,
    /// The how-manieth call of this name it is on its thread, from 1.
    pub(crate) when: usize,
}

/// Reads what `strace -f -y` wrote.
pub(crate) fn read(log: &str) -> Vec<Call<'_>> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut own = None;
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((name, args)) = rest.trim_start().split_once('(') else { continue };
        // The second half of a call that another thread interrupted, signals and ends are no calls.
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let when = counts.entry((thread, name)).or_default();
        *when += 1;
        let is_own = *own.get_or_insert(thread) == thread;
        calls.push(Call { name, args, is_own, when: *when });
    }
    calls
}

impl Call<'_> {
    /// Whether it changes a file or tells an engine something; fails where that cannot be said.
    pub(crate) fn changes(&self) -> bool {
        let Self { name, args, .. } = *self;
        if CHANGES.contains(&name) || SENDS.contains(&name) {
            true
        } else if WRITES.contains(&name) {
            self.path().is_some()
        } else {
            let harmful = match name {
                "open" | "openat" | "openat2" => {
                    return ["O_CREAT", "O_TRUNC", "O_TMPFILE"].iter().any(|flag| args.contains(flag));
                }
                "mmap" => args.contains("MAP_SHARED") && args.contains("PROT_WRITE"),
                "ioctl" => {
                    !["TCGETS", "TIOCGWINSZ", "FIONBIO", "FIONREAD"].iter().any(|it| args.contains(it))
                }
                name => !HARMLESS.contains(&name),
            };
            assert!(!harmful, "may this change a file? {name}({args}");
            false
        }
    }

    /// The file behind the descriptor in front of the arguments; devices and `/proc` are none.
    pub(crate) fn path(&self) -> Option<&str> {
        let (_, path) = self.args.split([',', ')']).next()?.split_once('<')?;
        let is_file = path.starts_with('/') && !path.starts_with("/dev/") && !path.starts_with("/proc/");
        (is_file || path.starts_with("/dev/shm/")).then(|| path.trim_end_matches('>'))
    }
}

/// Every call that changes something, and the end.
pub(crate) fn changes(log: &str) -> Vec<Point> {
    let mut points = Vec::new();
    for call in read(log) {
        if call.changes() {
            assert!(call.is_own, "another thread changes something, which is not counted: {call:?}");
            points.push(Point { call: call.name.to_owned(), when: call.when });
        }
    }
    // What all of them together have done.
    points.push(Point { call: "exit_group".into(), when: 1 });
    points
}

#[test]
fn calls_that_change_something_are_told_from_others() {
    let log = r#"7 execve("/larder", ["larder"], 0x1) = 0
7 openat(AT_FDCWD</t>, "a", O_RDONLY|O_CLOEXEC) = 3</t/a>
7 openat(3</t>, "b", O_RDWR|O_CREAT|O_EXCL, 0644) = 4</t/b>
7 write(1<pipe:[1]>, "x", 1) = 1
7 write(4</t/b>, "x", 1 <unfinished ...>
8 write(9<anon_inode:[eventfd]>, "\1", 8) = 8
7 <... write resumed>) = 1
7 write(2</dev/null>, "x", 1) = 1
7 write(4</dev/shm/t/b>, "x", 1) = 1
7 sendto(5<socket:[1]>, "GET", 3, 0, NULL, 0) = 3
7 --- SIGCHLD {si_signo=SIGCHLD} ---
7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x1
7 renameat(3</t>, "b", 3</t>, "c") = 0
7 exit_group(0) = ?
"#;
    let found: Vec<_> = changes(log).into_iter().map(|point| (point.call, point.when)).collect();
    let expected =
        [("openat", 2), ("write", 2), ("write", 4), ("sendto", 1), ("renameat", 1), ("exit_group", 1)];
    assert_eq!(found, expected.map(|(call, when)| (call.to_owned(), when)));
    for line in [
        "7 io_uring_setup(8, 0x1) = 3",
        r#"7 ioctl(3</t/a>, FICLONE, 4</t/b>) = 0"#,
        "7 mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3</t/a>, 0) = 0x1",
        "7 close(3) = 0\n8 unlinkat(3</t>, \"a\", 0) = 0",
    ] {
        assert!(std::panic::catch_unwind(|| changes(line)).is_err(), "{line}");
    }
}
