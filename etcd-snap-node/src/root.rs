//! The files of a machine: this one's, or a copy of another one's tree.
//!
//! Every path in a description is as that machine knows it. Only here does it become a path that can be opened.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use crate::{Error, Result};

/// Configuration files are small; what is larger is none.
const LARGEST_TEXT_BYTES: u64 = 4 << 20;
/// As many as Linux follows.
const MOST_LINKS: usize = 40;

/// Where the tree of the machine begins: `/`, or the directory that holds a copy of it.
///
/// Symbolic links are followed as the machine itself would: an absolute one begins at the root again, and `..` never leads above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// The machine whose files are below this directory.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Whether it is this machine itself, whose processes can be looked at and whose services can be stopped.
    #[must_use]
    pub fn is_this_machine(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where it begins.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.0
    }

    /// Where a path of the machine can be opened. What does not exist, or cannot be looked at, is taken as it is written.
    #[must_use]
    pub fn open_as(&self, path: &Path) -> PathBuf {
        self.beneath(&self.resolve(path, true))
    }

    /// The same without following a symbolic link in the last place: for what is renamed or removed.
    #[must_use]
    pub fn entry(&self, path: &Path) -> PathBuf {
        self.beneath(&self.resolve(path, false))
    }

    /// What the path leads to, as the machine knows it, without symbolic links.
    #[must_use]
    pub fn real(&self, path: &Path) -> PathBuf {
        self.resolve(path, true)
    }

    /// A small text file.
    ///
    /// # Errors
    /// `NotFound`, `AccessDenied`, `Io`; `Misconfigured` where it is no UTF-8 text or larger than 4 MiB.
    pub fn read_text(&self, path: &Path) -> Result<String> {
        let bytes = self.read(path)?;
        String::from_utf8(bytes).map_err(|_| {
            Error::new(
                crate::ErrorKind::Misconfigured,
                format!("{} is not a text in UTF-8", path.display()),
            )
            .with_path(path)
        })
    }

    /// A small file.
    ///
    /// # Errors
    /// `NotFound`, `AccessDenied`, `Io`; `Misconfigured` where it is no regular file, or larger than 4 MiB.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let failed = |e| Error::io("read", path, e);
        let odd = |what: &str| {
            Error::new(
                crate::ErrorKind::Misconfigured,
                format!("{} is {what}", path.display()),
            )
            .with_path(path)
        };
        let on_disk = self.open_as(path);
        // A pipe would be waited for.
        if !fs::metadata(&on_disk).map_err(failed)?.is_file() {
            return Err(odd("not a regular file"));
        }
        let file = fs::File::open(&on_disk).map_err(failed)?;
        let mut bytes = Vec::new();
        file.take(LARGEST_TEXT_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > LARGEST_TEXT_BYTES {
            return Err(odd("larger than 4 MiB, which no configuration is"));
        }
        Ok(bytes)
    }

    /// Whether something is there, links followed.
    #[must_use]
    pub fn exists(&self, path: &Path) -> bool {
        self.open_as(path).exists()
    }

    /// The names in a directory, sorted; none where there is no such directory.
    ///
    /// # Errors
    /// `AccessDenied`, `Io`.
    pub fn names(&self, directory: &Path) -> Result<Vec<OsString>> {
        let failed = |e| Error::io("look into", directory, e);
        let entries = match fs::read_dir(self.open_as(directory)) {
            Ok(entries) => entries,
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(Vec::new());
            }
            Err(e) => return Err(failed(e)),
        };
        let mut names = entries
            .map(|entry| Ok(entry.map_err(failed)?.file_name()))
            .collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn beneath(&self, resolved: &Path) -> PathBuf {
        match resolved.strip_prefix("/") {
            Ok(relative) => self.0.join(relative),
            Err(_) => self.0.join(resolved),
        }
    }

    /// An absolute path without `.`, `..` and links.
    fn resolve(&self, path: &Path, follow_last: bool) -> PathBuf {
        let mut left: Vec<OsString> = parts(path);
        let mut done = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            let next = done.join(&part);
            let target = match fs::read_link(self.beneath(&next)) {
                Ok(target) if links < MOST_LINKS && (follow_last || !left.is_empty()) => target,
                _ => {
                    done = next;
                    continue;
                }
            };
            links += 1;
            if target.is_absolute() {
                done = PathBuf::from("/");
            }
            left.extend(parts(&target));
        }
        done
    }
}

/// The last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let mut parts: Vec<_> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(part) => Some(part.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        })
        .collect();
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn links_stay_below_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        fs::create_dir_all(folder.path().join("data/etcd")).unwrap();
        fs::create_dir(folder.path().join("var")).unwrap();
        fs::write(folder.path().join("data/etcd/conf"), "x").unwrap();
        symlink("/data", folder.path().join("var/lib")).unwrap();
        symlink("../../../../data/etcd", folder.path().join("var/up")).unwrap();
        symlink("round", folder.path().join("round")).unwrap();

        assert_eq!(
            root.open_as(Path::new("/var/lib/etcd/conf")),
            folder.path().join("data/etcd/conf")
        );
        assert_eq!(root.real(Path::new("/var/up")), Path::new("/data/etcd"));
        assert_eq!(
            root.entry(Path::new("/var/lib")),
            folder.path().join("var/lib")
        );
        assert_eq!(
            root.read_text(Path::new("/var/lib/../data/etcd/conf"))
                .unwrap(),
            "x"
        );
        assert_eq!(
            root.open_as(Path::new("/../../etc")),
            folder.path().join("etc")
        );
        let error = root.read_text(Path::new("/round")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
        assert_eq!(
            root.names(Path::new("/none")).unwrap(),
            Vec::<OsString>::new()
        );
    }

    #[test]
    fn what_is_no_small_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        fs::write(folder.path().join("binary"), [0xff, 0xfe]).unwrap();
        fs::write(folder.path().join("large"), vec![b'a'; (4 << 20) + 1]).unwrap();
        for name in ["binary", "large", "."] {
            let error = root.read_text(&Path::new("/").join(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        }
    }
}
