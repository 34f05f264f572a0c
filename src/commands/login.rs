//! `larder login`: credentials of a registry, kept where docker keeps them.

use crate::cli::{self, Context, Outcome, environment, fail, note};
use crate::registry::access::{self, Credentials, HUB, Keeper, Secret, is_host};
use crate::registry::{self, Checked, GivenUp, Kind, Patience, Registries, check};

/// Keep the user and password of a registry, as `docker login` does
///
/// The registry is asked first whether it takes them. Then they are kept in docker's config.json ($DOCKER_CONFIG, else ~/.docker; or in
/// $REGISTRY_AUTH_FILE), or by the credential helper that it names, for docker, podman and all others to use.
///
/// The password comes from stdin: typed at a terminal, where it is not shown, or through a pipe. There is no option that takes
/// it: every user of a machine can see the arguments of all its processes, and a shell keeps them in its history.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The registry, with its port if it has one [default: docker.io]
    host: Option<String>,

    /// Who asks
    #[arg(long, short)]
    user: Option<String>,

    /// Take the password from stdin though it is no terminal
    #[arg(long)]
    password_stdin: bool,

    /// Ask the registry over plain HTTP (one on this host is asked so by itself where it has no TLS)
    #[arg(long)]
    plain_http: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let host = host(args.host.as_deref())?;
    let environment = environment();
    let mut settings = access::settings(&environment)?;
    if args.plain_http {
        settings.plain_http = access::PlainHttp::All;
    }
    settings.may_ask(&host)?;
    let user = user(context, args)?;
    let password = password(context, args, &user, &host)?;
    let registries = Registries {
        settings,
        environment: environment.clone(),
        patience: Patience::default(),
        cancel: context.cancel.clone(),
        given_up: GivenUp::default(),
    };
    let credentials = Credentials::Basic { user: user.clone(), password: password.clone() };
    // The remedy of a failed request is to log in, which is what was just tried.
    let refused = |error: registry::Error| match error.kind() {
        Some(Kind::Denied) => {
            fail(error).with_hint("nothing was kept: look at user and password, and try again")
        }
        _ => error.into(),
    };
    if check(&host, credentials, &registries).map_err(refused)? == Checked::NotAsked {
        note(format_args!("larder: {host} does not want to know who asks: the password was not tried"));
    }
    let keeper =
        Keeper { environment: &environment, lock_timeout: context.lock_timeout, cancel: &context.cancel };
    let stored = keeper.login(&host, &user, &password)?;
    let file = stored.file.display();
    match stored.helper {
        Some(helper) => note(format_args!("{host}: {helper} keeps the password of {user} ({file})")),
        None => note(format_args!("{host}: the password of {user} is in {file}, and not encrypted")),
    }
    if let Some(other) = stored.hidden_by {
        note(format_args!("larder: {} has credentials for {host} too, and is asked before", other.display()));
    }
    Ok(())
}

/// The host that is meant: docker takes an address of its API too.
pub(super) fn host(given: Option<&str>) -> Outcome<String> {
    let given = given.unwrap_or(HUB);
    let bare = given.strip_prefix("https://").or_else(|| given.strip_prefix("http://")).unwrap_or(given);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    let bare = if given == "https://index.docker.io/v1/" { HUB } else { bare };
    if !is_host(bare) {
        return Err(fail(format!("{given:?} is no registry's host"))
            .with_hint("a host, with its port if it has one: ghcr.io, localhost:5000")
            .usage());
    }
    Ok(bare.to_owned())
}

fn user(context: &Context, args: &Args) -> Outcome<String> {
    let user = match &args.user {
        Some(user) => user.clone(),
        None if cli::can_ask() => cli::ask(&context.cancel, "User: ")?,
        None => return Err(fail("the user is missing").with_hint("name it with -u").usage()),
    };
    match user.as_str() {
        "" => Err(fail("the user is empty").usage()),
        user if user.contains(':') => {
            Err(fail("a user has no `:`: what is behind it would be the password's").usage())
        }
        user if user.contains(char::is_control) => Err(fail("the user has control characters").usage()),
        _ => Ok(user),
    }
}

fn password(context: &Context, args: &Args, user: &str, host: &str) -> Outcome<Secret> {
    let password = match (cli::can_ask(), args.password_stdin) {
        (true, _) => {
            let question = format!("Password of {} at {host} (not shown): ", cli::safe(user));
            cli::ask_hidden(&context.cancel, &question)?
        }
        (false, true) => cli::all(&context.cancel)?,
        (false, false) => {
            return Err(fail("stdin is no terminal to ask for the password at")
                .with_hint("--password-stdin takes it from a pipe or a file: larder login HOST -u USER --password-stdin <FILE")
                .usage());
        }
    };
    match password.as_str() {
        "" => Err(fail("the password is empty").with_hint("nothing came on stdin")),
        password if password.contains('\0') => Err(fail("the password has a NUL, which no registry takes")),
        _ => Ok(Secret::new(password)),
    }
}
