//! A definition with all that follows from it: its name, and every tag with what image, tag and variant say. Pure.

use std::collections::BTreeMap;

use larder_store::reference::Reference;

use super::config::{Config, Rootfs};
use super::values::Values;

/// Who owns files of `rootfs/` where nobody says it.
const ROOT: &str = "0:0";
/// A directory whose images are base images, for their names.
const BASES: &str = "base";

/// A tag that is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    /// With its variant's suffix.
    pub(super) tag: String,
    /// Without.
    pub(super) base: String,
    /// The number of its variant.
    pub(super) variant: Option<usize>,
    pub(super) versions: Values,
    pub(super) variables: Values,
    pub(super) rootfs_user: String,
    pub(super) rootfs_copy: bool,
}

/// The name of the image whose definition lies in these directories, outermost first.
pub(super) fn name(config: &Config, directories: &[&str]) -> Result<String, String> {
    let has_own = config.is_base_image || directories.contains(&BASES);
    let name = match (&config.name, directories) {
        (Some(name), _) => name,
        (None, [.., own]) if has_own => *own,
        (None, [.., above, _]) => *above,
        (None, _) => return Err("has no name: name says it, or the directory above its own".to_owned()),
    };
    // The dots and digits of a version are in no repository's way.
    match format!("{name}:x").parse::<Reference>() {
        Ok(reference) if reference.tag() == Some("x") && reference.digest().is_none() => Ok(name.to_owned()),
        Ok(_) => Err(format!("{name:?} is no name of an image: it has a tag or a digest")),
        Err(why) => Err(format!("{name:?} is no name of an image: {why}")),
    }
}

/// How many tags a definition makes.
pub(super) fn count(config: &Config) -> usize {
    config.tags.len().saturating_mul(config.variants.len().saturating_add(1))
}

/// All tags, those of each variant behind the image's own; the error has its place.
pub(super) fn tags(config: &Config, name: &str) -> Result<Vec<Resolved>, String> {
    let mut all = Vec::with_capacity(count(config));
    let mut seen = BTreeMap::new();
    let mut add = |resolved: Resolved, refuse: &dyn Fn(String) -> String, from: String| {
        let tag = &resolved.tag;
        let is_tag = format!("{name}:{tag}").parse::<Reference>().is_ok_and(|it| it.tag() == Some(tag));
        if !is_tag {
            return Err(refuse(format!("{tag:?} is no tag")));
        }
        match seen.insert(tag.clone(), from.clone()) {
            Some(other) => Err(refuse(format!("{name}:{tag} is there twice: by {other}, and by {from}"))),
            None => {
                all.push(resolved);
                Ok(())
            }
        }
    };
    let rootfs = |said: Rootfs| {
        let Rootfs { user, copy } = said.or(&config.rootfs);
        (user.unwrap_or_else(|| ROOT.to_owned()), copy.unwrap_or(true))
    };
    for tag in &config.tags {
        let (rootfs_user, rootfs_copy) = rootfs(tag.rootfs.clone());
        let resolved = Resolved {
            tag: tag.name.clone(),
            base: tag.name.clone(),
            variant: None,
            versions: config.versions.with(&tag.versions),
            variables: config.variables.with(&tag.variables),
            rootfs_user,
            rootfs_copy,
        };
        add(resolved, &|why| tag.at.refuse(why), format!("tag {}", tag.name))?;
    }
    for (number, variant) in config.variants.iter().enumerate() {
        if !is_file_name(&variant.name) {
            return Err(variant.at.refuse(format!("{:?} is no name of a variant", variant.name)));
        }
        // A tag's word on rootfs is its own: a variant has the image's, unless it says otherwise.
        let (rootfs_user, rootfs_copy) = rootfs(variant.rootfs.clone());
        for tag in &config.tags {
            let resolved = Resolved {
                tag: format!("{}{}", tag.name, variant.tag_suffix),
                base: tag.name.clone(),
                variant: Some(number),
                versions: config.versions.with(&tag.versions).with(&variant.versions),
                variables: config.variables.with(&tag.variables).with(&variant.variables),
                rootfs_user: rootfs_user.clone(),
                rootfs_copy,
            };
            let from = format!("variant {} of tag {}", variant.name, tag.name);
            add(resolved, &|why| variant.at.refuse(why), from)?;
        }
    }
    Ok(all)
}

/// Whether it is one name of a directory, and leads nowhere else.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains('/') && name.len() <= 128
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::def::config::parse;

    fn config(text: &str) -> Config {
        parse(text).expect("a definition")
    }

    #[test]
    fn names_are_of_directories_unless_said() {
        let plain = "tags: [{name: a}]";
        let base = "is_base_image: true\ntags: [{name: a}]";
        let named = "name: mine\ntags: [{name: a}]";
        for (text, directories, expected) in [
            (plain, "dotnet/9.0", Some("dotnet")),
            (plain, "team/dotnet/9.0", Some("dotnet")),
            (base, "os/ubuntu", Some("ubuntu")),
            (base, "ubuntu", Some("ubuntu")),
            (plain, "base/ubuntu", Some("ubuntu")),
            (named, "dotnet/9.0", Some("mine")),
            (named, "", Some("mine")),
            (plain, "dotnet", None),
            (plain, "", None),
            (plain, "Dotnet/9", None),
            ("name: ../x\ntags: [{name: a}]", "a/b", None),
            ("name: a:b\ntags: [{name: a}]", "a/b", None),
            ("name: /etc\ntags: [{name: a}]", "a/b", None),
            ("name: ghcr.io/team/a\ntags: [{name: a}]", "a/b", Some("ghcr.io/team/a")),
            ("name: a/../b\ntags: [{name: a}]", "a/b", None),
        ] {
            let directories: Vec<_> = directories.split('/').filter(|name| !name.is_empty()).collect();
            assert_eq!(
                name(&config(text), &directories).ok().as_deref(),
                expected,
                "{text} in {directories:?}"
            );
        }
    }

    #[test]
    fn what_is_said_later_wins() {
        let config = config(
            "
versions: {a: image, b: image, c: image}
rootfs_user: '1:1'
tags:
  - {name: '1', versions: {b: tag, c: tag}, rootfs_copy: false}
  - {name: '2', rootfs_user: '2:2'}
variants:
  - {name: x, tag_suffix: -x, versions: {c: variant, d: variant}}
  - {name: y, tag_suffix: _y, rootfs_user: root, rootfs_copy: false}
",
        );
        let all = tags(&config, "n").expect("tags");
        let row = |it: &Resolved| {
            let versions: Vec<_> =
                it.versions.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} of {}: {} {} {}", it.tag, it.base, versions.join(","), it.rootfs_user, it.rootfs_copy)
        };
        let rows: Vec<_> = all.iter().map(row).collect();
        let expected = [
            "1 of 1: a=image,b=tag,c=tag 1:1 false",
            "2 of 2: a=image,b=image,c=image 2:2 true",
            "1-x of 1: a=image,b=tag,c=variant,d=variant 1:1 true",
            "2-x of 2: a=image,b=image,c=variant,d=variant 1:1 true",
            "1_y of 1: a=image,b=tag,c=tag root false",
            "2_y of 2: a=image,b=image,c=image root false",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn tags_that_cannot_be_are_refused_with_their_place() {
        for (text, words) in [
            (
                "tags:\n  - name: a\n  - name: a\n",
                "line 3, column 5: n:a is there twice: by tag a, and by tag a",
            ),
            (
                "tags: [{name: a}, {name: a-x}]\nvariants:\n  - {name: x, tag_suffix: -x}\n",
                "line 3, column 5: n:a-x is there twice: by tag a-x, and by variant x of tag a",
            ),
            (
                "tags: [{name: a}]\nvariants:\n  - {name: x, tag_suffix: -x}\n  - {name: z, tag_suffix: -x}\n",
                "line 4, column 5: n:a-x is there twice: by variant x of tag a, and by variant z of tag a",
            ),
            ("tags: [{name: ../x}]\n", "\"../x\" is no tag"),
            ("tags: [{name: .x}]\n", "\".x\" is no tag"),
            ("tags: [{name: 'a b'}]\n", "is no tag"),
            ("tags: [{name: 'a@sha256:b'}]\n", "is no tag"),
            (
                "tags: [{name: a}]\nvariants: [{name: x, tag_suffix: /../y}]\n",
                "line 2, column 12: \"a/../y\" is no tag",
            ),
            (
                "tags: [{name: a}]\nvariants: [{name: ../x, tag_suffix: -y}]\n",
                "\"../x\" is no name of a variant",
            ),
            (
                "tags: [{name: a}]\nvariants: [{name: '..', tag_suffix: -y}]\n",
                "\"..\" is no name of a variant",
            ),
        ] {
            let why = tags(&config(text), "n").expect_err(text);
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
