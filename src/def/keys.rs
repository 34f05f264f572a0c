//! The keys of `image.yml`: what is read, what is refused and what editors are told are one list.

/// A key, and what it says.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) is_required: bool,
    pub(super) about: &'static str,
}

/// What stands behind a key.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Switch,
    /// Names with a text each.
    Values,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of mappings with these keys.
    List(&'static [Key]),
}

const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, is_required: false, about }
}

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, is_required: true, about }
}

const VERSIONS: Key = optional(
    "versions",
    Kind::Values,
    "Versions for resolve_version: the image's, over them the tag's, over them the variant's",
);
const VARIABLES: Key = optional(
    "variables",
    Kind::Values,
    "Values for templates (tag.variables): the image's, over them the tag's, over them the variant's",
);
const ROOTFS_USER: Key = optional("rootfs_user", Kind::Text, "Who owns the files of rootfs/ [default: 0:0]");
const ROOTFS_COPY: Key =
    optional("rootfs_copy", Kind::Switch, "Whether rootfs/ is copied into the image [default: true]");

/// The keys of a tag.
pub(super) const TAG: &[Key] =
    &[required("name", Kind::Text, "The tag"), VERSIONS, VARIABLES, ROOTFS_USER, ROOTFS_COPY];

/// The keys of a variant.
pub(super) const VARIANT: &[Key] = &[
    required("name", Kind::Text, "The variant's name: of its template, and of its directory with rootfs/"),
    required("tag_suffix", Kind::Text, "What its tags have behind those of the image"),
    optional("template", Kind::Text, "Its template [default: Dockerfile.<variant>.jinja2, or the image's]"),
    VERSIONS,
    VARIABLES,
    ROOTFS_USER,
    ROOTFS_COPY,
];

/// How tags are ordered.
pub(super) const ORDERS: &[&str] = &["semver", "calver", "natural"];

/// The keys of an image.
pub(super) const IMAGE: &[Key] = &[
    optional("name", Kind::Text, "The image's name [default: the directory above; of base images their own]"),
    optional("template", Kind::Text, "The template [default: Dockerfile.jinja2]"),
    optional("is_base_image", Kind::Switch, "Whether other images may begin with it (resolve_base_image)"),
    optional("extends", Kind::Text, "An image that is to be built before this one"),
    optional("description", Kind::Text, "org.opencontainers.image.description"),
    optional("licenses", Kind::Text, "org.opencontainers.image.licenses, an SPDX expression"),
    ROOTFS_USER,
    ROOTFS_COPY,
    VERSIONS,
    VARIABLES,
    required("tags", Kind::List(TAG), "The tags that are built"),
    optional("variants", Kind::List(VARIANT), "Variants: of each, every tag with its suffix"),
    optional("aliases", Kind::Values, "Further names: alias to tag"),
    optional(
        "alias_order",
        Kind::Word(ORDERS),
        "By what order aliases such as 9 and 9.0 are given to the highest tag [default: semver]",
    ),
];
