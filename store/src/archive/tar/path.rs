//! Names and link targets of members: plain, relative, and inside the archive.

/// Makes a member's name a plain relative path: no `..`, not absolute, no backslash, no control character.
pub(super) fn clean_path(raw: &[u8], is_directory: bool) -> Result<String, String> {
    let text = std::str::from_utf8(raw).map_err(|_| "its name is not UTF-8".to_owned())?;
    if text.starts_with('/') {
        return Err("its name is absolute".into());
    }
    if text.contains('\\') || text.chars().any(char::is_control) {
        return Err("its name has a backslash or a control character".into());
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("its name climbs out with `..`".into()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() && !is_directory {
        return Err("it has no name".into());
    }
    Ok(parts.join("/"))
}

/// Where a symbolic link leads, seen from the archive's root; `docker save` wrote `../<id>/layer.tar`.
pub(in crate::archive) fn resolve_link(path: &str, target: &[u8]) -> Result<String, String> {
    let target = std::str::from_utf8(target).map_err(|_| "its target is not UTF-8".to_owned())?;
    if target.starts_with('/') || target.contains('\\') || target.chars().any(char::is_control) {
        return Err("it links out of the archive".into());
    }
    let mut parts: Vec<_> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return Err("it links out of the archive".into()),
            ".." => {}
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}
