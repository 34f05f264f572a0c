//! Who runs a step: `name|uid[:group|gid]` by a root's `passwd` and `group`, as Docker reads it. Pure.
//!
//! Without a group the user's own is taken, and those that list the user as a member. A number needs no entry.

/// Who runs a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// All its groups, `gid` first.
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

/// The greatest user or group ID that runtimes take.
const GREATEST: u32 = i32::MAX as u32;

/// Reads `name|uid[:group|gid]`; the error says what is not there.
pub(super) fn resolve(user: &str, passwd: &str, group: &str) -> Result<Identity, String> {
    let (user, wanted_group) = user.split_once(':').map_or((user, ""), |(user, group)| (user, group));
    let user = if user.is_empty() { "0" } else { user };
    let number = number(user)?;
    // As Docker has it: the first line that fits, be it by name or by number.
    let entry =
        entries(passwd, 7).find(|entry| entry[0] == user || number.is_some() && id(entry[2]) == number);
    let uid = match (&entry, number) {
        (Some(entry), _) => {
            id(entry[2]).ok_or_else(|| format!("user {user:?} has no usable ID in /etc/passwd"))?
        }
        (None, Some(number)) => number,
        (None, None) => return Err(format!("there is no user {user:?} in the root's /etc/passwd")),
    };
    let home = entry.as_ref().map(|entry| entry[5]).filter(|home| !home.is_empty()).unwrap_or("/").to_owned();
    if !wanted_group.is_empty() {
        let gid = group_id(wanted_group, group)?;
        return Ok(Identity { uid, gid, groups: vec![gid], home });
    }
    let gid = entry.as_ref().and_then(|entry| id(entry[3])).unwrap_or(0);
    let name = entry.as_ref().map(|entry| entry[0]);
    let further = entries(group, 4)
        .filter(|group| name.is_some_and(|name| group[3].split(',').any(|member| member == name)))
        .filter_map(|group| id(group[2]))
        .filter(|further| *further != gid);
    let groups = std::iter::once(gid).chain(further).collect();
    Ok(Identity { uid, gid, groups, home })
}

fn group_id(wanted: &str, group: &str) -> Result<u32, String> {
    let number = number(wanted)?;
    let entry =
        entries(group, 4).find(|entry| entry[0] == wanted || number.is_some() && id(entry[2]) == number);
    entry
        .and_then(|entry| id(entry[2]))
        .or(number)
        .ok_or_else(|| format!("there is no group {wanted:?} in the root's /etc/group"))
}

/// A number, where it is written as one; one that is too great is refused.
fn number(text: &str) -> Result<Option<u32>, String> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    id(text).map(Some).ok_or_else(|| format!("user or group ID {text} is greater than {GREATEST}"))
}

fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id <= GREATEST)
}

/// Lines of `fields` fields; what is missing at the end of a line is empty.
fn entries(text: &str, fields: usize) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(move |line| {
        let mut entry: Vec<_> = line.splitn(fields, ':').collect();
        entry.resize(fields, "");
        entry
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\nbuild:x:1000:1001::/home/build:/bin/sh\nhomeless:x:7:8:::\nodd:x:many:1::/:\nshort:x:9\n";
    const GROUP: &str = "root:x:0:\nbuild:x:1001:\ndisk:x:6:root,build\nadm:x:4:builder\naudio:x:29:build\n";

    #[test]
    fn users_and_groups_are_those_of_the_root() {
        let cases: [(&str, u32, &[u32], &str); 12] = [
            ("", 0, &[0, 6], "/root"),
            ("root", 0, &[0, 6], "/root"),
            ("build", 1000, &[1001, 6, 29], "/home/build"),
            ("1000", 1000, &[1001, 6, 29], "/home/build"),
            ("build:disk", 1000, &[6], "/home/build"),
            ("build:77", 1000, &[77], "/home/build"),
            ("4242", 4242, &[0], "/"),
            ("4242:audio", 4242, &[29], "/"),
            ("homeless", 7, &[8], "/"),
            ("short", 9, &[0], "/"),
            (":disk", 0, &[6], "/root"),
            ("2147483647", 2_147_483_647, &[0], "/"),
        ];
        for (user, uid, groups, home) in cases {
            let expected = Identity { uid, gid: groups[0], groups: groups.to_vec(), home: home.into() };
            assert_eq!(resolve(user, PASSWD, GROUP), Ok(expected), "{user}");
        }
    }

    #[test]
    fn who_is_not_there_is_refused() {
        let cases = [
            ("nobody", "no user \"nobody\""),
            ("build:wheel", "no group \"wheel\""),
            ("odd", "no usable ID"),
            ("2147483648", "greater than"),
            ("-1", "no user \"-1\""),
            ("build:99999999999", "greater than"),
        ];
        for (user, says) in cases {
            let error = resolve(user, PASSWD, GROUP).unwrap_err();
            assert!(error.contains(says), "{user}: {error}");
        }
        assert!(resolve("root", "", "").is_err(), "without a passwd only numbers are known");
        assert_eq!(resolve("0", "", "").map(|identity| identity.home), Ok("/".to_owned()));
    }
}
