//! The right that is missing, in the words of every minor.

/// What a server means by refusing with `message`, if it is a matter of users and rights. `doing` reads like "send a
/// snapshot".
///
/// Codes do not help: etcd 3.4 and 3.5 answer Unknown, and begin the message otherwise (formats.md 3.1).
pub(crate) fn missing_right(
    server: &str,
    user: Option<&str>,
    doing: &str,
    message: &str,
) -> Option<String> {
    // etcd takes the common name of a client certificate for a user that has logged in.
    let who = match user {
        Some(user) => format!("the user {user:?}"),
        None => "the user that the client certificate is for".to_owned(),
    };
    let ends = |end: &str| message.ends_with(end);
    let sentence = if ends("user name is empty") {
        format!(
            "{server} will not {doing} without a user: auth is enabled, and it takes a user with the role root"
        )
    } else if ends("invalid auth token") {
        format!("{server} will not {doing}: it no longer knows the login; try again")
    } else if ends("user name not found") || ends("user not found") {
        format!("{server} will not {doing}: it does not know {who}")
    } else if ends("permission denied") {
        format!("{server} will not {doing}: {who} does not have the role root")
    } else if ends("invalid user ID or password") {
        format!("{server} does not let {who} in: wrong user or password")
    } else {
        return None;
    };
    Some(sentence)
}

#[cfg(test)]
mod tests {
    use super::missing_right;

    #[test]
    fn a_missing_right_is_named_in_the_words_of_every_minor() {
        for (message, user, expected) in [
            ("auth: user name is empty", None, "the role root"),
            ("etcdserver: user name is empty", None, "the role root"),
            (
                "auth: permission denied",
                Some("ann"),
                "the user \"ann\" does not have the role root",
            ),
            (
                "etcdserver: permission denied",
                None,
                "the user that the client certificate is for does not",
            ),
            (
                "auth: invalid auth token",
                Some("ann"),
                "no longer knows the login",
            ),
            (
                "etcdserver: invalid auth token",
                Some("ann"),
                "no longer knows the login",
            ),
            (
                "auth: user not found",
                None,
                "it does not know the user that the client certificate is for",
            ),
            (
                "etcdserver: user name not found",
                Some("ann"),
                "does not know the user \"ann\"",
            ),
            (
                "etcdserver: authentication failed, invalid user ID or password",
                Some("ann"),
                "does not let the user \"ann\" in: wrong user or password",
            ),
        ] {
            let sentence = missing_right("a:1", user, "send a snapshot", message).unwrap();
            assert!(sentence.contains(expected), "{sentence}");
        }
        let other = missing_right("a:1", None, "send a snapshot", "etcdserver: no leader");
        assert_eq!(other, None);
    }
}
