//! What a build looks at before anything runs, and what it keeps others from taking meanwhile.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::json;

use super::Builder;
use crate::support::{describe, need};

fn triggers(builder: &Builder, texts: &[String]) {
    builder.import_layers("triggers:1", &[builder.layer("base")], json!({"OnBuild": texts}));
}

#[test]
fn an_image_that_only_a_trigger_copies_from_is_there_before_anything_runs_and_stays() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::create_dir(builder.sandbox.path("other")).unwrap();
    std::fs::write(builder.sandbox.path("other/file"), "of the other image\n").unwrap();
    builder.import("other:1", &["other"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let wait = format!("RUN wget -q -O- http://{}/", listener.local_addr().unwrap());
    triggers(&builder, &[wait, "COPY --from=other:1 /file /copied".into(), "RUN cat /copied".into()]);
    let mut command = builder.command("FROM triggers:1\n", &[]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The command waits for its answer.
    let (mut connection, _) = listener.accept().unwrap();
    builder.sandbox.ok(["rm", "other:1"]);
    builder.sandbox.ok(["gc"]);
    let _ = connection.read(&mut [0; 1024]).unwrap();
    connection.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    drop(connection);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", describe(&command, &output));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("RUN cat /copied\nof the other image\n"), "{told}");
    builder.assert_clean();
}

#[test]
fn what_a_trigger_lacks_is_told_before_anything_runs() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let copy = "COPY --from=none/such:1 /a /b";
    triggers(&builder, &["RUN true".into(), copy.into()]);
    let of_a_stage =
        format!("FROM busybox:1 AS one\nRUN echo x\nONBUILD RUN echo x\nONBUILD {copy}\nFROM one\n");
    for (dockerfile, line) in [("FROM triggers:1\n", 1), (&of_a_stage, 5)] {
        let told = builder.fail(dockerfile, &[], 3);
        let says = format!("larder: context/Dockerfile:{line}: {copy}: none/such:1: no such image in ");
        assert!(told.starts_with(&says), "{told}");
    }
}

#[test]
fn an_argument_that_only_a_trigger_asks_for_is_asked_for() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    triggers(&builder, &["ARG OF_BASE".into(), "RUN echo \"$OF_BASE\"".into()]);
    let dockerfile = "FROM triggers:1 AS one\nONBUILD ARG OF_STAGE=none\nFROM one\nRUN echo \"$OF_STAGE\"\n";
    let args = ["OF_BASE=of a base", "OF_STAGE=of a stage", "NOBODY=asks"];
    let made = builder.ok(dockerfile, &args.map(|arg| ["--build-arg", arg]).concat());
    assert_eq!(made.said("RUN echo \"$OF_BASE\""), "of a base\n");
    assert_eq!(made.said("RUN echo \"$OF_STAGE\""), "of a stage\n");
    let notes: Vec<_> = made.told.lines().filter(|line| line.contains("no ARG of the Dockerfile")).collect();
    assert_eq!(notes, ["note: --build-arg NOBODY: no ARG of the Dockerfile asks for it"]);
}

#[test]
fn files_that_are_not_in_the_context_are_told_all_at_once_before_anything_runs() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::write(builder.context().join("file"), "x").unwrap();
    let dockerfile = "FROM busybox:1 AS unneeded\nCOPY nothing /\nFROM busybox:1\nARG NAME=file\n\
        RUN echo ran\nCOPY file \"none\" /to/\nCOPY $NAME /to/\nADD [\"file/below\", \"/to/\"]\nCOPY ../outside <<EOF /to/\nx\nEOF\n";
    let missing = "there is no such file in the context, or .dockerignore leaves it out";
    let told = builder.fail(dockerfile, &[], 1);
    let expected = format!(
        "larder: context/Dockerfile:6: COPY file \"none\" /to/: \"none\": {missing}\n\
         larder: context/Dockerfile:8: ADD [\"file/below\", \"/to/\"]: \"/file\": is no directory\n\
         larder: context/Dockerfile:9: COPY ../outside <<EOF /to/: \"../outside\": leads out of the context\n"
    );
    assert_eq!(told, expected);
    triggers(&builder, &["RUN echo ran".into(), "COPY of-the-trigger /".into()]);
    let told = builder.fail("FROM triggers:1\n", &[], 1);
    let says =
        format!("larder: context/Dockerfile:1: COPY of-the-trigger /: \"of-the-trigger\": {missing}\n");
    assert_eq!(told, says);
    // A pattern, or a variable, is the step's own.
    for source in ["no*ne", "${NAME}x"] {
        let told = builder.fail(&format!("FROM busybox:1\nARG NAME=none\nCOPY {source} /\n"), &[], 1);
        assert!(told.starts_with("[1/3] FROM busybox:1\n") && told.contains(missing), "{told}");
    }
}
