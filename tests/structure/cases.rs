//! What is asked of the image, and larder's verdict; where container-structure-test says otherwise, why.

use Differs::{Both, Docker, No, Tar};

/// Whose verdict differs, and why that is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Differs {
    No,
    /// The docker driver's, and the tar driver's is ours.
    Docker(&'static str),
    /// The tar driver's, and the docker driver's is ours.
    Tar(&'static str),
    Both(&'static str),
}

/// A case: the fields of a test in YAML, whether it passes, and who differs.
pub(super) type Case = (&'static str, bool, Differs);

/// The tar driver unpacks as itself, and cannot tell owners.
const OWNERS: &str = "the tar driver knows no owners";
/// `docker cp` gives devices and pipes that the docker driver passes over.
const SPECIAL: &str = "the docker driver sees no devices and pipes, and the tar driver does not unpack them";

/// It follows them on the machine that it runs on.
const ABSOLUTE: &str = "the tar driver follows absolute links out of the image";

pub(super) const FILES: [Case; 42] = [
    ("path: /plain", true, No),
    ("path: /plain, shouldExist: false", false, No),
    ("path: /nothing", false, No),
    ("path: /nothing, shouldExist: no", true, No),
    ("path: plain", true, No),
    ("path: /d/../plain", true, No),
    ("path: /d/gone/a, shouldExist: false", true, No),
    ("path: /d/gone", false, No),
    ("path: /opq/old, shouldExist: false", true, Tar("the tar driver knows no opaque directories")),
    ("path: /opq/new", true, No),
    ("path: /d/kept/k", true, No),
    ("path: /plain/x, shouldExist: false", true, No),
    ("path: /plain, permissions: '-rw-r-----'", true, No),
    ("path: /plain, permissions: '-rw-r--r--'", false, No),
    ("path: /suid, permissions: 'urwxr-xr-x'", true, No),
    ("path: /sgid, permissions: 'grwxr-xr-x'", true, No),
    ("path: /sticky, permissions: 'dtrwxrwxrwx'", true, No),
    ("path: /deep, permissions: 'dgrwx--x--x'", true, No),
    ("path: /deep/er, permissions: 'drwxr-sr-x'", false, No),
    ("path: /link, permissions: 'Lrwxrwxrwx'", true, No),
    ("path: /link, permissions: '-rw-r-----'", false, No),
    ("path: /dangling", true, No),
    ("path: /loop", true, Docker("docker cp follows the link that it is asked about")),
    ("path: /loop/x, shouldExist: false", true, No),
    ("path: /dirlink/k", true, Tar(ABSOLUTE)),
    ("path: /hard, permissions: '-rw-r-----'", true, No),
    ("path: /plain, uid: 1000, gid: 1001", true, Tar(OWNERS)),
    ("path: /plain, uid: 0", false, No),
    ("path: /plain, gid: 1000", false, No),
    ("path: /suid, uid: 0, gid: 0", true, Tar(OWNERS)),
    ("path: /suid, isExecutableBy: other", true, No),
    ("path: /noexec, isExecutableBy: any", false, No),
    ("path: /groupexec, isExecutableBy: group", true, No),
    ("path: /groupexec, isExecutableBy: owner", false, No),
    ("path: /groupexec, isExecutableBy: any", true, No),
    ("path: /otherexec, isExecutableBy: other", true, No),
    ("path: $HOME_DIR/app", true, No),
    (
        "path: '${GLOBAL_DIR}/app', permissions: 'drwxr-xr-x'",
        true,
        Tar("the tar driver replaces nothing in globalEnvVars"),
    ),
    ("path: /fifo, permissions: 'prw-r--r--'", true, Both(SPECIAL)),
    ("path: /null, permissions: 'Dcrw-r--r--'", true, Both(SPECIAL)),
    ("path: /etc/hostname, shouldExist: false", true, Docker("a container has it, and the image does not")),
    ("path: /.dockerenv, shouldExist: false", true, Docker("a container has it, and the image does not")),
];

pub(super) const CONTENTS: [Case; 28] = [
    ("path: /text, expectedContents: ['second']", true, No),
    ("path: /text, expectedContents: ['third']", false, No),
    ("path: /text, expectedContents: ['first', 'third']", false, No),
    ("path: /text, excludedContents: ['third']", true, No),
    ("path: /text, excludedContents: ['third', 'line']", false, No),
    ("path: /text, expectedContents: ['^second']", false, No),
    ("path: /text, expectedContents: ['(?m)^second line$']", true, No),
    ("path: /text, expectedContents: ['line$']", false, No),
    ("path: /text, expectedContents: ['1\\n\\z']", true, No),
    ("path: /text, expectedContents: ['first.*second']", false, No),
    ("path: /text, expectedContents: ['(?s)first.*second']", true, No),
    ("path: /text, expectedContents: ['(?i)FIRST']", true, No),
    ("path: /text, expectedContents: ['version = \\d+(\\.\\d+){2}']", true, No),
    ("path: /text, expectedContents: ['\\Q12.3.1\\E']", true, No),
    ("path: /odd, expectedContents: ['a{2} ']", false, No),
    ("path: /odd, expectedContents: ['a{,2', 'a\\{2', '[x&&]', '\\Q$(y)']", false, No),
    ("path: /odd, expectedContents: ['a\\{2}', '\\[x]', '\\Q$(y)']", true, No),
    ("path: /unicode, expectedContents: ['gr\\w+e ']", false, No),
    ("path: /unicode, expectedContents: ['gr\\pL+e (?i:s) \\d$']", false, No),
    ("path: /unicode, expectedContents: ['gr\\pL+e (?i:s) \\d\\s$']", true, No),
    ("path: /binary, expectedContents: ['^\\x00..binaryé']", true, No),
    ("path: /binary, expectedContents: ['\\xff']", false, No),
    ("path: /empty, expectedContents: ['^$']", true, No),
    ("path: /link, expectedContents: ['x']", true, No),
    ("path: /nothing, excludedContents: ['x']", false, No),
    ("path: /d, expectedContents: []", false, No),
    ("path: /d/kept/k, expectedContents: ['^k\\nmore\\n$']", true, No),
    ("path: /dirlink/k, expectedContents: ['more']", true, Tar(ABSOLUTE)),
];

pub(super) const COMMANDS: [Case; 30] = [
    ("command: echo, args: [hello], expectedOutput: ['^hello\\n$']", true, No),
    ("command: echo, args: [hello], expectedOutput: [bye]", false, No),
    ("command: echo, args: [hello], excludedOutput: [hello]", false, No),
    ("command: sh, args: [-c, exit 3], exitCode: 3", true, No),
    ("command: sh, args: [-c, exit 3]", false, No),
    ("command: 'false', exitCode: 0", false, No),
    (
        "command: sh, args: [-c, 'echo oops >&2'], expectedError: ['^oops\\n$'], excludedOutput: ['.']",
        true,
        No,
    ),
    ("command: sh, args: [-c, 'echo oops >&2'], expectedOutput: [oops]", false, No),
    ("command: sh, args: [-c, 'echo oops >&2'], excludedError: [oops]", false, No),
    ("command: echo, args: ['$GREETING'], expectedOutput: ['^hello world\\n']", true, No),
    ("command: '$EMPTY${HOME_DIR}x', args: []", false, No),
    ("command: echo, args: ['a${NONE}b$'], expectedOutput: ['^ab\\$\\n']", true, No),
    ("command: env, envVars: [{key: FOO, value: bar}], expectedOutput: ['(?m)^FOO=bar$']", true, No),
    ("command: env, envVars: [{key: FOO, value: $GREETING}], expectedOutput: ['FOO=\\$GREETING']", true, No),
    ("command: env, expectedOutput: ['(?m)^GLOBAL=/x:/usr/local/sbin:/usr/bin:/bin$']", true, No),
    ("command: echo, args: ['$GLOBAL_DIR'], expectedOutput: ['/srv']", true, No),
    ("command: ls, args: [/tmp/made], setup: [[touch, /tmp/made]]", true, No),
    ("command: ls, args: [/tmp/made], exitCode: 1", true, No),
    (
        "command: cat, args: [/tmp/f], setup: [[sh, -c, 'echo 1 > /tmp/f'], [sh, -c, 'echo 2 >> /tmp/f']], expectedOutput: ['1\\n2']",
        true,
        No,
    ),
    ("command: 'true', setup: [['false']]", true, No),
    (
        "command: cat, args: [/tmp/f], envVars: [{key: FOO, value: '$GREETING!'}], setup: [[sh, -c, 'echo $FOO > /tmp/f']], expectedOutput: ['hello world!']",
        true,
        No,
    ),
    (
        "command: echo, args: ['<$FOO>'], envVars: [{key: FOO, value: '$GREETING!'}], expectedOutput: ['<>']",
        true,
        No,
    ),
    (
        "command: echo, args: ['<$FOO>'], envVars: [{key: FOO, value: '$GREETING!'}], setup: [['true']], expectedOutput: ['<hello world!>']",
        true,
        No,
    ),
    ("command: pwd, expectedOutput: ['^/srv/app\\n$']", true, No),
    ("command: id, args: [-u], expectedOutput: ['^1000\\n$']", true, No),
    (
        "command: sh, args: [-c, 'echo x > /forbidden'], exitCode: 1, expectedError: ['(?i)permission denied']",
        true,
        No,
    ),
    ("command: no-such-program", false, No),
    ("command: no-such-program, exitCode: 127", false, No),
    ("command: 'true', teardown: [['false']]", true, No),
    ("command: sh, args: [-c, 'kill -9 $$'], exitCode: 137", false, No),
];

/// One to a file.
pub(super) const METADATA: [Case; 18] = [
    ("envVars: [{key: VERSION, value: 12.3.1}]", true, No),
    ("envVars: [{key: VERSION, value: '12.3'}]", false, No),
    ("envVars: [{key: VERSION, value: '12.3', isRegex: true}]", true, No),
    ("envVars: [{key: NONE, value: ''}]", false, No),
    ("envVars: [{key: EMPTY, value: ''}]", true, No),
    ("unboundEnvVars: [{key: NONE}]", true, No),
    ("unboundEnvVars: [{key: EMPTY}]", false, No),
    (
        "labels: [{key: vendor, value: ACME Incorporated}, {key: build-date, value: '^\\d{4}-\\d{2}-\\d{2}T', isRegex: true}]",
        true,
        No,
    ),
    ("labels: [{key: vendor, value: ACME}]", false, No),
    ("entrypoint: [/entry], cmd: [serve, --fast]", true, No),
    ("entrypoint: []", false, No),
    ("cmd: [serve]", false, No),
    ("workdir: /srv/app, user: build", true, No),
    ("user: root", false, No),
    ("exposedPorts: ['8080', 53], unexposedPorts: ['80']", true, No),
    ("exposedPorts: ['8080/tcp']", false, No),
    ("volumes: [/data], unmountedVolumes: [/dat]", true, No),
    ("unmountedVolumes: [/data]", false, No),
];

/// One to a file.
pub(super) const LICENSES: [Case; 5] = [
    ("debian: true", true, No),
    ("debian: true, files: [/bad-license]", false, No),
    ("files: [/usr/share/doc/good/copyright]", true, No),
    ("files: [/usr/share/doc/libgnutls30/copyright]", false, No),
    ("files: [/nothing]", false, No),
];
