//! What strace wrote down, read: which calls would have changed something outside of the store.

use std::path::{Component, Path, PathBuf};

/// The calls that reach out of `store`: those that change or make something elsewhere, run another program, or
/// open a socket. `cwd` is where the process stands.
pub(super) fn outside(calls: &str, store: &Path, cwd: &Path) -> Vec<String> {
    let mut programs = 0;
    let is_outside = |line: &&str| {
        let Some((name, args)) = call(line) else { return false };
        match name {
            "exit_group" => false,
            "socket" | "connect" => true,
            "execve" | "execveat" => {
                // The first one is larder itself.
                programs += 1;
                programs > 1
            }
            "open" | "openat" | "openat2" if !opens_to_write(args) => false,
            _ => paths(args, cwd).iter().any(|path| !path.starts_with(store)),
        }
    };
    calls.lines().filter(is_outside).map(str::to_owned).collect()
}

/// `PID name(args…`; the second half of a call that another thread interrupted, and signals, are none.
fn call(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    let (name, args) = line.split_once('(')?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then_some((name, args))
}

fn opens_to_write(args: &str) -> bool {
    ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE", "O_APPEND"]
        .iter()
        .any(|flag| args.contains(flag))
}

/// All paths among the arguments and in the result, without links followed: `7</dir>, "name"` is `/dir/name`.
fn paths(args: &str, cwd: &Path) -> Vec<PathBuf> {
    let (mut found, mut base, mut was_used) = (Vec::new(), cwd.to_path_buf(), true);
    let mut rest = args;
    while let Some(at) = rest.find(['<', '"']) {
        let is_base = rest[at..].starts_with('<');
        let (text, after) = quoted(&rest[at + 1..], if is_base { '>' } else { '"' });
        rest = after;
        if is_base && text.starts_with('/') {
            // A descriptor with no name behind it is itself what is changed.
            found.extend((!was_used).then(|| base.clone()));
            (base, was_used) = (plain(Path::new(&text)), false);
        } else if !is_base {
            found.push(plain(&base.join(text)));
            was_used = true;
        }
    }
    found.extend((!was_used).then_some(base));
    found
}

/// The text up to the mark, and what comes behind it.
fn quoted(text: &str, mark: char) -> (String, &str) {
    let (mut out, mut chars) = (String::new(), text.char_indices());
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(|(_, c)| c)),
            c if c == mark => return (out, &text[at + c.len_utf8()..]),
            c => out.push(c),
        }
    }
    (out, "")
}

fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

#[test]
fn calls_that_reach_out_of_the_store_are_found() {
    let (store, cwd) = (Path::new("/t/store"), Path::new("/t"));
    for line in [
        r#"1 openat(3</t/store>, "../evil", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 7</t/evil>"#,
        r#"1 openat(AT_FDCWD</t>, "evil", O_WRONLY) = -1 ENOENT (No such file or directory)"#,
        r#"1 openat2(3</t/store/blobs>, "x", {flags=O_RDWR|O_CREAT, mode=0644}, 24) = 9</etc/x>"#,
        r#"1 open("/etc/passwd", O_RDWR) = 3</etc/passwd>"#,
        r#"12  mkdir("store/../evil", 0755) = 0"#,
        r#"12  renameat(3</t/store>, "a", 4</t>, "b" <unfinished ...>"#,
        r#"12  unlink("/t/store\"/x") = 0"#,
        r#"12  utimensat(3</t/other>, NULL, NULL, 0) = 0"#,
        r#"12  symlinkat("/etc", 3</t/store>, "link") = 0"#,
        r#"12  connect(3<socket:[1]>, {sa_family=AF_INET}, 16) = 0"#,
        r#"12  socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3<TCP:[1]>"#,
    ] {
        assert_eq!(outside(line, store, cwd), [line]);
    }
    for line in [
        r#"1 execve("/usr/bin/larder", ["larder"], 0x7ffe /* 4 vars */) = 0"#,
        r#"1 openat(AT_FDCWD</t>, "hostile.tar", O_RDONLY|O_CLOEXEC) = 3</t/hostile.tar>"#,
        r#"1 openat(AT_FDCWD, "/t/store/index.json", O_RDWR|O_CREAT, 0644) = 3</t/store/index.json>"#,
        r#"1 renameat(3</t/store/a>, "x", 4</t/store/b>, "y") = 0"#,
        r#"1 unlinkat(3</t/store/.larder/leases>, "f", 0) = 0"#,
        r#"1 utimensat(3</t/store/x>, NULL, NULL, 0) = 0"#,
        r#"1 <... openat resumed>) = 7</t/evil>"#,
        r#"1 --- SIGCHLD {si_signo=SIGCHLD} ---"#,
        r#"1 exit_group(0) = ?"#,
    ] {
        assert_eq!(outside(line, store, cwd), [""; 0], "{line}");
    }
    let twice = "1 execve(\"/a\", [\"a\"], 0x1) = 0\n1 execve(\"/b\", [\"b\"], 0x1) = 0";
    assert_eq!(outside(twice, store, cwd).len(), 1);
}
