//! Questions on the terminal.

use std::io::{self, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Asks on standard error and reads a line from the terminal at standard input, which does not show it.
pub(crate) fn secret(question: &str) -> io::Result<String> {
    // Silence first: what is typed as soon as the question is there is neither shown nor lost.
    let silence = Silence::begin()?;
    write!(io::stderr(), "{question}")?;
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    drop(silence);
    read?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// Asks on standard error; only a yes is one.
pub(crate) fn agrees(question: &str) -> io::Result<bool> {
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes" | "Yes"))
}

/// A terminal that shows nothing but the end of the line, until this is dropped.
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
