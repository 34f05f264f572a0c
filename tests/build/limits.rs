//! How many files larder and its commands may have open.

use std::process::Command;

use serde_json::Value;

use super::Builder;
use crate::support::{describe, need, succeeded};

/// Files that a machine lets a program open, unless that asks for more.
const SOFT: &str = "128";
/// Directories in one another.
const DEPTH: usize = 300;
/// As many as fit into one mount of overlayfs.
const LAYERS: usize = 200;

/// An image of many layers, each with a directory of its own.
fn many_layers(builder: &Builder) {
    let mut layers = vec![builder.layer("base")];
    for number in 1..LAYERS {
        let dir = builder.sandbox.path("layer").join(number.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("file"), number.to_string()).unwrap();
        layers.push(builder.layer("layer"));
        std::fs::remove_dir_all(builder.sandbox.path("layer")).unwrap();
    }
    builder.import_layers("many:1", &layers, Value::Null);
}

/// The same command after this one of the shell.
fn after(builder: &Builder, limit: &str, command: &Command) -> Command {
    let mut limited = builder.sandbox.enclose(Command::new("sh"));
    limited.arg("-c").arg(format!("{limit} && exec \"$@\"")).arg("sh");
    limited.arg(command.get_program()).args(command.get_args());
    limited
}

#[test]
fn many_layers_and_deep_directories_do_not_end_at_the_soft_limit_which_commands_still_see() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    many_layers(&builder);
    std::fs::create_dir_all(builder.context().join("tree").join("d/".repeat(DEPTH))).unwrap();
    let dockerfile = format!(
        "FROM many:1 AS many\nCOPY --from=many:1 /7/../../8/file /x/../from\nRUN ulimit -S -n; cat /from /1/file /199/file\n\
         FROM busybox:1\nCOPY tree /tree/\nRUN cd /tree; for i in $(seq {DEPTH}); do cd d; done; mkdir -p new; \\\n\
         cd /; for i in $(seq {DEPTH}); do mkdir e; cd e; done\nCOPY --from=many /from /from\n"
    );
    let soft = format!("ulimit -S -n {SOFT}");
    let mut limited = after(&builder, &soft, &builder.command(&dockerfile, &[]));
    let output = limited.output().unwrap();
    succeeded(&limited, &output);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&format!("\n{SOFT}\n81199\n")), "{told}");
    let hold = builder.sandbox.command(["hold", "made:1", "--", "sh", "-c", "ulimit -S -n"]);
    let mut limited = after(&builder, &soft, &hold);
    let output = limited.output().unwrap();
    assert_eq!(succeeded(&limited, &output).trim(), SOFT);
    builder.assert_clean();
}

#[test]
fn where_no_more_files_may_be_opened_that_is_told_with_its_remedy() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    many_layers(&builder);
    let build = builder.command("FROM many:1\nRUN true\n", &[]);
    let mut limited = after(&builder, "ulimit -n 100", &build);
    let output = limited.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{}", describe(&limited, &output));
    assert!(
        told.contains("larder: context/Dockerfile:2: RUN true: ")
            && told.contains("Too many open files")
            && told.contains("hint: raise the limit of open files: `ulimit -n`"),
        "{told}"
    );
    builder.assert_clean();
}
