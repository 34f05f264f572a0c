//! An image by Docker 20.10's own builder, with all that tests ask about.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Docker, Sandbox, peer, run};

/// Its name.
pub(super) const NAME: &str = "structure:1";

const APPLETS: [&str; 30] = [
    "sh", "cat", "echo", "env", "id", "ls", "mkdir", "chmod", "chown", "ln", "mkfifo", "mknod", "rm",
    "touch", "pwd", "printf", "test", "sleep", "grep", "yes", "head", "dd", "true", "false", "seq", "cp",
    "mv", "basename", "tr", "kill",
];

const DOCKERFILE: &str = r#"FROM busybox:1
ENV HOME_DIR=/srv GREETING="hello world" VERSION=12.3.1 EMPTY= PATH=/usr/local/sbin:/usr/bin:/bin
LABEL vendor="ACME Incorporated" build-date=2026-01-02T03:04:05.678901
EXPOSE 8080/tcp 53/udp
VOLUME /data
RUN mkdir -p /d/gone /d/kept /opq /usr/bin /sticky /deep/er && echo a > /d/gone/a && echo k > /d/kept/k && \
    echo old > /opq/old && echo x > /plain && chmod 640 /plain && chown 1000:1001 /plain && \
    touch /suid /sgid && chmod 4755 /suid && chmod 2755 /sgid && chmod 1777 /sticky && chmod 2711 /deep && \
    ln -s plain /link && ln -s /none /dangling && ln -s loop /loop && mkfifo /fifo && mknod /null c 1 3 && \
    ln /plain /hard && ln -s /d/kept /dirlink && ln -s /plain /d/up && touch /noexec && chmod 600 /noexec && \
    touch /groupexec && chmod 610 /groupexec && touch /otherexec && chmod 601 /otherexec && ln -s /bin/busybox /usr/bin/tool
RUN printf 'first line\nsecond line\nversion = 12.3.1\n' > /text && printf '\000\377\376binary\303\251\n' > /binary && \
    : > /empty && printf 'a{2} [x] $(y)\n' > /odd && printf 'größe ſ 7\n' > /unicode
RUN mkdir -p /usr/share/doc/good /usr/share/doc/libgnutls30 && echo 'License: MIT' > /usr/share/doc/good/copyright && \
    echo AGPL > /usr/share/doc/libgnutls30/copyright && echo 'the agpl' > /bad-license && \
    ln -s good /usr/share/doc/linked && touch /usr/share/doc/file
RUN rm -rf /d/gone /opq && mkdir /opq && echo new > /opq/new && echo more >> /d/kept/k
WORKDIR /srv/app
USER build
ENTRYPOINT ["/entry"]
CMD ["serve", "--fast"]
"#;

/// Builds it, and saves it to a file of the sandbox.
pub(super) fn build(sandbox: &Sandbox, docker: &Docker) -> Option<PathBuf> {
    let base = sandbox.path("base");
    for dir in ["bin", "etc", "tmp"] {
        std::fs::create_dir_all(base.join(dir)).unwrap();
    }
    let busybox = peer::tool("busybox")?;
    std::fs::copy(busybox.get_program(), base.join("bin/busybox")).unwrap();
    APPLETS.iter().for_each(|applet| symlink("busybox", base.join("bin").join(applet)).unwrap());
    std::fs::write(base.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1001::/:/bin/sh\n")
        .unwrap();
    std::fs::write(base.join("etc/group"), "root:x:0:\nbuild:x:1001:\n").unwrap();
    run(Command::new("chmod").arg("1777").arg(base.join("tmp")));
    let tar = sandbox.path("base.tar");
    run(Command::new("tar").args(["--owner=0", "--group=0", "-C"]).arg(&base).arg("-cf").arg(&tar).arg("."));
    docker.ok(["import".as_ref(), tar.as_os_str(), "busybox:1".as_ref()]);
    let context = sandbox.path("context");
    std::fs::create_dir(&context).unwrap();
    std::fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
    docker.ok([
        "build".as_ref(),
        "--network=host".as_ref(),
        "-q".as_ref(),
        "-t".as_ref(),
        NAME.as_ref(),
        context.as_os_str(),
    ]);
    let archive = sandbox.path("image.tar");
    docker.ok(["save".as_ref(), "-o".as_ref(), archive.as_os_str(), NAME.as_ref()]);
    Some(archive)
}
