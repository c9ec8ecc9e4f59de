//! Names that are decided when the snapshot is there: `etcd-{revision}.db`.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::report::Origin;
use crate::io::directory_of;
use crate::{Error, Result, Revision, utc};

/// What most filesystems allow.
const LONGEST_NAME: usize = 255;

/// A path whose file name has gaps.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    path: PathBuf,
    pieces: Vec<Piece>,
    host: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Gap(Gap),
}

/// What can be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Revision,
    Utc,
    Cluster,
    Member,
    Host,
}

/// What is known when the snapshot is there, beside whom it comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) revision: Option<Revision>,
    pub(super) at: SystemTime,
}

impl Gap {
    const ALL: [Self; 5] = [
        Self::Revision,
        Self::Utc,
        Self::Cluster,
        Self::Member,
        Self::Host,
    ];

    fn placeholder(self) -> &'static str {
        match self {
            Self::Revision => "{revision}",
            Self::Utc => "{utc}",
            Self::Cluster => "{cluster}",
            Self::Member => "{member}",
            Self::Host => "{host}",
        }
    }

    /// How long it can be once it is filled.
    fn most_bytes(self, host: Option<&str>) -> usize {
        match self {
            Self::Revision => 19,
            Self::Utc => "20261125T213719Z".len(),
            Self::Cluster | Self::Member => 16,
            Self::Host => host.map_or(0, str::len),
        }
    }
}

impl Pattern {
    /// `None` where nothing is to be filled in: the path, with its doubled braces made single.
    pub(super) fn parse(path: &Path, host: Option<String>) -> Result<(PathBuf, Option<Self>)> {
        let Some(name) = path.file_name() else {
            return Ok((path.to_owned(), None));
        };
        refuse_in_directory(path)?;
        let pieces = pieces(name.as_bytes()).map_err(|why| {
            Error::invalid(format!("the name {} {why}", path.display())).with_path(path)
        })?;
        let gaps = || pieces.iter().filter_map(Piece::gap);
        if gaps().next().is_none() {
            let name: Vec<u8> = pieces.into_iter().flat_map(Piece::into_text).collect();
            // A final slash stays: it makes a directory of the name, which is for others to refuse.
            let path = match path.as_os_str().as_bytes().ends_with(b"/") {
                true => path.to_owned(),
                false => path.with_file_name(OsString::from_vec(name)),
            };
            return Ok((path, None));
        }
        let pattern = Self {
            path: path.to_owned(),
            pieces,
            host,
        };
        pattern.check_host()?;
        let longest: usize = pattern
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.len(),
                Piece::Gap(gap) => gap.most_bytes(pattern.host.as_deref()),
            })
            .fold(0, usize::saturating_add);
        if longest > LONGEST_NAME {
            let why = format!("can grow to {longest} bytes, and {LONGEST_NAME} are allowed");
            return Err(pattern.refuse(&why));
        }
        Ok((path.to_owned(), Some(pattern)))
    }

    /// As it was given, for sentences.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name as far as it can be told before the snapshot is there: `None` where it needs that.
    ///
    /// Fails where nobody will ever be able to tell.
    pub(super) fn before_arrival(&self, origin: &Origin) -> Result<Option<PathBuf>> {
        let mut name = Vec::new();
        let mut is_known = true;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.extend_from_slice(text),
                Piece::Gap(Gap::Revision | Gap::Utc) => is_known = false,
                Piece::Gap(gap) => name.extend(self.of_origin(*gap, origin)?.into_bytes()),
            }
        }
        Ok(is_known.then(|| self.named(name)))
    }

    /// The whole name.
    pub(super) fn fill(&self, origin: &Origin, arrival: Arrival) -> Result<PathBuf> {
        let mut name = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.extend_from_slice(text),
                Piece::Gap(Gap::Revision) => {
                    let revision = arrival
                        .revision
                        .ok_or_else(|| self.nobody_knows(Gap::Revision))?;
                    name.extend(revision.to_string().into_bytes());
                }
                Piece::Gap(Gap::Utc) => name.extend(utc::compact(arrival.at).into_bytes()),
                Piece::Gap(gap) => name.extend(self.of_origin(*gap, origin)?.into_bytes()),
            }
        }
        Ok(self.named(name))
    }

    fn of_origin(&self, gap: Gap, origin: &Origin) -> Result<String> {
        let known = match gap {
            Gap::Cluster => origin.cluster_id.map(|id| id.to_string()),
            Gap::Member => origin.member_id.map(|id| id.to_string()),
            Gap::Host => self.host.clone(),
            Gap::Revision | Gap::Utc => None,
        };
        known.ok_or_else(|| self.nobody_knows(gap))
    }

    /// The host's name becomes a part of a path.
    fn check_host(&self) -> Result<()> {
        if !self.pieces.contains(&Piece::Gap(Gap::Host)) {
            return Ok(());
        }
        match self.host.as_deref() {
            None | Some("") => Err(self.nobody_knows(Gap::Host)),
            Some(host) if host.contains(['/', '\0']) => {
                Err(self.refuse(&format!("wants the host's name, and {host:?} is none")))
            }
            Some(_) => Ok(()),
        }
    }

    fn named(&self, name: Vec<u8>) -> PathBuf {
        self.path.with_file_name(OsString::from_vec(name))
    }

    fn nobody_knows(&self, gap: Gap) -> Error {
        self.refuse(&format!(
            "wants {}, which nobody here can tell",
            gap.placeholder()
        ))
    }

    pub(super) fn refuse(&self, why: &str) -> Error {
        let message = format!("the name {} {why}", self.path.display());
        Error::invalid(message).with_path(&self.path)
    }
}

impl Piece {
    fn gap(&self) -> Option<Gap> {
        match self {
            Self::Text(_) => None,
            Self::Gap(gap) => Some(*gap),
        }
    }

    fn into_text(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text,
            Self::Gap(_) => Vec::new(),
        }
    }
}

fn pieces(name: &[u8]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = Vec::new();
    let mut rest = name;
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'{', [b'{', after @ ..]) | (b'}', [b'}', after @ ..]) => {
                text.push(*first);
                rest = after;
            }
            (b'}', _) => return Err(format!("has a }} that nothing opened; {}", how())),
            (b'{', _) => {
                let end = after
                    .iter()
                    .position(|byte| matches!(byte, b'{' | b'}'))
                    .filter(|end| after.get(*end) == Some(&b'}'))
                    .ok_or_else(|| format!("has a {{ that nothing closes; {}", how()))?;
                let (inside, after) = after.split_at(end);
                let inside = format!("{{{}}}", String::from_utf8_lossy(inside));
                let gap = Gap::ALL
                    .into_iter()
                    .find(|gap| gap.placeholder() == inside)
                    .ok_or_else(|| format!("has {inside}, which nobody can fill; {}", how()))?;
                pieces.extend([Piece::Text(std::mem::take(&mut text)), Piece::Gap(gap)]);
                rest = after.get(1..).unwrap_or_default();
            }
            _ => {
                text.push(*first);
                rest = after;
            }
        }
    }
    pieces.push(Piece::Text(text));
    Ok(pieces)
}

fn how() -> String {
    let all = Gap::ALL.map(Gap::placeholder).join(", ");
    format!("{all} are filled in, and a brace that is meant as one is written twice")
}

fn refuse_in_directory(path: &Path) -> Result<()> {
    let directory = directory_of(path).as_os_str().as_bytes();
    let found = Gap::ALL.into_iter().find(|gap| {
        let wanted = gap.placeholder().as_bytes();
        directory
            .windows(wanted.len())
            .any(|window| window == wanted)
    });
    match found {
        Some(gap) => {
            let message = format!(
                "{} has {} in its directory: only the file's own name is filled in",
                path.display(),
                gap.placeholder()
            );
            Err(Error::invalid(message).with_path(path))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{ClusterId, MemberId};

    fn known() -> Origin {
        Origin {
            member_id: Some(MemberId::new(0x8e9e_05c5_2164_694d)),
            cluster_id: Some(ClusterId::new(0xab)),
            ..Origin::default()
        }
    }

    fn arrival() -> Arrival {
        Arrival {
            revision: Some(Revision::new(215)),
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_642_639_999),
        }
    }

    fn filled(path: &str) -> PathBuf {
        let (_, pattern) = Pattern::parse(Path::new(path), Some("node-1".to_owned())).unwrap();
        pattern.unwrap().fill(&known(), arrival()).unwrap()
    }

    fn refused(path: &str, host: Option<&str>) -> String {
        let parsed = Pattern::parse(Path::new(path), host.map(str::to_owned));
        parsed.unwrap_err().to_string()
    }

    #[test]
    fn every_gap_is_filled() {
        for (path, name) in [
            ("/b/{revision}.db", "/b/215.db"),
            ("{utc}.db", "20261125T213719Z.db"),
            (
                "a-{cluster}-{member}-{host}",
                "a-ab-8e9e05c52164694d-node-1",
            ),
            ("{revision}{revision}", "215215"),
            ("{{revision}}-{revision}", "{revision}-215"),
            ("{{{revision}}}", "{215}"),
            ("{x}/{revision}", "{x}/215"),
        ] {
            assert_eq!(filled(path), Path::new(name), "{path}");
        }
    }

    #[test]
    fn a_name_without_gaps_is_a_path() {
        for (path, name) in [
            ("/b/a.db", "/b/a.db"),
            ("a{{b}}.db", "a{b}.db"),
            ("a/b/", "a/b/"),
            ("", ""),
            ("..", ".."),
        ] {
            let (path, pattern) = Pattern::parse(Path::new(path), None).unwrap();
            assert!(pattern.is_none(), "{path:?}");
            assert_eq!(path.as_os_str(), name);
        }
    }

    #[test]
    fn what_cannot_be_filled_is_refused_at_once() {
        for (path, words) in [
            (
                "{date}.db",
                "{date}, which nobody can fill; {revision}, {utc}, {cluster}, {member}, {host}",
            ),
            ("{Revision}", "{Revision}"),
            ("{}", "{}"),
            ("a{.db", "a { that nothing closes"),
            ("a{revision{.db}", "a { that nothing closes"),
            ("a}.db", "a } that nothing opened"),
            ("{revision}}", "a } that nothing opened"),
            ("/b/{utc}/a.db", "{utc} in its directory"),
            ("/b/{utc}/{revision}.db", "{utc} in its directory"),
            ("{host}.db", "wants {host}, which nobody here can tell"),
        ] {
            let said = refused(path, None);
            assert!(said.contains(words), "{path}: {said}");
        }
        assert!(refused("{host}", Some("a/../b")).contains("is none"));
        assert!(refused("{host}", Some("")).contains("nobody here can tell"));
        let long = format!("{}{{revision}}", "x".repeat(240));
        assert!(refused(&long, None).contains("259 bytes"));
    }

    #[test]
    fn a_name_that_needs_no_snapshot_is_known_before() {
        let parse = |path: &str| {
            let (_, pattern) = Pattern::parse(Path::new(path), None).unwrap();
            pattern.unwrap()
        };
        let early = parse("{member}.db").before_arrival(&known()).unwrap();
        assert_eq!(early, Some("8e9e05c52164694d.db".into()));
        let late = parse("{member}-{utc}.db").before_arrival(&known()).unwrap();
        assert_eq!(late, None);
        let nobody = parse("{utc}-{cluster}").before_arrival(&Origin::default());
        assert!(nobody.unwrap_err().to_string().contains("{cluster}"));
    }
}
