use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Node {
    parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
}

fn map(pairs: &[(&str, Node)]) -> Node {
    Node::map(pairs.iter().map(|(key, value)| (Node::text(key), value.clone())).collect())
}

#[test]
fn what_readers_may_see_is_kept() {
    let node = read("a: 25.04\nb: '25.04'\nc: [yes, ~]\nd:\ne: {x: !!str 5, y: !t z}\nf: |\n  one\n  two\n");
    let tagged = Node { tag: Some("!t".into()), ..Node::plain("z") };
    let expected = map(&[
        ("a", Node::plain("25.04")),
        ("b", Node::quoted("25.04")),
        ("c", Node::list(vec![Node::plain("yes"), Node::plain("~")])),
        ("d", Node::plain("null")),
        ("e", Node::map(vec![(Node::plain("x"), Node::quoted("5")), (Node::plain("y"), tagged)])),
        ("f", Node::quoted("one\ntwo\n")),
    ]);
    assert_eq!(node.pairs().map(<[_]>::len), expected.pairs().map(<[_]>::len));
    assert_eq!(read(&flow(&node)), node);
    assert_eq!(read(&block(&node, 0)), node);
    for (have, wanted) in node.pairs().unwrap_or_default().iter().zip(expected.pairs().unwrap_or_default()) {
        assert_eq!(have.1, wanted.1);
    }
    assert_eq!(read("").what, What::Plain("null".into()));
}

#[test]
fn aliases_and_merges_are_read() {
    let node = read("base: &b {os: debian, file: x}\nimages:\n- <<: *b\n  file: y\n- *b\n");
    let items = node.get("images").and_then(Node::items).expect("a list");
    let text = |item: &Node, key| item.get(key).and_then(Node::scalar).map(str::to_owned);
    assert_eq!((text(&items[0], "os"), text(&items[0], "file")), (Some("debian".into()), Some("y".into())));
    assert_eq!(text(&items[1], "file"), Some("x".into()));
    assert_eq!(read(&block(&node, 0)), node);
}

#[test]
fn errors_have_a_place() {
    for (text, line) in [
        ("a: b\na: c\n", "line 2, column 1"),
        ("a: \"b\n", "line "),
        ("a: *nothing\n", "line 1, column 4"),
        ("a: 1\n---\nb: 2\n", "line 2"),
        ("a: &x [*x]\n", "line 1"),
        ("a:\n\t- b\n", "line 2"),
        ("a: [1, 2\nb: 3\n", "line 2"),
    ] {
        let why = parse(text).expect_err(text);
        assert!(why.contains(line) && !why.contains('\n'), "{text:?}: {why}");
    }
}

/// Aliases of aliases: each level is four of the one before.
pub(in crate::catalog) fn laughs(levels: usize) -> String {
    let level = |level| {
        let before = level - 1;
        format!("a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]\n")
    };
    "a0: &a0 [x, x]\n".to_owned() + &(1..levels).map(level).collect::<String>()
}

#[test]
fn bombs_are_refused() {
    let mut deep = String::from("a0: &a0 [x]\n");
    for level in 1..80 {
        let before = level - 1;
        deep += &format!("a{level}: &a{level} [*a{before}]\n");
    }
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(100));
    let nested = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for text in [laughs(80), deep, long, nested, "- ".repeat(1000)] {
        assert!(parse(&text).is_err());
    }
}

const TEXT: &str = "# What we keep.\nversion: 1 # of the format\nimages:\n  # the first\n  - name: a   # a name\n    last_used: 2025-09-01\n    \
    packages: [x, \"y\"]\n    tools:\n      - cmake\n\n  - {name: b, count: 1}\nowner: me # the end";

#[test]
fn only_what_changes_is_written_anew() {
    let have = read(TEXT);
    let mut wanted = have.clone();
    wanted.set("owner", Node::quoted("you: \"all\""));
    let mut images = wanted.get("images").cloned().expect("images");
    let What::List(items) = &mut images.what else { panic!("a list") };
    items[0].set("last_used", Node::plain("2025-09-02"));
    items[0].set("new", Node::list(vec![Node::plain(1)]));
    items[1].set("count", Node::plain(2));
    items[1].set("new", Node::plain("null"));
    items.push(map(&[("name", Node::text("c")), ("tools", Node::list(vec![]))]));
    wanted.set("images", images);
    let expected = TEXT
        .replace("2025-09-01", "2025-09-02")
        .replace("      - cmake\n", "      - cmake\n    new: [1]\n")
        .replace("count: 1}\n", "count: 2, new: null}\n  - name: c\n    tools: []\n")
        .replace("owner: me", "owner: \"you: \\\"all\\\"\"");
    assert_eq!(rewrite(TEXT, &have, &wanted), expected);
    assert_eq!(rewrite(TEXT, &have, &have), TEXT);
    // Nothing to splice: the head stays.
    let other = map(&[("other", Node::plain(1))]);
    assert_eq!(rewrite(TEXT, &have, &other), "# What we keep.\nother: 1\n");
    // An alias is not changed through its anchor.
    let text = "a: &a {x: 1}\nb: *a\n";
    let have = read(text);
    let mut wanted = have.clone();
    wanted.set("b", map(&[("x", Node::plain(2))]));
    assert_eq!(read(&rewrite(text, &have, &wanted)), wanted);
    for text in [
        "images:\n",
        "images: []\n",
        "images: ~ # none\n",
        "version: 1",
        "v: 1\nimages: []",
        "{v: 1, images: []}",
    ] {
        let have = read(text);
        let mut wanted = have.clone();
        let mut images = Node::list(vec![map(&[("name", Node::text("a"))])]);
        images.is_flow = false;
        wanted.set("images", images);
        let new = rewrite(text, &have, &wanted);
        assert_eq!(read(&new), wanted, "{text:?}: {new}");
        assert!(!text.contains("# none") || new.contains("# none"), "{new}");
    }
}

#[test]
fn a_value_of_any_form_changes_alone() {
    const TEXT: &str = "# head\nimages:\n  - name: a # the first\n    os: # lines\n      name: debian\n      version: 12\n    compilers:\n    - family: gcc\n      version: 12\n    \
        last_used:\n    packages:   # none yet\n    notes: |\n      long\n    # between\n    tools: &t [make]\n  # the second\n  - name: b\n    tools: *t\n# the end\n";
    let changes: [(&str, Node); 6] = [
        ("os", Node::text("debian:13")),
        ("compilers", Node::list(vec![Node::text("gcc-13")])),
        ("last_used", Node::quoted("2025")),
        ("packages", Node::list(vec![Node::text("curl")])),
        ("notes", Node::text("short")),
        ("name", Node::text("other")),
    ];
    let change = |text: &str, number: usize, edit: &dyn Fn(&mut Node)| {
        let have = read(text);
        let mut wanted = have.clone();
        let What::Map(pairs) = &mut wanted.what else { panic!("a mapping") };
        let What::List(items) = &mut pairs[0].1.what else { panic!("a list") };
        edit(&mut items[number]);
        let new = rewrite(text, &have, &wanted);
        assert_eq!(read(&new), wanted, "{new}");
        new
    };
    let is_comment = |line: &&str| line.contains('#');
    let comments = |text: &str| text.lines().filter(is_comment).map(str::to_owned).collect::<Vec<_>>().len();
    let mut all = TEXT.to_owned();
    for (key, value) in &changes {
        let new = change(TEXT, 0, &|item| item.set(key, value.clone()));
        assert_eq!(comments(&new), comments(TEXT), "{key}: {new}");
        let gone = TEXT.lines().filter(|line| !new.lines().any(|other| other == *line)).count();
        assert!(gone <= 3, "{key}: {new}");
        all = change(&all, 0, &|item| item.set(key, value.clone()));
    }
    assert_eq!(comments(&all), comments(TEXT), "{all}");
    assert!(
        all.contains("    os: debian:13 # lines\n") || all.contains("    os: \"debian:13\" # lines\n"),
        "{all}"
    );
    assert!(all.contains("    packages: [curl]   # none yet\n    notes: short\n    # between\n"), "{all}");
    // What is an alias becomes a value of its own, and what comes behind it stands behind it.
    let new = change(TEXT, 1, &|item| item.set("tools", Node::list(vec![Node::text("ninja")])));
    assert_eq!(new, TEXT.replace("*t", "[ninja]"));
    let new = change(TEXT, 1, &|item| item.set("new", Node::plain(1)));
    assert_eq!(new, TEXT.replace("    tools: *t\n", "    tools: *t\n    new: 1\n"));
}

#[test]
fn line_ends_and_json_stay_what_they_are() {
    let text = "images: # all\r\n- name: a\r\n  used:\r\n";
    let have = read(text);
    let mut wanted = have.clone();
    let item = map(&[("name", Node::text("a")), ("used", Node::plain(1)), ("new", Node::text("x"))]);
    wanted.set("images", Node { is_flow: false, ..Node::list(vec![item]) });
    assert_eq!(rewrite(text, &have, &wanted), "images: # all\r\n- name: a\r\n  used: 1\r\n  new: x\r\n");
    let text = "{\"images\": [{\"name\": \"a\", \"count\": 1}], \"x\": null}";
    let have = read(text);
    let mut wanted = have.clone();
    let item = map(&[("name", Node::text("b")), ("count", Node::plain(2)), ("new", Node::text("x"))]);
    wanted.set("images", Node::list(vec![Node { is_flow: true, ..item }]));
    let new = rewrite(text, &have, &wanted);
    assert_eq!(new, "{\"images\": [{\"name\": \"b\", \"count\": 2, \"new\": \"x\"}], \"x\": null}");
}

fn node() -> impl Strategy<Value = Node> {
    let text = prop_oneof![
        "[a-z0-9 .:#'\"\\-\\[\\]{},&*!|>%@`?~<=\n\t\u{85}\u{feff}\u{e4}\u{1f600}]{0,12}",
        prop::sample::select(vec![
            "yes",
            "null",
            "0x1F",
            "1_000",
            "...",
            "---",
            "- a",
            "a: b",
            "<<",
            "=",
            "2025-09-01 12:00:00"
        ])
        .prop_map(str::to_owned),
        "[a-z]{90,120}",
    ];
    let leaf = prop_oneof![
        text.clone().prop_map(|text| Node::text(&text)),
        text.prop_map(|text| Node::quoted(&text)),
        any::<i64>().prop_map(Node::plain),
        Just(Node::plain("null")),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let keys = prop::collection::vec((inner.clone(), inner.clone()), 0..5);
        let maps = keys.prop_map(|pairs| {
            let mut seen = HashSet::new();
            let is_new = |key: &Node| match &key.what {
                What::Plain(key) | What::Text(key) => seen.insert(key.clone()),
                _ => true,
            };
            let mut is_new = is_new;
            Node::map(pairs.into_iter().filter(|(key, _)| is_new(key)).collect())
        });
        let lists = prop::collection::vec(inner, 0..5).prop_map(Node::list);
        (prop_oneof![maps, lists], any::<bool>()).prop_map(|(node, is_flow)| Node { is_flow, ..node })
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(node in node()) {
        prop_assert_eq!(&read(&flow(&node)), &node);
        prop_assert_eq!(&read(&block(&node, 0)), &node);
    }

    #[test]
    fn what_is_rewritten_means_what_was_wanted(have in node(), wanted in node()) {
        let text = block(&have, 0);
        prop_assume!(!super::rewrite::is_json(&text));
        prop_assert_eq!(&read(&rewrite(&text, &read(&text), &wanted)), &wanted);
    }
}

#[test]
fn what_is_plain_and_needs_quotes_elsewhere_is_the_same_text() {
    for text in
        ["cmake, git", "a#b", "x[1]", "größe", "it's", "a\n b", "Ubuntu 25.04", "2025-09-01 12:00:00", "a:b"]
    {
        let node = read(&format!("k: {text}\n"));
        assert_eq!(node.get("k").and_then(Node::scalar), Some(text.replace('\n', "").as_str()));
        assert_eq!(read(&flow(&node)), node);
        assert_eq!(read(&block(&node, 0)), node);
    }
}
