//! Who `--chown` means: numbers as they are, names by the image's own `/etc/passwd` and `/etc/group`.
//!
//! As in Docker 20.10 a user alone means the group of the same name or number; where there is no such group it is the user's own, and without a user it
//! is root (BuildKit).

/// The greatest number that is an owner's: the next one means "as it is" to the kernel.
const GREATEST: u32 = u32::MAX - 1;

/// User and group; what is not there is told.
pub(super) fn resolve(chown: &str, passwd: Option<&str>, group: Option<&str>) -> Result<(u32, u32), String> {
    let (user, wanted) = match chown.split(':').collect::<Vec<_>>()[..] {
        [user] => (user, None),
        [user, group] => (user, Some(group)),
        _ => return Err("has more than one colon".to_owned()),
    };
    let (uid, own) = match number(user)? {
        _ if user.is_empty() => (0, None),
        Some(uid) => (uid, None),
        None => {
            let entry = entry(passwd, user).ok_or_else(|| missing("user", user, "passwd", passwd))?;
            let id = |field: usize| entry.get(field).and_then(|text| number(text).ok().flatten());
            let uid =
                id(2).ok_or_else(|| format!("the user {user:?} has no number in the image's /etc/passwd"))?;
            (uid, id(3))
        }
    };
    let gid = match wanted {
        Some("") => 0,
        Some(group_name) => group_id(group_name, group)?,
        None if user.is_empty() => 0,
        None => group_id(user, group).or_else(|why| own.ok_or(why))?,
    };
    Ok((uid, gid))
}

fn group_id(name: &str, group: Option<&str>) -> Result<u32, String> {
    if let Some(gid) = number(name)? {
        return Ok(gid);
    }
    let entry = entry(group, name).ok_or_else(|| missing("group", name, "group", group))?;
    let id = entry.get(2).and_then(|text| number(text).ok().flatten());
    id.ok_or_else(|| format!("the group {name:?} has no number in the image's /etc/group"))
}

fn missing(what: &str, name: &str, file: &str, text: Option<&str>) -> String {
    match text {
        Some(_) => format!("there is no {what} {name:?} in the image's /etc/{file}"),
        None => format!("the image has no /etc/{file} to look up the {what} {name:?}; give its number"),
    }
}

/// A number, where it is written as one.
fn number(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let id = text.parse().ok().filter(|id| *id <= GREATEST);
    id.map(Some).ok_or_else(|| format!("the user or group {text} is greater than {GREATEST}"))
}

/// The fields of the first line of that name.
fn entry<'t>(text: Option<&'t str>, name: &str) -> Option<Vec<&'t str>> {
    let lines = text?.lines().map(|line| line.trim().split(':').collect::<Vec<_>>());
    lines.into_iter().find(|fields| fields.first() == Some(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0::/:/bin/sh\nme:x:500:501::/:/bin/sh\nonly:x:600:601::/:/bin/sh\nodd:x:many:1\n";
    const GROUP: &str = "root:x:0:\nme:x:502:\ngg:x:77:only\n";

    #[test]
    fn owners_are_those_of_the_image() {
        for (chown, expected) in [
            ("me", (500, 502)),
            ("me:gg", (500, 77)),
            ("me:9", (500, 9)),
            ("only", (600, 601)),
            ("500", (500, 500)),
            ("5:6", (5, 6)),
            ("5:gg", (5, 77)),
            (":gg", (0, 77)),
            ("me:", (500, 0)),
            ("4294967294:0", (4_294_967_294, 0)),
        ] {
            assert_eq!(resolve(chown, Some(PASSWD), Some(GROUP)), Ok(expected), "{chown}");
        }
        assert_eq!(resolve("10:20", None, None), Ok((10, 20)));
    }

    #[test]
    fn who_is_not_there_is_named() {
        for (chown, says) in [
            ("nobody", "no user \"nobody\""),
            ("me:wheel", "no group \"wheel\""),
            ("odd", "no number"),
            ("1:2:3", "more than one colon"),
            ("4294967295", "greater than"),
            ("-1", "no user \"-1\""),
        ] {
            let error = resolve(chown, Some(PASSWD), Some(GROUP)).expect_err(chown);
            assert!(error.contains(says), "{chown}: {error}");
        }
        assert!(resolve("me", None, None).is_err_and(|e| e.contains("no /etc/passwd")));
    }
}
