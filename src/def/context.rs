//! What templates see of an image and a tag. Pure.

use minijinja::value::Value;

use super::config::Config;
use super::resolve::Resolved;
use super::template::{mapping, values};

/// What templates see as `image`.
pub(super) fn image(config: &Config, name: &str, all: &[Resolved], aliases: &[Vec<String>]) -> Value {
    let own = all.iter().filter(|tag| tag.variant.is_none()).map(tag).collect::<Value>();
    let variants = config.variants.iter().enumerate().map(|(number, variant)| {
        let tags = all.iter().filter(|tag| tag.variant == Some(number)).map(tag).collect::<Value>();
        mapping([("name", Value::from(variant.name.as_str())), ("tags", tags)])
    });
    let pairs = all.iter().zip(aliases).filter(|(tag, _)| tag.variant.is_none());
    let of_tags: Vec<_> = pairs
        .flat_map(|(tag, aliases)| {
            aliases.iter().map(|alias| (alias.as_str(), Value::from(tag.tag.as_str())))
        })
        .collect();
    let text = |text: &Option<String>| text.as_deref().map_or(Value::from(()), Value::from);
    mapping([
        ("name", Value::from(name)),
        ("tags", own),
        ("variants", variants.collect::<Value>()),
        ("versions", values(&config.versions)),
        ("variables", values(&config.variables)),
        ("is_base_image", Value::from(config.is_base_image)),
        ("extends", text(&config.extends)),
        ("description", text(&config.description)),
        ("licenses", text(&config.licenses)),
        ("aliases", mapping(of_tags)),
    ])
}

/// What templates see as `tag`.
pub(super) fn tag(resolved: &Resolved) -> Value {
    mapping([
        ("name", Value::from(resolved.tag.as_str())),
        ("versions", values(&resolved.versions)),
        ("variables", values(&resolved.variables)),
        ("rootfs_user", Value::from(resolved.rootfs_user.as_str())),
        ("rootfs_copy", Value::from(resolved.rootfs_copy)),
    ])
}
