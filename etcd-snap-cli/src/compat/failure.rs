//! The library's errors in the words of the original.

use etcd_snap::Error;

use super::ended::{self, Ended};
use super::go;
use crate::failure::Failure;

/// What Go says when the time is over.
pub(super) const LATE: &str = "context deadline exceeded";

/// What the library says, where the original has no words for it: its sentence and all that lies beneath.
pub(super) fn sentence(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let below = match error.downcast_ref::<std::io::Error>() {
            Some(error) => go::system(error),
            None => error.to_string(),
        };
        text.push_str(&format!(": {below}"));
        cause = error.source();
    }
    text
}

pub(super) fn detail<'a>(error: &'a Error, name: &str) -> Option<&'a str> {
    error
        .detail()
        .find_map(|(one, value)| (one == name).then_some(value))
}

/// The failure of the system beneath an error.
pub(super) fn system(error: &Error) -> Option<&std::io::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

pub(super) fn ended(error: &Error, code: u8) -> Ended {
    Ended::new(code, sentence(error))
}

/// Certificates and keys that do not do.
pub(super) fn tls_files(error: &Error) -> Ended {
    let text = match detail(error, "mistake") {
        Some("key-mismatch") => "tls: private key does not match public key".to_owned(),
        _ => sentence(error),
    };
    Ended::arguments(text)
}

/// What a server answered, as Go's client prints it: its own errors by their sentence, all others with their code.
pub(super) fn answered(error: &Error) -> Option<String> {
    let message = detail(error, "message")?;
    if message.starts_with("etcdserver: ") {
        return Some(message.to_owned());
    }
    status(error)
}

/// The same with its code in any case.
pub(super) fn status(error: &Error) -> Option<String> {
    let (code, message) = (detail(error, "code")?, detail(error, "message")?);
    Some(format!("rpc error: code = {code} desc = {message}"))
}

/// Why work that can be stopped, and has its time, did not end well.
pub(super) fn stopped(failure: Failure, code: u8, word: impl FnOnce(&Error) -> String) -> Ended {
    match failure {
        Failure::Library { error, .. } => Ended::new(code, word(&error)),
        Failure::Node(error) | Failure::HalfWay(error) => Ended::new(code, error.to_string()),
        Failure::Late { .. } => Ended::new(code, LATE),
        // The original dies of the signal, which a shell reports with the same number.
        Failure::Stopped(signal) => Ended::new(signal.exit_code(), format!("stopped by {signal}")),
        Failure::Usage(sentence) | Failure::Refused(sentence) => {
            Ended::new(ended::BAD_ARGUMENTS, sentence)
        }
        Failure::System { doing, error } => {
            Ended::new(code, format!("cannot {doing}: {}", go::system(&error)))
        }
        Failure::File { doing, path, error } => {
            let file = path.display();
            Ended::new(
                code,
                format!("cannot {doing} {file}: {}", go::system(&error)),
            )
        }
        Failure::Reported { code } => Ended::silent(code),
    }
}
