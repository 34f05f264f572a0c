//! Paths of images and contexts as Go's `path` package cleans them: by their text, with `/` between the parts.

/// The shortest path that means the same (`path.Clean`): no `.`, no `//`, no `..` that can be taken back.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            // Nothing is above the root.
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// A path as seen from a directory, from the root and clean.
pub(crate) fn absolute(directory: &str, path: &str) -> String {
    match path.starts_with('/') {
        true => clean(path),
        false => clean(&format!("/{directory}/{path}")),
    }
}

/// A source of COPY as a path below the context, empty for the context itself; none where it leads out of it.
///
/// As Docker 20.10 has it, which refuses what leads out; BuildKit takes such a `..` for nothing.
pub(crate) fn in_context(source: &str) -> Option<String> {
    let below = clean(source.trim_start_matches('/'));
    match below.as_str() {
        "." => Some(String::new()),
        ".." => None,
        path if path.starts_with("../") => None,
        _ => Some(below),
    }
}

/// A source of COPY --from as a path below the root of a stage or an image, where `..` of the root is the root.
pub(crate) fn in_stage(source: &str) -> String {
    absolute("/", source).trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_cleans_them() {
        for (path, expected) in [
            ("", "."),
            ("a//b/./c/", "a/b/c"),
            ("a/../..", ".."),
            ("../../a", "../../a"),
            ("/..", "/"),
            ("/a/../../b", "/b"),
            ("./", "."),
        ] {
            assert_eq!(clean(path), expected, "{path:?}");
        }
    }

    #[test]
    fn a_source_never_leaves_the_context() {
        for (source, expected) in [
            ("../../etc/passwd", None),
            ("a/../../b", None),
            ("..", None),
            ("/../x", None),
            ("/x", Some("x")),
            (".", Some("")),
            ("/", Some("")),
            ("a/../b/", Some("b")),
            ("..a", Some("..a")),
        ] {
            assert_eq!(in_context(source).as_deref(), expected, "{source:?}");
        }
        assert_eq!(in_stage("../../etc/passwd"), "etc/passwd");
    }

    #[test]
    fn a_relative_path_continues_the_directory() {
        assert_eq!(absolute("/a/b", "c"), "/a/b/c");
        assert_eq!(absolute("/a", "../../.."), "/");
        assert_eq!(absolute("", "c"), "/c");
        assert_eq!(absolute("/a", "/x/"), "/x");
    }
}
