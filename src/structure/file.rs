//! File existence tests. Pure.

use larder_store::members::Node;

use super::config::{FileTest, Who};
use super::mode::as_go_prints;

/// What is not as it should be at a path, where `lstat` found this.
pub(crate) fn judge(test: &FileTest, found: Option<&Node>) -> Vec<String> {
    let path = &test.path;
    let node = match (found, test.should_exist) {
        (None, false) => return Vec::new(),
        (Some(_), false) => return vec![format!("{path} is there and should not be")],
        (None, true) => return vec![format!("{path} is not there")],
        (Some(node), true) => node,
    };
    let mode = as_go_prints(node);
    let mut wrong = Vec::new();
    if let Some(wanted) = test.permissions.as_ref().filter(|wanted| **wanted != mode) {
        wrong.push(format!("{path} has the permissions {mode}, expected {wanted}"));
    }
    let executable = test.executable_by.map(|who| match who {
        Who::Any => (0o111, "anybody"),
        Who::Owner => (0o100, "its owner"),
        Who::Group => (0o010, "its group"),
        Who::Other => (0o001, "others"),
    });
    if let Some((_, who)) = executable.filter(|(bits, _)| node.mode & bits == 0) {
        wrong.push(format!("{path} cannot be run by {who}: it has the permissions {mode}"));
    }
    for (what, wanted, is) in [("owner", test.uid, node.uid), ("group", test.gid, node.gid)] {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
            wrong.push(format!("{path} has the {what} {is}, expected {wanted}"));
        }
    }
    wrong
}
