//! The same COPY, ADD and WORKDIR, done by Docker 20.10 and by larder: the images have the same files.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::skip::need;
use crate::support::tarball::members_of;
use crate::support::{Docker, Sandbox, peer, run};

/// What an image has below the steps of each case.
const BASE: &str = "FROM scratch AS stage\nADD archive.tar.gz /in/\nFROM scratch\nADD base.tar /\n";

/// Steps that both can do.
const STEPS: &[(&str, &str)] = &[
    ("names", "COPY f /a/dst\nCOPY f /b/c/\nCOPY f /c\nCOPY f /\nCOPY f g /d/\nCOPY tree/../f /e/../g"),
    (
        "modes",
        "COPY --chown=5:6 f /a/b/\nCOPY --chown=me:gg suid /c\nCOPY --chown=me tree/sub /d/e\nCOPY --chown=500 f /f",
    ),
    (
        "trees",
        "COPY tree /n/m\nCOPY tree/ /o/\nCOPY tree/sub tree/empty /p/\nCOPY . /q\nCOPY tree/empty /r/s",
    ),
    (
        "merged",
        "COPY tree /existing/\nCOPY --chown=5:6 tree /existing\nCOPY tree/sub /existing/sub\nCOPY tree/empty /existing",
    ),
    ("replaced", "COPY other /existing/\nCOPY f /existing/file\nCOPY f /afile"),
    ("links", "COPY f /ldir\nCOPY g /absldir/\nCOPY f /lfile\nCOPY f /ldang\nCOPY tree/sub /ldir/deep"),
    ("dangling", "COPY f /ldang/\nCOPY tree /ldir"),
    ("linked", "COPY tof /x\nCOPY tof /y/\nCOPY tod /z\nCOPY absf /y/\nCOPY tod/sub /v/"),
    ("patterns", "COPY [fg] /x/\nCOPY t*/s* /y/\nCOPY no* /z\nCOPY */*/y /w/\nCOPY to* /v/"),
    ("hard", "COPY tree/x tree/hard /x/\nCOPY tree /y"),
    (
        "workdir",
        "WORKDIR /w/v\nCOPY f .\nCOPY tree sub/new\nCOPY f ../new/\nWORKDIR u\nCOPY f ./\nCOPY other .",
    ),
    (
        "places",
        "WORKDIR /ldir/sub\nWORKDIR /existing\nWORKDIR /ldang/x\nCOPY f .\nCOPY g /etc/hosts\nCOPY f /proc/x\nCOPY f /dev/",
    ),
    (
        "added",
        "ADD archive.tar /x\nADD archive.tar.gz /y/z/\nADD archive.tar.xz /v/\nADD --chown=5:6 noext /w/u\nADD f /t/",
    ),
    (
        "unpacked",
        "ADD archive.tar /existing\nADD archive.tar /ldir\nADD archive.tar f /x/\nADD tree /z/\nADD empty.tar zero.tar /w/",
    ),
    ("through", "ADD archive.tar /\nADD through.tar /\nADD instead.tar /"),
    (
        "stage",
        "COPY --from=stage /in /o/\nCOPY --from=stage in/dir/a /p/q\nCOPY --from=stage --chown=5:6 /in /r\nCOPY --from=0 /in/lnk /s/",
    ),
    (
        "staged",
        "COPY --from=stage / /\nCOPY --from=stage /in/d* /in/h* /x/\nCOPY --from=stage in/*/a /y/\nCOPY --from=stage /in /existing",
    ),
];

/// Steps that neither does.
const WRONG: &[&str] = &[
    "COPY q /x/",
    "COPY q* /x/",
    "COPY out /x/",
    "COPY gone /x/",
    "COPY ../f /x/",
    "COPY [fg] /x",
    "COPY f /afile/",
    "COPY f /afile/x",
    "COPY tree /afile",
    "ADD archive.tar /afile",
    "COPY to*/sub /x/",
    "COPY --chown=nobody f /x",
    "COPY --chown=1:2:3 f /x",
    "WORKDIR /afile",
    "WORKDIR /lfile/x",
    "COPY --from=stage /none /x",
];

/// Makes the context; everything in it is of 2001.
fn context(sandbox: &Sandbox) -> PathBuf {
    let script = r"
        mkdir -p tree/sub tree/empty other/file other/sub2 base/etc base/existing/sub base/real ar/dir ar/real thr/lnk
        echo f > f; echo g > g; chmod 600 f
        echo x > tree/x; ln tree/x tree/hard; ln tree/x hard; echo y > tree/sub/y; ln -s x tree/lnk; ln -s /etc/passwd tree/abs
        echo s > tree/suid; chmod 6755 tree/suid; cp tree/suid suid; chmod 4755 suid; mkfifo tree/fifo
        chmod 700 tree; chmod 2711 tree/sub; chown 12:34 tree/x tree/sub
        ln -s f tof; ln -s tree tod; ln -s /f absf; ln -s ../../../../etc/passwd out; ln -s nowhere gone
        echo n > other/file/n; echo z > other/sub2/z; echo o > other/sub
        printf 'root:x:0:0::/:/bin/sh\nme:x:500:501::/:/bin/sh\n' > base/etc/passwd; printf 'me:x:502:\ngg:x:77:\n' > base/etc/group
        echo old > base/existing/file; echo old > base/existing/sub/y; chmod 750 base/existing/sub; chmod 2775 base/existing
        chown 9:9 base/existing base/existing/sub; echo x > base/existing/x; echo a > base/afile
        ln -s ../real base/existing/sub2; ln -s real base/ldir; ln -s existing/file base/lfile; ln -s newtarget base/ldang
        ln -s /real base/absldir
        echo a > ar/dir/a; chown 7:8 ar/dir ar/dir/a; chmod 4755 ar/dir/a; chmod 2750 ar/dir; ln ar/dir/a ar/hard; ln -s dir ar/lnk
        echo t > ar/real/t; echo q > thr/lnk/q
        find . -exec touch -h -d @1000000000 {} +
        tar -C base -cf base.tar .
        tar -C ar -cf archive.tar dir hard lnk real; gzip -k archive.tar; xz -k archive.tar; cp archive.tar.gz noext
        tar -C thr -cf through.tar lnk/q; tar -C thr -cf instead.tar lnk; : > empty.tar; head -c 10240 /dev/zero > zero.tar
        rm -r base ar thr
        mkdir drop part; echo 1 > drop/f; echo 1 > part/f; echo 2 > part/g
        printf 'drop\npart\n!part/f\n*.tar.xz.no\n.dockerignore\n' > .dockerignore
        find . -exec touch -h -d @1000000000 {} +
    ";
    let context = sandbox.path("context");
    fs::create_dir(&context).unwrap();
    run(std::process::Command::new("sh").args(["-euc", script]).current_dir(&context));
    context
}

/// What an image has under a path.
#[derive(Debug, Clone, PartialEq)]
struct Thing {
    kind: u8,
    mode: u32,
    owner: (u64, u64),
    /// Seconds since 1970; what was made now is 0.
    time: u64,
    /// Of a link: where it leads.
    target: String,
    content: Vec<u8>,
    /// The first name of a file with several.
    same_as: Option<String>,
}

type Picture = BTreeMap<String, Thing>;

/// The files of an image in an archive with plain layers.
fn picture(archive: &Path) -> Picture {
    let members = members_of(archive);
    let manifest: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
    let mut picture = Picture::new();
    for layer in manifest[0]["Layers"].as_array().unwrap() {
        apply(&mut picture, &members[layer.as_str().unwrap()]);
    }
    picture
}

fn apply(picture: &mut Picture, layer: &[u8]) {
    let mut new = Picture::new();
    for member in tar::Archive::new(layer).entries().unwrap() {
        let mut member = member.unwrap();
        let path = member.path().unwrap().to_str().unwrap().trim_matches('/').to_owned();
        let (parent, last) = path.rsplit_once('/').unwrap_or(("", &path));
        let within =
            |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        if last == ".wh..wh..opq" {
            picture.retain(|known, _| !known.starts_with(&within("")));
            continue;
        }
        if let Some(hidden) = last.strip_prefix(".wh.") {
            remove(picture, &within(hidden));
            continue;
        }
        let header = member.header().clone();
        let target = member.link_name().unwrap().map(|target| target.to_str().unwrap().to_owned());
        let kind = header.entry_type();
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        let time = header.mtime().unwrap();
        let mut thing = Thing {
            kind: if kind.is_contiguous() { b'0' } else { kind.as_byte() },
            mode: header.mode().unwrap() & 0o7777,
            owner: (header.uid().unwrap(), header.gid().unwrap()),
            time: if time > 1_500_000_000 { 0 } else { time },
            target: target.clone().unwrap_or_default(),
            content,
            same_as: None,
        };
        if kind.is_hard_link() {
            let first = target.unwrap();
            thing = new.get(&first).or_else(|| picture.get(&first)).unwrap().clone();
            thing.same_as = Some(first);
        }
        if thing.kind != b'5' {
            remove(picture, &path);
        }
        new.insert(path, thing);
    }
    picture.extend(new);
}

fn remove(picture: &mut Picture, path: &str) {
    picture.retain(|known, _| known != path && !known.starts_with(&format!("{path}/")));
}

/// Builds with both; what they made, or that both failed.
struct Builders<'a> {
    docker: &'a Docker,
    sandbox: &'a Sandbox,
    context: &'a Path,
}

impl Builders<'_> {
    fn dockerfile(&self, name: &str, steps: &str) -> PathBuf {
        let file = self.sandbox.path(format!("{name}.Dockerfile"));
        fs::write(&file, format!("{BASE}{steps}\n")).unwrap();
        file
    }

    fn docker(&self, name: &str, dockerfile: &Path) -> std::process::Output {
        let mut build = self.docker.command(["build", "--no-cache", "--quiet", "--tag", name, "--file"]);
        build.args([dockerfile, self.context]).output().unwrap()
    }

    fn larder(&self, name: &str, dockerfile: &Path) -> std::process::Output {
        let mut build = self.sandbox.command(["build", "--tag", name, "--file"]);
        build.args([dockerfile, self.context]).output().unwrap()
    }

    fn compare(&self, name: &str, steps: &str) {
        let dockerfile = self.dockerfile(name, steps);
        let built = self.docker(name, &dockerfile);
        assert!(built.status.success(), "{name}: {built:?}");
        let ours = format!("{name}-larder");
        let built = self.larder(&ours, &dockerfile);
        assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
        let path = |name: &str| self.sandbox.path(format!("{name}.tar"));
        self.docker.ok(["save", "--output", path(name).to_str().unwrap(), name]);
        let mut export =
            self.sandbox.command(["export", &ours, "--archive=docker", "--layers=plain", "--output"]);
        run(export.arg(path(&ours)));
        let (expected, made) = (picture(&path(name)), picture(&path(&ours)));
        let paths: std::collections::BTreeSet<_> = expected.keys().chain(made.keys()).collect();
        for path in paths {
            assert_eq!(made.get(path), expected.get(path), "{name}: {path:?}, larder's on the left");
        }
    }
}

#[test]
fn files_are_where_docker20_puts_them() {
    need!(peer::root(), "root");
    let docker = need!(peer::docker20(), "docker20");
    let sandbox = Sandbox::new();
    let context = context(&sandbox);
    let builders = Builders { docker: &docker, sandbox: &sandbox, context: &context };
    std::thread::scope(|scope| {
        for steps in STEPS.chunks(STEPS.len().div_ceil(4)) {
            let builders = &builders;
            scope.spawn(move || steps.iter().for_each(|(name, steps)| builders.compare(name, steps)));
        }
    });
}

#[test]
fn what_docker20_refuses_is_refused_with_its_line() {
    need!(peer::root(), "root");
    let docker = need!(peer::docker20(), "docker20");
    let sandbox = Sandbox::new();
    let context = context(&sandbox);
    let builders = Builders { docker: &docker, sandbox: &sandbox, context: &context };
    for (number, step) in WRONG.iter().enumerate() {
        let name = format!("wrong{number}");
        let dockerfile = builders.dockerfile(&name, step);
        assert!(!builders.docker(&name, &dockerfile).status.success(), "{step}");
        let built = builders.larder(&name, &dockerfile);
        let told = String::from_utf8_lossy(&built.stderr).into_owned();
        assert_eq!(built.status.code(), Some(1), "{step}: {told}");
        assert!(told.contains(".Dockerfile:5"), "{step}: {told}");
        assert!(!sandbox.ok(["images"]).contains(&name), "{step}");
    }
}
