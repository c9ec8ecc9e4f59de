//! From the global flags to a cluster (etcdctl's `clientConfigFromCmd`), and in its order of refusals.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use etcd_snap::{Cluster, Discovery, ErrorKind, Tls};

use super::call::{Call, print_aside};
use super::ended::{self, Ended, Result};
use super::environment::variable_of;
use super::failure;
use super::go;
use crate::connection::read_password;
use crate::prompt;

/// The cluster that the flags, and the variables beside them, lead to.
pub(super) fn cluster(call: &mut Call) -> Result<Cluster> {
    call.read_environment();
    if call.flags.switch("debug") {
        let mut flags: Vec<&str> = call.inherited.iter().map(|flag| flag.name).collect();
        flags.retain(|name| *name != "compat" && *name != "password-file");
        for name in flags {
            let value = match name {
                // What the original prints here is the password.
                "password" | "auth-jwt-token" if call.flags.changed(name) => "[redacted]",
                name => call.flags.text(name),
            };
            print_aside(format!("{}={value}", variable_of(name)));
        }
    }
    discover(call)?;
    for name in ["cert", "key", "cacert"] {
        if call.flags.changed(name) && call.flags.text(name).is_empty() {
            return Err(Ended::arguments(format!(
                "empty string is passed to --{name} option"
            )));
        }
    }
    let login = login(call)?;
    // Only now: an unknown form is refused behind the files.
    call.form()?;
    let tls = tls(call)?;
    let mut cluster = Cluster::new(endpoints(call))
        .map_err(|error| failure::ended(&error, ended::BAD_ARGUMENTS))?
        .with_connect_timeout(dial_timeout(call));
    if let Some(tls) = tls {
        cluster = cluster.with_tls(tls);
    }
    let token = call.flags.text("auth-jwt-token");
    if !token.is_empty() {
        cluster = cluster.with_token(token);
    } else if let Some((name, password)) = login {
        cluster = cluster.with_user(name, password);
    }
    Ok(cluster)
}

/// The domain whose records lead to the endpoints.
fn domain(call: &Call) -> Option<&str> {
    Some(call.flags.text("discovery-srv")).filter(|domain| !domain.is_empty())
}

/// What is found by a domain takes the place of the endpoints that were given.
fn discover(call: &mut Call) -> Result<()> {
    let Some(domain) = domain(call) else {
        return Ok(());
    };
    let found = Discovery::new(domain)
        .with_service_name(call.flags.text("discovery-srv-name"))
        .with_plain(call.flags.switch("insecure-discovery"))
        .with_timeout(dial_timeout(call))
        .find_blocking()
        .map_err(|error| failure::ended(&error, ended::ERROR))?;
    for endpoint in &found.left_out {
        print_aside(format!(
            "ignoring discovered insecure endpoint {}",
            go::quote(endpoint)
        ));
    }
    if !found.endpoints.is_empty() {
        call.flags.replace("endpoints", found.endpoints.join(","));
    } else if !found.left_out.is_empty() {
        return Err(Ended::error(format!(
            "the domain {} has only endpoints without TLS, and --insecure-discovery is false",
            go::quote(domain)
        )));
    }
    Ok(())
}

/// The endpoints, as they are written.
pub(super) fn endpoints(call: &Call) -> Vec<String> {
    let pieces = Cluster::split(call.flags.text("endpoints"));
    pieces.into_iter().map(ToOwned::to_owned).collect()
}

/// The original waits for ever where it is 0.
pub(super) fn dial_timeout(call: &Call) -> Duration {
    match call.flags.time("dial-timeout") {
        Duration::ZERO => Duration::from_secs(60 * 60 * 24),
        time => time,
    }
}

/// How long a short command may take.
pub(super) fn command_timeout(call: &Call) -> Duration {
    call.flags.time("command-timeout")
}

fn login(call: &Call) -> Result<Option<(String, String)>> {
    let flags = &call.flags;
    let user = flags.text("user");
    if user.is_empty() {
        return Ok(None);
    }
    let given = flags.text("password");
    if !given.is_empty() {
        return Ok(Some((user.to_owned(), given.to_owned())));
    }
    if let Some((name, password)) = user.split_once(':') {
        return Ok(complete(name, password.to_owned()));
    }
    let file = flags.text("password-file");
    let password = if file.is_empty() {
        ask().map_err(|error| Ended::error(go::system(&error)))?
    } else {
        read_password(Path::new(file))
            .map_err(|failed| failure::stopped(failed, ended::BAD_ARGUMENTS, failure::sentence))?
    };
    Ok(complete(user, password))
}

/// The original does not log in where it has only one of the two.
fn complete(name: &str, password: String) -> Option<(String, String)> {
    (!name.is_empty() && !password.is_empty()).then(|| (name.to_owned(), password))
}

/// On the terminal, or a line of what is piped in.
fn ask() -> io::Result<String> {
    const QUESTION: &str = "Password: ";
    if io::stdin().is_terminal() {
        return prompt::secret(QUESTION);
    }
    let mut output = io::stdout();
    write!(output, "{QUESTION}")?;
    output.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    writeln!(output)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// TLS, where a flag says anything about it (`newTLSConfig`).
fn tls(call: &Call) -> Result<Option<Tls>> {
    let flags = &call.flags;
    let (cert, key, cacert) = (flags.text("cert"), flags.text("key"), flags.text("cacert"));
    if cert.is_empty() != key.is_empty() {
        return Err(Ended::arguments(format!(
            "KeyFile and CertFile must both be present[key: {key}, cert: {cert}]"
        )));
    }
    let name = domain(call).filter(|_| !flags.switch("insecure-discovery"));
    let wanted = !cert.is_empty()
        || !cacert.is_empty()
        || name.is_some()
        || !flags.switch("insecure-transport");
    // Without anything else it says nothing, as in the original.
    if !wanted {
        return Ok(None);
    }
    let mut tls = Tls::builder();
    if !cert.is_empty() {
        tls = tls.identity_files(cert, key);
    }
    if !cacert.is_empty() {
        tls = tls.ca_file(cacert);
    }
    if let Some(name) = name {
        tls = tls.server_name(name);
    }
    if flags.switch("insecure-skip-tls-verify") {
        tls = tls.danger_skip_verification();
    }
    for path in [cert, key, cacert] {
        if path.is_empty() {
            continue;
        }
        std::fs::read(path)
            .map_err(|error| Ended::arguments(go::path_error("open", Path::new(path), &error)))?;
    }
    let tls = tls.build().map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => failure::tls_files(&error),
        _ => failure::ended(&error, ended::BAD_ARGUMENTS),
    })?;
    Ok(Some(tls))
}
