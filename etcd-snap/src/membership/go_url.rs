//! How Go's `net/url` takes a URL apart and puts it together again, as far as peer URLs need it.
//!
//! A member's id is a hash over the text that `url.URL.String` prints, so an escape that is written differently is a
//! different member. The rules are those of `url.Parse` and `(*url.URL).String`, in the state of Go 1.26.

use std::net::Ipv6Addr;

/// The part of a URL that a text stands in: it decides which bytes are written plainly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    User,
    Host,
    Zone,
    Path,
    Fragment,
}

impl Part {
    /// Whether `escape` leaves this byte as it is (`shouldEscape`, negated).
    fn is_plain(self, byte: u8) -> bool {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => true,
            b'$' | b'&' | b'+' | b',' | b';' | b'=' => true,
            b':' => self != Self::User,
            b'/' | b'@' => matches!(self, Self::Path | Self::Fragment),
            b'?' => self == Self::Fragment,
            b'!' | b'(' | b')' | b'*' => matches!(self, Self::Host | Self::Zone | Self::Fragment),
            b'\'' | b'[' | b']' | b'<' | b'>' | b'"' => matches!(self, Self::Host | Self::Zone),
            _ => false,
        }
    }
}

/// A URL taken apart. Everything is text as it will be printed, except the host.
pub(super) struct GoUrl {
    /// Lower case.
    pub(super) scheme: String,
    /// With its escapes resolved: not always UTF-8.
    pub(super) host: Vec<u8>,
    /// As it will be printed.
    pub(super) path: String,
    /// What `String` prints.
    pub(super) text: String,
}

impl GoUrl {
    /// Takes `text` apart, as `url.Parse` does. The error says what is wrong, as the end of a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        if let Some(control) = text.chars().find(char::is_ascii_control) {
            return Err(format!("it contains the control character {control:?}"));
        }
        let (scheme, rest) =
            split_scheme(text).ok_or("it has no scheme: begin it with https:// or http://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };

        let mut printed = format!("{scheme}:");
        let mut host = Vec::new();
        let mut path = String::new();
        if let Some(after) = rest.strip_prefix("//") {
            let (authority, raw_path) = match after.find('/') {
                Some(slash) => after.split_at(slash),
                None => (after, ""),
            };
            let (user, host_text) = match authority.rsplit_once('@') {
                Some((user, host)) => (Some(user), host),
                None => (None, authority),
            };
            host = parse_host(&scheme, host_text)?;
            path = canonical(raw_path, Part::Path)?;
            if !host.is_empty() || !path.is_empty() || user.is_some() {
                printed.push_str("//");
            }
            if let Some(user) = user {
                printed.push_str(&canonical_user(user)?);
                printed.push('@');
            }
            escape_into(&mut printed, &host, Part::Host);
            printed.push_str(&path);
        } else if rest.starts_with('/') {
            path = canonical(rest, Part::Path)?;
            printed.push_str(&path);
        } else {
            // Go's "opaque" form, `scheme:anything`: kept as it is.
            printed.push_str(rest);
        }
        if let Some(query) = query {
            printed.push('?');
            printed.push_str(query);
        }
        if !fragment.is_empty() {
            printed.push('#');
            printed.push_str(&canonical(fragment, Part::Fragment)?);
        }
        Ok(Self {
            scheme,
            host,
            path,
            text: printed,
        })
    }
}

/// `getScheme`: letters, then also digits, `+`, `-`, `.`, up to the first colon.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let first = bytes.next()?;
    let valid = first.is_ascii_alphabetic()
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    valid.then_some((scheme, rest))
}

/// `parseHost`: `host`, `host:port` or `[v6]:port`, escapes resolved.
fn parse_host(scheme: &str, text: &str) -> Result<Vec<u8>, String> {
    if let Some(open) = text.rfind('[') {
        let inside = text.strip_prefix('[').filter(|_| open == 0);
        let (address, port) = inside
            .and_then(|inside| inside.rsplit_once(']'))
            .ok_or("its brackets do not enclose an IPv6 address")?;
        check_port(port)?;
        let (address, zone) = match address.find("%25") {
            Some(at) => address.split_at(at),
            None => (address, ""),
        };
        let address = unescape(address, Part::Host)?;
        let zone = unescape(zone, Part::Zone)?;
        if !is_ipv6(&address) || zone == b"%" {
            return Err("its brackets do not enclose an IPv6 address".to_owned());
        }
        let mut host = vec![b'['];
        host.extend(address);
        host.extend(zone);
        host.push(b']');
        host.extend(port.as_bytes());
        return Ok(host);
    }
    // Go holds only http and https to a single colon; others have the port behind the last one.
    let colon = match scheme {
        "http" | "https" => text.find(':'),
        _ => text.rfind(':'),
    };
    if let Some((_, port)) = colon.and_then(|colon| text.split_at_checked(colon)) {
        if port.matches(':').nth(1).is_some() {
            return Err("an IPv6 address stands in brackets, like [fd00::1]:2380".to_owned());
        }
        check_port(port)?;
    }
    unescape(text, Part::Host)
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// `validOptionalPort`: nothing, or a colon and digits.
fn check_port(port: &str) -> Result<(), String> {
    let valid = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()),
        None => port.is_empty(),
    };
    if valid {
        Ok(())
    } else {
        Err(format!("{port:?} is not a port"))
    }
}

/// `validUserinfo`, then name and password each unescaped and escaped again.
fn canonical_user(text: &str) -> Result<String, String> {
    let valid = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '-' | '.' | '_' | ':' | '~' | '!' | '$')
            || matches!(
                c,
                '&' | '\'' | '(' | ')' | '*' | '+' | ',' | ';' | '=' | '%' | '@'
            )
    };
    if !text.chars().all(valid) {
        return Err("its user name or password holds characters that need a % escape".to_owned());
    }
    let (name, password) = match text.split_once(':') {
        Some((name, password)) => (name, Some(password)),
        None => (text, None),
    };
    let mut printed = String::new();
    escape_into(&mut printed, &unescape(name, Part::User)?, Part::User);
    if let Some(password) = password {
        printed.push(':');
        escape_into(&mut printed, &unescape(password, Part::User)?, Part::User);
    }
    Ok(printed)
}

/// `EscapedPath` and `EscapedFragment`: text that is already well escaped stays as it was written.
fn canonical(text: &str, part: Part) -> Result<String, String> {
    let unescaped = unescape(text, part)?;
    let keeps = |b: u8| part.is_plain(b) || b"!$&'()*+,;=:@[]%".contains(&b);
    if text.bytes().all(keeps) {
        return Ok(text.to_owned());
    }
    let mut printed = String::new();
    escape_into(&mut printed, &unescaped, part);
    Ok(printed)
}

fn escape_into(printed: &mut String, bytes: &[u8], part: Part) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for &byte in bytes {
        if part.is_plain(byte) {
            printed.push(char::from(byte));
        } else {
            printed.push('%');
            printed.extend(DIGITS.get(usize::from(byte >> 4)));
            printed.extend(DIGITS.get(usize::from(byte & 15)));
        }
    }
}

/// `unescape`. A host may hold escapes of bytes beyond ASCII only, and `%25`; a zone those of plain host bytes.
fn unescape(text: &str, part: Part) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            if matches!(part, Part::Host | Part::Zone) && byte.is_ascii() && !part.is_plain(byte) {
                return Err(format!("a host cannot hold {:?}", char::from(byte)));
            }
            bytes.push(byte);
            rest = after;
            continue;
        }
        let value = after
            .split_at_checked(2)
            .and_then(|(digits, after)| Some((hexadecimal(digits)?, after)));
        let Some((value, after)) = value else {
            return Err("a % in it is not followed by two hexadecimal digits".to_owned());
        };
        let allowed = match part {
            Part::Host => !value.is_ascii() || value == b'%',
            Part::Zone => value == b'%' || value == b' ' || Part::Host.is_plain(value),
            Part::User | Part::Path | Part::Fragment => true,
        };
        if !allowed {
            return Err(format!("a host cannot hold the escape %{value:02X}"));
        }
        bytes.push(value);
        rest = after;
    }
    Ok(bytes)
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` takes a sign.
    digits
        .bytes()
        .all(|b| b.is_ascii_hexdigit())
        .then(|| u8::from_str_radix(digits, 16).ok())?
}
