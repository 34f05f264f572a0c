//! Layers made by hand, laid upon each other.

use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use super::compilers::{Compiler, compilers};
use super::databases::{Package, PackageKind};
use super::lister::Lister;
use super::listing::{Interest, Kind, Listing};
use super::programs::{path, programs};
use super::view::{Node, View};

/// A member: path, type, what it links to or holds.
type Member<'a> = (&'a str, EntryType, &'a str);

const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;
const HARD: EntryType = EntryType::Link;
const DIR: EntryType = EntryType::Directory;

fn layer(members: &[Member<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, text) in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        let content = if kind.is_file() { *text } else { "" };
        header.set_size(content.len() as u64);
        header.as_old_mut().linkname[..text.len().min(100)]
            .copy_from_slice(&text.as_bytes()[..text.len().min(100)]);
        if !content.is_empty() {
            header.as_old_mut().linkname.fill(0);
        }
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, content.as_bytes()).expect("appended");
    }
    builder.into_inner().expect("finished")
}

fn listed(bytes: &[u8], piece: usize) -> Listing {
    let mut lister = Lister::default();
    bytes.chunks(piece).for_each(|piece| lister.feed(piece));
    lister.finish().0
}

fn view(layers: &[&[Member<'_>]]) -> View {
    let mut view = View::default();
    for (number, members) in layers.iter().enumerate() {
        let listing = listed(&layer(members), 1 << 20);
        assert_eq!(listing.broken, None);
        view.apply(number, &listing);
    }
    view
}

/// The programs as `name=path[>target]`.
fn found(layers: &[&[Member<'_>]]) -> Vec<String> {
    let path = ["usr/local/bin", "usr/bin", "bin"].map(str::to_owned);
    let show = |program: super::Program| {
        let target = program.target.map_or(String::new(), |target| format!(">{target}"));
        format!("{}={}{target}", program.name, program.path)
    };
    programs(&view(layers), &path).into_iter().map(show).collect()
}

#[test]
fn layers_are_laid_upon_each_other() {
    let base: &[Member<'_>] = &[("usr/bin/a", FILE, "a"), ("usr/bin/b", FILE, "b"), ("bin", LINK, "usr/bin")];
    let (a, b) = ("a=/usr/bin/a", "b=/usr/bin/b");
    for (upper, expected) in [
        (&[("usr/bin/.wh.a", FILE, "")][..], &[b][..]),
        (&[("usr/bin/.wh..wh..opq", FILE, "")], &[]),
        // What stands beside an opaque mark is of the same layer and stays, in whatever order they come.
        (&[("usr/bin/c", FILE, "c"), ("usr/bin/.wh..wh..opq", FILE, "")], &["c=/usr/bin/c"]),
        (&[("usr/bin/a", FILE, "new"), ("usr/bin/.wh.a", FILE, "")], &[a, b]),
        (&[(".wh.usr", FILE, "")], &[]),
        (&[(".wh..wh..opq", FILE, "")], &[]),
        (&[("usr/.wh.bin", FILE, ""), ("usr/bin/c", FILE, "c")], &["c=/usr/bin/c"]),
        // A file in a directory's place hides all that was in it, and a directory the file.
        (&[("usr/bin", FILE, "x")], &[]),
        (&[("usr", LINK, "nowhere")], &[]),
        (&[("usr/bin/a", DIR, "")], &[b]),
        (&[("usr/bin/a/inside", FILE, "x")], &[b]),
        // A directory that was a link in the layer below is its own from now on.
        (&[("bin/c", FILE, "c")], &[a, b, "c=/bin/c"]),
        // Below a link of the same layer it is written through the link.
        (
            &[("sbin", LINK, "usr/bin"), ("sbin/c", FILE, "c"), ("sbin/x/y", FILE, "")],
            &[a, b, "c=/usr/bin/c"],
        ),
        (&[("usr/local/bin/a", FILE, "first")], &["a=/usr/local/bin/a", b]),
        (&[("usr/bin/h", HARD, "usr/bin/a")], &[a, b, "h=/usr/bin/h"]),
        (&[("usr/bin/l", LINK, "../../bin/a")], &[a, b, "l=/usr/bin/l>/usr/bin/a"]),
        (&[("usr/bin/l", LINK, "/opt/x/run")], &[a, b, "l=/usr/bin/l>/opt/x/run"]),
        // What all the members of a directory are known of has no other.
        (&[("usr/bin/l", LINK, "gone"), ("usr/bin/m", LINK, "../../usr/bin/.wh")], &[a, b]),
        (&[("usr/bin/l", LINK, "/opt/y/bin/run")], &[a, b, "l=/usr/bin/l>/opt/y/bin/run"]),
        (
            &[
                ("usr/bin/l", LINK, "/usr/bin"),
                ("usr/bin/m", LINK, "m"),
                ("usr/bin/n", LINK, "o"),
                ("usr/bin/o", LINK, "n"),
            ],
            &[a, b],
        ),
        (&[("./usr/bin/d", EntryType::Char, ""), ("/usr/bin/../bin/e", FILE, "e")], &[a, b, "d=/usr/bin/d"]),
    ] {
        assert_eq!(found(&[base, upper]), expected, "{upper:?}");
    }
}

#[test]
fn links_are_followed_and_not_for_ever() {
    let view = view(&[&[
        ("etc/alternatives/c++", LINK, "/usr/bin/g++"),
        ("usr/bin/c++", LINK, "/etc/alternatives/c++"),
        ("usr/bin/g++", LINK, "g++-12"),
        ("usr/bin/g++-12", FILE, "x"),
        ("etc/os-release", LINK, "../usr/lib/os-release"),
        ("usr/lib/os-release", FILE, "ID=debian\n"),
        ("up", LINK, "../../../../usr"),
        ("circle", LINK, "./circle"),
        ("grow", LINK, "grow/grow"),
    ]]);
    let leads = |path: &str| view.resolve(path).map(|(path, _)| path);
    assert_eq!(leads("usr/bin/c++").as_deref(), Some("usr/bin/g++-12"));
    assert_eq!(leads("up/bin/g++").as_deref(), Some("usr/bin/g++-12"));
    assert!(matches!(view.resolve("etc/os-release"), Some((_, Some(Node::File(0, _))))));
    assert_eq!((leads("circle"), leads("grow"), leads("grow/x")), (None, None, None));
}

#[test]
fn compilers_have_the_versions_of_packages_or_names() {
    let package = |name: &str, version: &str| {
        let [name, version, architecture] = [name, version, "amd64"].map(str::to_owned);
        Package { name, version, architecture, kind: PackageKind::Dpkg }
    };
    let debian: &[Member<'_>] = &[
        ("usr/bin/x86_64-linux-gnu-gcc-12", FILE, "x"),
        ("usr/bin/gcc-12", LINK, "x86_64-linux-gnu-gcc-12"),
        ("usr/bin/gcc", LINK, "gcc-12"),
        ("usr/bin/x86_64-linux-gnu-g++-12", FILE, "y"),
        ("usr/bin/g++-12", LINK, "x86_64-linux-gnu-g++-12"),
        ("usr/bin/g++", LINK, "g++-12"),
        ("usr/bin/gcc-ar-12", FILE, "z"),
        ("usr/lib/llvm-14/bin/clang", FILE, "c"),
        ("usr/bin/clang", LINK, "../lib/llvm-14/bin/clang"),
        ("usr/bin/clang++-14", LINK, "../lib/llvm-14/bin/clang"),
    ];
    let official: &[Member<'_>] = &[
        ("usr/local/bin/gcc", FILE, "x"),
        ("usr/local/bin/x86_64-linux-gnu-gcc-15.1.0", HARD, "usr/local/bin/gcc"),
    ];
    let alpine: &[Member<'_>] = &[("usr/bin/gcc", FILE, "x"), ("usr/bin/g++", FILE, "y")];
    let of_debian = [
        package("clang-14", "1:14.0.6-12"),
        package("g++-12", "12.2.0-14"),
        package("gcc-12", "12.2.0-14+deb12u1"),
    ];
    for (layers, packages, expected) in [
        (&[debian][..], &of_debian[..], &["clang 14.0.6 /usr/bin/clang", "gcc 12.2.0 /usr/bin/gcc-12"][..]),
        (&[debian], &[], &["clang 14 /usr/bin/clang", "gcc 12 /usr/bin/gcc-12"]),
        (&[official], &[package("gcc", "4:12.2.0-3")], &["gcc 15.1.0 /usr/local/bin/gcc"]),
        (
            &[official, debian],
            &of_debian,
            &["clang 14.0.6 /usr/bin/clang", "gcc 12.2.0 /usr/bin/gcc-12", "gcc 15.1.0 /usr/local/bin/gcc"],
        ),
        (
            &[alpine],
            &[package("g++", "13.2.1_git20231014-r0"), package("gcc", "13.2.1_git20231014-r0")],
            &["gcc 13.2.1 /usr/bin/gcc"],
        ),
        (&[alpine], &[], &["gcc ? /usr/bin/gcc"]),
    ] {
        let view = view(layers);
        let programs = programs(&view, &["usr/local/bin".into(), "usr/bin".into()]);
        let show = |c: Compiler| format!("{} {} {}", c.family, c.version.as_deref().unwrap_or("?"), c.path);
        let found: Vec<_> = compilers(&view, &programs, packages).into_iter().map(show).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_path_is_the_config_s_or_the_usual_one() {
    let with = |path: &str| {
        super::programs::path(format!(r#"{{"config":{{"Env":["A=b","PATH={path}"]}}}}"#).as_bytes())
    };
    assert_eq!(with("/opt/x/bin:/usr/bin/:relative::/opt/../etc:/usr//bin"), ["opt/x/bin", "usr/bin"]);
    assert_eq!(with(&vec!["/x"; 1000].join(":")), ["x"]);
    for silent in ["{}", "", "[1]", r#"{"config":null}"#, r#"{"config":{"Env":[1]}}"#] {
        assert_eq!(path(silent.as_bytes()).len(), 6, "{silent}");
    }
}

#[test]
fn contents_are_found_wherever_the_pieces_end() {
    let long = "x".repeat(700);
    let members = [
        ("usr/share/filler", FILE, long.as_str()),
        ("etc/os-release", FILE, "ID=debian\n"),
        ("usr/bin/ls", FILE, "ls"),
    ];
    let bytes = layer(&members);
    let whole = listed(&bytes, bytes.len());
    assert_eq!(whole.entries.len(), 4, "two files, and two directories above what does not matter");
    for entry in &whole.entries {
        let Kind::File(place) = entry.kind else { continue };
        let content = &bytes[place.offset as usize..][..place.size as usize];
        let expected = members.iter().find(|(path, ..)| *path == entry.path).expect("one of them").2;
        assert_eq!(content, expected.as_bytes());
        let digest = (entry.path == "etc/os-release").then(|| crate::Digest::of(content));
        assert_eq!(place.digest, digest, "only what is read is hashed");
    }
    for piece in [1, 7, 511, 512, 513, 4096] {
        assert_eq!(listed(&bytes, piece), whole);
    }
    assert_eq!(Listing::from_bytes(&whole.to_bytes()), Some(whole.clone()));
    for cut in 1..bytes.len() - 1024 {
        let listing = listed(&bytes[..cut], 4096);
        // Between two members nothing is missing, so far as can be seen.
        assert!(listing.broken.is_some() || cut % 512 == 0, "cut at {cut}");
        assert!(listing.entries.len() <= whole.entries.len());
    }
}

#[test]
fn names_of_a_terminal_s_language_and_endless_lists_are_left_out() {
    let listing = listed(
        &layer(&[("usr/bin/\x1b[2J", FILE, "x"), ("usr/bin/l", LINK, "\x07"), ("usr/bin/ok", FILE, "x")]),
        512,
    );
    let paths: Vec<_> = listing.entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!((paths, listing.broken), (vec!["usr/bin/l", "usr/bin/ok"], None));
    let mut lister = Lister::with(Interest::default());
    for number in 0..60_000 {
        lister.feed(&layer(&[(&format!("usr/bin/{number}"), FILE, "")])[..512]);
    }
    let (listing, _) = lister.finish();
    assert_eq!((listing.entries.len(), listing.broken.is_some()), (50_000, true));
}

proptest! {
    #[test]
    fn any_bytes_are_listed_or_not(mut bytes in proptest::collection::vec(any::<u8>(), 0..4096), at in 0usize..2048, value in any::<u8>()) {
        let _ = listed(&bytes, 100);
        let mut good = layer(&[("etc/os-release", FILE, "ID=x"), ("bin", LINK, "usr/bin"), ("usr/bin/a", HARD, "b")]);
        good[at] = value;
        View::default().apply(0, &listed(&good, 100));
        good.append(&mut bytes);
        let _ = listed(&good, 1000);
    }
}
