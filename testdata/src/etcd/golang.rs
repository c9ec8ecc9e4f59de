//! A Go toolchain that is new enough for etcd's modules, from whatever the machine has.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The oldest Go that the go.mod files accept.
const NEEDED: (u32, u32) = (1, 26);
/// The release that is fetched when the machine's Go is older.
const FETCHED: &str = "go1.26.8";
/// From this release on Go fetches a newer toolchain by itself.
const FETCHES_ITSELF: (u32, u32) = (1, 21);

const HOW_TO_GET_GO: &str = "etcd 3.5 and newer are built with Go, and there is none in PATH. Any Go will do, a newer one is \
     fetched as needed: apt-get install -y golang-go (or take Go 1.26 from https://go.dev/dl)";

/// How to call a sufficient Go.
pub(super) struct Go {
    program: PathBuf,
    toolchain: Option<&'static str>,
}

impl Go {
    /// Finds Go, or installs the distribution's when we may, and gets a newer toolchain through the module proxy when that
    /// one is too old (Debian 12 has 1.19).
    pub(super) fn find(say: &mut dyn FnMut(&str)) -> Result<Self> {
        let program = PathBuf::from("go");
        let found = match release(&program) {
            Some(found) => found,
            None => {
                install(say)?;
                release(&program).context(HOW_TO_GET_GO)?
            }
        };
        if found >= NEEDED {
            return Ok(Go {
                program,
                toolchain: None,
            });
        }
        let (major, minor) = found;
        say(&format!(
            "Go {major}.{minor} is too old for etcd's modules: fetching {FETCHED}"
        ));
        if found >= FETCHES_ITSELF {
            return Ok(Go {
                program,
                toolchain: Some(FETCHED),
            });
        }
        Ok(Go {
            program: fetch_as_module()?,
            toolchain: None,
        })
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .env_remove("GOROOT");
        if let Some(toolchain) = self.toolchain {
            command.env("GOTOOLCHAIN", toolchain);
        }
        command
    }
}

/// Major and minor of a Go, without letting it switch to another.
fn release(program: &PathBuf) -> Option<(u32, u32)> {
    let output = Command::new(program)
        .arg("version")
        .current_dir("/")
        .env("GOTOOLCHAIN", "local")
        .output()
        .ok()?;
    parse_release(&String::from_utf8_lossy(&output.stdout))
}

fn parse_release(text: &str) -> Option<(u32, u32)> {
    let release = text.split_whitespace().nth(2)?.strip_prefix("go")?;
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn install(say: &mut dyn FnMut(&str)) -> Result<()> {
    let manager = PathBuf::from("/usr/bin/apt-get");
    if !rustix::process::geteuid().is_root() || !manager.exists() {
        bail!("{HOW_TO_GET_GO}");
    }
    say("no Go in PATH: apt-get install -y golang-go");
    let run = |arguments: &[&str]| {
        Command::new(&manager)
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .output()
            .map(|o| o.status.success())
    };
    let wanted = [
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "golang-go",
    ];
    if run(&wanted)? || (run(&["update", "-qq"])? && run(&wanted)?) {
        return Ok(());
    }
    bail!("{HOW_TO_GET_GO}")
}

/// Toolchains are published as modules, so even a Go that knows nothing of them can download one. Only the executable
/// bits are missing afterwards; newer releases of Go set them in the same way.
fn fetch_as_module() -> Result<PathBuf> {
    let go = || Command::new("go");
    let value = |name: &str| -> Result<String> {
        Ok(super::stdout(go().args(["env", name]))?.trim().to_owned())
    };
    let module = format!(
        "golang.org/toolchain@v0.0.1-{FETCHED}.{}-{}",
        value("GOOS")?,
        value("GOARCH")?
    );
    super::stdout(go().args(["mod", "download", &module]).current_dir("/"))
        .context(HOW_TO_GET_GO)?;
    let toolchain = PathBuf::from(value("GOMODCACHE")?).join(&module);
    let executables = toolchain.join("bin").display().to_string()
        + " "
        + &toolchain.join("pkg/tool").display().to_string();
    let mode = "chmod -R u+rwX,a+rX,a+x ".to_owned() + &executables;
    super::stdout(Command::new("sh").args(["-c", &mode]))?;
    Ok(toolchain.join("bin/go"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_go_are_read_with_and_without_a_patch_number() {
        assert_eq!(
            parse_release("go version go1.26.8 linux/amd64\n"),
            Some((1, 26))
        );
        assert_eq!(
            parse_release("go version go1.27rc1 linux/arm64"),
            Some((1, 27))
        );
        assert_eq!(parse_release("go version devel go1.27-abc"), None);
        assert_eq!(parse_release(""), None);
    }
}
