//! User and password, and the token they are good for.

use std::fmt;

use super::generated::etcdserverpb::{AuthenticateRequest, AuthenticateResponse};

/// A password, or a token. Prints as `[redacted]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The password with this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What it takes to be let in.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    User(User),
    /// Nobody has to log in.
    Token(Password),
}

/// Who logs in.
#[derive(Debug, Clone)]
pub(crate) struct User {
    name: String,
    password: Password,
}

impl User {
    pub(crate) fn new(name: String, password: Password) -> Self {
        Self { name, password }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn request(&self) -> AuthenticateRequest {
        AuthenticateRequest {
            name: self.name.clone(),
            password: self.password.reveal().to_owned(),
        }
    }
}

impl fmt::Debug for AuthenticateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateRequest")
            .field("name", &self.name)
            .field("password", &"[redacted]")
            .finish()
    }
}

impl fmt::Debug for AuthenticateResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticateResponse")
            .field("header", &self.header)
            .field("token", &"[redacted]")
            .finish()
    }
}
