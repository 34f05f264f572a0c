//! The comparer sees each change of a tree or a config, and nothing else; the model of a tree keeps the rules for layers.

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::compare::{Difference, Image, differences};
use super::tree::Tree;

/// A member, as small as it can be.
#[derive(Clone)]
struct Member {
    path: &'static str,
    kind: EntryType,
    mode: u32,
    owner: (u64, u64),
    content: &'static [u8],
    /// Of links.
    target: &'static str,
    device: (u32, u32),
    xattrs: Vec<(&'static str, &'static [u8])>,
}

fn file(path: &'static str) -> Member {
    Member {
        path,
        kind: EntryType::Regular,
        mode: 0o644,
        owner: (0, 0),
        content: b"text",
        target: "",
        device: (0, 0),
        xattrs: Vec::new(),
    }
}

fn of(path: &'static str, kind: EntryType) -> Member {
    Member { kind, content: b"", ..file(path) }
}

fn layer(members: &[Member]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for member in members {
        if !member.xattrs.is_empty() {
            let records: Vec<_> =
                member.xattrs.iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), *value)).collect();
            builder
                .append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), *value)))
                .unwrap();
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(member.kind);
        header.set_mode(member.mode);
        header.set_uid(member.owner.0);
        header.set_gid(member.owner.1);
        header.set_mtime(1);
        header.set_size(member.content.len() as u64);
        header.set_device_major(member.device.0).unwrap();
        header.set_device_minor(member.device.1).unwrap();
        if member.target.is_empty() {
            builder.append_data(&mut header, member.path, member.content).unwrap();
        } else {
            builder.append_link(&mut header, member.path, member.target).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn tree(layers: &[&[Member]]) -> Tree {
    let layers: Vec<_> = layers.iter().map(|members| layer(members)).collect();
    Tree::of(layers.iter().map(Vec::as_slice))
}

fn config() -> Value {
    json!({
        "architecture": "amd64", "os": "linux", "created": "then", "config": {"Env": ["A=1", "B=2"], "User": "me"},
        "history": [{"created_by": "x"}, {"created_by": "y", "empty_layer": true}], "rootfs": {"diff_ids": ["sha256:a"]},
    })
}

/// One of each kind.
fn everything() -> Vec<Member> {
    vec![
        of("./", EntryType::Directory),
        of("dir/", EntryType::Directory),
        file("dir/file"),
        Member { target: "file", ..of("dir/link", EntryType::Symlink) },
        of("pipe", EntryType::Fifo),
        Member { device: (1, 3), ..of("null", EntryType::Char) },
        Member { device: (7, 3), ..of("loop", EntryType::Block) },
        Member { xattrs: vec![("security.capability", b"\x01\n=\0")], ..file("capable") },
        Member { target: "dir/file", ..of("hard", EntryType::Link) },
        Member { path: "sparse", ..file("sparse") },
    ]
}

fn between(changed: &[Member], config: &Value, expected_config: &Value) -> Vec<Difference> {
    let found = Image { tree: tree(&[changed]), config: config.clone() };
    let expected = Image { tree: tree(&[&everything()]), config: expected_config.clone() };
    differences(&found, &expected)
}

fn told(all: &[Difference]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// What is told when the member at this place is changed so.
fn with(place: usize, change: impl Fn(&mut Member)) -> Vec<String> {
    let mut changed = everything();
    change(&mut changed[place]);
    told(&between(&changed, &config(), &config()))
}

#[test]
fn the_same_is_the_same() {
    assert_eq!(told(&between(&everything(), &config(), &config())), [""; 0]);
}

#[test]
fn every_change_is_told() {
    assert_eq!(with(0, |root| root.mode = 0o700), ["/: mode: 700, expected 644"]);
    assert_eq!(with(1, |dir| dir.mode = 0o1644), ["/dir: mode: 1644, expected 644"]);
    assert_eq!(with(3, |link| link.owner = (1, 0)), ["/dir/link: owner: 1:0, expected 0:0"]);
    assert_eq!(with(7, |file| file.owner = (0, 70_000)), ["/capable: owner: 0:70000, expected 0:0"]);
    assert_eq!(with(3, |link| link.target = "hard"), ["/dir/link: content: hard, expected file"]);
    assert_eq!(with(4, |pipe| pipe.kind = EntryType::Regular), ["/pipe: type: regular file, expected fifo"]);
    assert_eq!(with(5, |null| null.device.1 = 5), ["/null: content: 1:5, expected 1:3"]);
    assert_eq!(with(5, |null| null.device.0 = 4), ["/null: content: 4:3, expected 1:3"]);
    assert_eq!(
        with(6, |disk| disk.kind = EntryType::Char),
        ["/loop: type: character device, expected block device"]
    );
    let none = with(7, |file| file.xattrs.clear());
    assert_eq!(none, ["/capable: xattrs: , expected security.capability=\\x01\\n=\\x00"]);
    assert_eq!(with(7, |file| file.xattrs[0].1 = b"\x01").len(), 1);
    assert_eq!(with(9, |file| file.xattrs = vec![("user.a", b"")]), ["/sparse: xattrs: user.a=, expected "]);
    // The same size.
    let content = with(9, |file| file.content = b"TEXT");
    assert!(content.len() == 1 && content[0].starts_with("/sparse: content: 4 bytes sha256:"), "{content:?}");
    assert_eq!(
        with(9, |file| file.path = "other"),
        ["/other: file: regular file, expected none", "/sparse: file: none, expected regular file",]
    );
}

#[test]
fn hard_links_are_told() {
    let apart = with(8, |hard| *hard = file("hard"));
    assert_eq!(
        apart,
        [
            "/dir/file: hard links: none, expected /dir/file /hard",
            "/hard: hard links: none, expected /dir/file /hard",
        ]
    );
    let other = with(8, |hard| hard.target = "capable");
    assert_eq!(other.iter().filter(|told| told.contains("hard links")).count(), 3, "{other:?}");
}

#[test]
fn configs_are_told() {
    let told_of = |pointer: &str, value: Value| {
        let mut changed = config();
        *changed.pointer_mut(pointer).unwrap() = value;
        told(&between(&everything(), &changed, &config()))
    };
    assert_eq!(
        told_of("/config/User", json!("you")),
        ["config.config.User: value: \"you\", expected \"me\""]
    );
    assert_eq!(
        told_of("/config/Env/1", json!("B=3")),
        ["config.config.Env.1: value: \"B=3\", expected \"B=2\""]
    );
    assert_eq!(told_of("/config/Env", json!(["A=1"])).len(), 1);
    assert_eq!(told_of("/config/User", json!(null)), ["config.config.User: value: null, expected \"me\""]);
    assert_eq!(told_of("/architecture", json!("arm64")).len(), 1);
    assert_eq!(told_of("/history/1/empty_layer", json!(false)).len(), 2);
    assert_eq!(told_of("/history", json!([{}])).len(), 1);
    assert_eq!(told_of("/created", json!("now")), [""; 0]);
    let one_layer_more = told_of("/rootfs/diff_ids", json!(["a", "b"]));
    assert_eq!(one_layer_more, ["config.layers_are_told: value: false, expected true"]);
}

fn paths(layers: &[&[Member]]) -> Vec<String> {
    tree(layers).files().map(|(path, _)| String::from_utf8(path.clone()).unwrap()).collect()
}

#[test]
fn whiteouts_take_away_what_is_below() {
    let below: &[Member] = &[of("a", EntryType::Directory), file("a/x"), file("a/y"), file("b"), file("ab")];
    assert_eq!(paths(&[below, &[file(".wh.b"), file("a/.wh.x")]]), ["", "a", "a/y", "ab"]);
    assert_eq!(paths(&[below, &[file(".wh.a")]]), ["", "ab", "b"]);
    // Neither the order nor the directory's own member matters.
    assert_eq!(paths(&[below, &[file("a/new"), file("a/.wh..wh..opq")]]), ["", "a", "a/new", "ab", "b"]);
    assert_eq!(
        paths(&[below, &[file("a/.wh..wh..opq"), file("a/new/deep")]]),
        ["", "a", "a/new", "a/new/deep", "ab", "b"]
    );
    assert_eq!(paths(&[below, &[file(".wh..wh..opq"), file("c")]]), ["", "c"]);
    assert_eq!(paths(&[below, &[file("b"), file(".wh.b")]]), ["", "a", "a/x", "a/y", "ab", "b"]);
}

#[test]
fn members_replace_what_is_below() {
    let below: &[Member] = &[
        of("a", EntryType::Directory),
        file("a/x"),
        file("b"),
        Member { target: "b", ..of("c", EntryType::Link) },
    ];
    assert_eq!(paths(&[below, &[file("a")]]), ["", "a", "b", "c"]);
    assert_eq!(paths(&[below, &[of("a", EntryType::Directory)]]), ["", "a", "a/x", "b", "c"]);
    // What replaces one of two hard links leaves the other alone.
    let apart = tree(&[below, &[Member { mode: 0o600, ..file("b") }]]);
    assert_eq!((apart.get(b"b").unwrap().mode, apart.get(b"c").unwrap().mode), (0o600, 0o644));
    assert!(apart.hard_links().is_empty());
    let above = tree(&[below, &[Member { target: "./b", ..of("a/z", EntryType::Link) }]]);
    assert_eq!(above.hard_links().len(), 3);
}
