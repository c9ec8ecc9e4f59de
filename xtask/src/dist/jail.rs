//! An otherwise empty root directory, which programs run in as an image without a system would have them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// The user of images that do not run as root.
const USER: u32 = 65532;

/// Makes a read-only root with a volume in it, then leaves everything else behind. A namespace of users stands in for the
/// rights of root.
const ENTER: &str = r#"
set -e
root=$1 volume=$2 user=$3; shift 3
mount --bind "$root" "$root"
mount --bind "$volume" "$root/data"
mount -o remount,ro,bind "$root"
if [ "$user" = own ]; then
    exec unshare --user --map-user=65532 --map-group=65532 --root="$root" --wd=/ -- "$@"
fi
exec chroot --userspec="$user:$user" --groups= "$root" "$@"
"#;

/// The directory, with the volume `/data` for data and programs in `/usr/local/bin`.
pub(super) struct Jail {
    folder: TempDir,
    is_root: bool,
}

impl Jail {
    pub(super) fn new() -> Result<Self> {
        let jail = Self {
            folder: tempfile::Builder::new()
                .prefix("etcd-snap-root-")
                .tempdir()?,
            is_root: rustix::process::geteuid().is_root(),
        };
        // Whoever it runs as has to pass.
        for directory in [jail.folder.path(), &jail.root()] {
            fs::create_dir_all(directory)?;
            fs::set_permissions(directory, Permissions::from_mode(0o755))?;
        }
        fs::create_dir(jail.root().join("data"))?;
        fs::create_dir(jail.volume())?;
        if jail.is_root {
            chown(jail.volume(), Some(USER), Some(USER))?;
        }
        Ok(jail)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Where `/data` is from outside.
    pub(super) fn volume(&self) -> PathBuf {
        self.folder.path().join("volume")
    }

    /// Whom it runs as, as seen from outside.
    pub(super) fn user(&self) -> u32 {
        if self.is_root {
            USER
        } else {
            rustix::process::geteuid().as_raw()
        }
    }

    /// Puts a file there, for everybody to read, and for programs to start.
    pub(super) fn put(&self, file: &Path, path: &str) -> Result<()> {
        let to = self.path(path)?;
        fs::copy(file, &to)
            .with_context(|| format!("cannot copy {} to {}", file.display(), to.display()))?;
        fs::set_permissions(to, Permissions::from_mode(0o555))?;
        Ok(())
    }

    pub(super) fn write(&self, text: &str, path: &str) -> Result<()> {
        let to = self.path(path)?;
        fs::write(&to, text)?;
        fs::set_permissions(to, Permissions::from_mode(0o444))?;
        Ok(())
    }

    pub(super) fn link(&self, to: &str, path: &str) -> Result<()> {
        symlink(to, self.path(path)?)?;
        Ok(())
    }

    fn path(&self, path: &str) -> Result<PathBuf> {
        let path = self.root().join(path.trim_start_matches('/'));
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        Ok(path)
    }

    /// A line as one types it: variables before the program, no quotes.
    pub(super) fn command(&self, line: &str) -> Command {
        let is_variable = |word: &&str| {
            let name = word.split_once('=').map(|(name, _)| name);
            name.is_some_and(|name| {
                name.bytes()
                    .all(|byte| byte == b'_' || byte.is_ascii_uppercase())
            })
        };
        let words: Vec<_> = line.split_whitespace().collect();
        let variables: Vec<_> = words.iter().copied().take_while(is_variable).collect();

        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private"]);
        if !self.is_root {
            command.args(["--user", "--map-root-user"]);
        }
        let user = if self.is_root {
            USER.to_string()
        } else {
            "own".to_owned()
        };
        command
            .args(["--", "sh", "-c", ENTER, "sh"])
            .arg(self.root())
            .arg(self.volume())
            .arg(user)
            .args(&words[variables.len()..])
            .current_dir("/")
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(variables.iter().filter_map(|word| word.split_once('=')));
        command
    }
}
