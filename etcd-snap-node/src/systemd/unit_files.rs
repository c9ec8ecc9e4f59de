//! Which files make a unit: systemd's search path, links, masks and drop-ins.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Finding, Result, Root};

/// Where systemd looks for units of the system, in its order: the first file of a name wins whole.
const SEARCH_PATH: &[&str] = &[
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// The files of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnitFiles {
    /// Its name, like `etcd.service`.
    pub(super) unit: String,
    pub(super) fragment: Fragment,
    /// Other names of it, which links give it.
    pub(super) aliases: Vec<String>,
    /// What is applied after its file, in that order.
    pub(super) drop_ins: Vec<PathBuf>,
}

/// The file that a unit begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fragment {
    /// The file, where links lead to.
    File(PathBuf),
    /// An empty file, or a link to `/dev/null`: it is never started.
    Masked(PathBuf),
    /// There are only drop-ins.
    Absent,
}

/// All that the directories of the search path hold for services.
pub(super) struct Catalog<'a> {
    root: &'a Root,
    directories: Vec<PathBuf>,
    /// Where a name was found first.
    entries: BTreeMap<String, PathBuf>,
    /// Names that only a drop-in directory has.
    extended: BTreeSet<String>,
    /// Instances of templates that something wants.
    wanted: BTreeSet<String>,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Catalog<'a> {
    pub(super) fn new(root: &'a Root) -> Self {
        let mut directories: Vec<PathBuf> = Vec::new();
        for directory in SEARCH_PATH.iter().map(Path::new) {
            // `/lib` is mostly a link to `/usr/lib`.
            let known = directories
                .iter()
                .any(|it| root.real(it) == root.real(directory));
            if !known && root.exists(directory) {
                directories.push(directory.to_owned());
            }
        }
        let mut catalog = Self {
            root,
            directories,
            entries: BTreeMap::new(),
            extended: BTreeSet::new(),
            wanted: BTreeSet::new(),
            findings: Vec::new(),
        };
        catalog.fill();
        catalog
    }

    fn fill(&mut self) {
        for directory in self.directories.clone() {
            for name in self.names(&directory) {
                let path = directory.join(&name);
                if name.ends_with(".service") {
                    self.entries.entry(name).or_insert(path);
                } else if let Some(unit) = name.strip_suffix(".d") {
                    // What ends in a dash or an at sign, or has no name, extends many units.
                    let of_one = unit
                        .strip_suffix(".service")
                        .is_some_and(|stem| !stem.ends_with(['-', '@']) && !stem.is_empty());
                    if of_one && self.names(&path).iter().any(|name| name.ends_with(".conf")) {
                        self.extended.insert(unit.to_owned());
                    }
                } else if name.ends_with(".wants") || name.ends_with(".requires") {
                    let wanted = self
                        .names(&path)
                        .into_iter()
                        .filter(|name| name.ends_with(".service") && is_instance(name));
                    self.wanted.extend(wanted.collect::<Vec<_>>());
                }
            }
        }
    }

    fn names(&mut self, directory: &Path) -> Vec<String> {
        match self.root.names(directory) {
            Ok(names) => names
                .into_iter()
                .filter_map(|name| name.into_string().ok())
                .collect(),
            Err(error) => {
                self.findings.push(
                    Finding::warning(
                        "units-unreadable",
                        format!("{error}; units there are not known"),
                    )
                    .with_remedy("run it as root")
                    .at(directory),
                );
                Vec::new()
            }
        }
    }

    /// Every service that can run: no templates, and each once, whatever its aliases.
    pub(super) fn services(&self) -> Vec<UnitFiles> {
        let mut services: BTreeMap<String, UnitFiles> = BTreeMap::new();
        let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let names: BTreeSet<_> = self
            .entries
            .keys()
            .chain(&self.extended)
            .chain(&self.wanted)
            .collect();
        for name in names.into_iter().filter(|name| !is_template(name)) {
            match self.locate(name) {
                Located::Alias(unit) => aliases.entry(unit).or_default().push(name.clone()),
                Located::Here(fragment) => {
                    services.insert(
                        name.clone(),
                        UnitFiles {
                            unit: name.clone(),
                            fragment,
                            aliases: Vec::new(),
                            drop_ins: Vec::new(),
                        },
                    );
                }
            }
        }
        for (unit, names) in aliases {
            if let Some(service) = services.get_mut(&unit) {
                service.aliases = names;
            }
        }
        let mut services: Vec<_> = services.into_values().collect();
        for service in &mut services {
            service.drop_ins = self.drop_ins(&service.unit, &service.aliases);
        }
        services
    }

    /// Whether there is a service of this name, and it is not masked.
    pub(super) fn has(&self, unit: &str) -> bool {
        self.entries.contains_key(unit)
            && !matches!(
                self.locate(unit),
                Located::Here(Fragment::Masked(_) | Fragment::Absent)
            )
    }

    fn locate(&self, name: &str) -> Located {
        let mut name = name.to_owned();
        let mut is_alias = false;
        // Links may lead on, but not for ever.
        for _ in 0..8 {
            let found = self.entries.get(&name);
            let found =
                found.or_else(|| template(&name).and_then(|template| self.entries.get(&template)));
            let Some(entry) = found else {
                return Located::Here(Fragment::Absent);
            };
            let real = self.root.real(entry);
            if self.is_mask(&real) {
                return Located::Here(Fragment::Masked(entry.clone()));
            }
            let target = real.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let within = real.parent().is_some_and(|parent| {
                self.directories
                    .iter()
                    .any(|directory| self.root.real(directory) == *parent)
            });
            // A link to a file elsewhere keeps its own name, and so does one to the template of an instance.
            let same = target == name || template(&name).as_deref() == Some(target);
            if same || !within {
                if is_alias {
                    return Located::Alias(name);
                }
                return Located::Here(Fragment::File(real));
            }
            target.clone_into(&mut name);
            is_alias = true;
        }
        Located::Here(Fragment::Absent)
    }

    fn is_mask(&self, real: &Path) -> bool {
        real == Path::new("/dev/null")
            || fs::metadata(self.root.open_as(real)).is_ok_and(|it| it.is_file() && it.len() == 0)
    }

    /// The drop-ins of a unit: sorted by the name of the file, whichever directory it is in; of several files of one name the one of the
    /// first directory counts.
    fn drop_ins(&self, unit: &str, aliases: &[String]) -> Vec<PathBuf> {
        let mut directories = Vec::new();
        for name in std::iter::once(unit).chain(aliases.iter().map(String::as_str)) {
            for directory in &self.directories {
                for extended in extended_by(name) {
                    directories.push(directory.join(format!("{extended}.d")));
                }
            }
        }
        directories.extend(
            self.directories
                .iter()
                .map(|directory| directory.join("service.d")),
        );
        let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
        for directory in directories {
            let names: Result<Vec<_>> = self.root.names(&directory);
            for name in names.unwrap_or_default() {
                let Ok(name) = name.into_string() else {
                    continue;
                };
                let path = directory.join(&name);
                if name.ends_with(".conf") && !name.starts_with('.') && self.is_file_or_mask(&path)
                {
                    files.entry(name).or_insert(path);
                }
            }
        }
        let mut files: Vec<_> = files.into_values().collect();
        files.retain(|path| !self.is_mask(&self.root.real(path)));
        files
    }

    fn is_file_or_mask(&self, path: &Path) -> bool {
        let real = self.root.real(path);
        self.is_mask(&real) || self.root.open_as(&real).is_file()
    }
}

enum Located {
    Here(Fragment),
    /// Under another name.
    Alias(String),
}

fn is_template(unit: &str) -> bool {
    unit.contains("@.")
}

fn is_instance(unit: &str) -> bool {
    unit.contains('@') && !is_template(unit)
}

/// The template of an instance, like `etcd@.service` of `etcd@m1.service`.
fn template(unit: &str) -> Option<String> {
    let (stem, suffix) = unit.rsplit_once('.')?;
    let (prefix, instance) = stem.split_once('@')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

/// Whose drop-ins a unit takes: its own, those of its template, and those of its prefixes up to a dash, the nearest first.
fn extended_by(unit: &str) -> Vec<String> {
    let mut names = vec![unit.to_owned()];
    names.extend(template(unit));
    let Some((stem, suffix)) = unit.rsplit_once('.') else {
        return names;
    };
    let mut prefix = stem.split_once('@').map_or(stem, |(prefix, _)| prefix);
    while let Some((before, _)) = prefix.trim_end_matches('-').rsplit_once('-') {
        if before.is_empty() {
            break;
        }
        names.push(format!("{before}-.{suffix}"));
        prefix = before;
    }
    names
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[&str]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for file in files {
                tree.write(file, "[Service]\n");
            }
            tree
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn link(&self, file: &str, target: &str) {
            let path = self.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(target, path).unwrap();
        }

        fn services(&self) -> Vec<UnitFiles> {
            let root = Root::new(self.0.path());
            Catalog::new(&root).services()
        }

        fn service(&self, unit: &str) -> UnitFiles {
            let services = self.services();
            let found = services
                .iter()
                .find(|service| service.unit == unit)
                .cloned();
            found.unwrap_or_else(|| panic!("{unit} is not among {services:?}"))
        }
    }

    fn texts(paths: &[PathBuf]) -> Vec<&str> {
        paths.iter().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn the_first_directory_wins_whole() {
        let mut files = vec![
            "lib/systemd/system/etcd.service",
            "usr/lib/systemd/system/etcd.service",
            "usr/local/lib/systemd/system/etcd.service",
            "run/systemd/system/etcd.service",
            "etc/systemd/system/etcd.service",
            "etc/systemd/system.control/etcd.service",
        ];
        while let Some(expected) = files.last().copied() {
            let tree = Tree::new(&files);
            let expected = PathBuf::from("/").join(expected);
            assert_eq!(
                tree.service("etcd.service").fragment,
                Fragment::File(expected)
            );
            files.pop();
        }
    }

    #[test]
    fn lib_is_not_looked_at_twice_where_it_is_a_link() {
        let tree = Tree::new(&["usr/lib/systemd/system/etcd.service"]);
        tree.link("lib", "usr/lib");
        let expected = PathBuf::from("/usr/lib/systemd/system/etcd.service");
        assert_eq!(
            tree.service("etcd.service").fragment,
            Fragment::File(expected)
        );
    }

    #[test]
    fn a_mask_is_a_link_to_null_or_an_empty_file() {
        let tree = Tree::new(&[
            "usr/lib/systemd/system/etcd.service",
            "usr/lib/systemd/system/etcd2.service",
        ]);
        tree.link("etc/systemd/system/etcd.service", "/dev/null");
        tree.write("etc/systemd/system/etcd2.service", "");
        for unit in ["etcd.service", "etcd2.service"] {
            let expected = PathBuf::from("/etc/systemd/system").join(unit);
            assert_eq!(tree.service(unit).fragment, Fragment::Masked(expected));
        }
    }

    #[test]
    fn a_link_within_the_search_path_is_another_name() {
        let tree = Tree::new(&[
            "usr/lib/systemd/system/etcd.service",
            "etc/systemd/system/etcd2.service.d/x.conf",
        ]);
        tree.link(
            "etc/systemd/system/etcd2.service",
            "/usr/lib/systemd/system/etcd.service",
        );
        tree.link("etc/systemd/system/etcd3.service", "etcd2.service");
        let services = tree.services();
        assert_eq!(services.len(), 1, "{services:?}");
        assert_eq!(services[0].aliases, ["etcd2.service", "etcd3.service"]);
        assert_eq!(
            texts(&services[0].drop_ins),
            ["/etc/systemd/system/etcd2.service.d/x.conf"]
        );
    }

    #[test]
    fn a_link_to_a_file_elsewhere_keeps_its_name() {
        let tree = Tree::new(&["opt/etcd/member.service"]);
        tree.link(
            "etc/systemd/system/etcd.service",
            "/opt/etcd/member.service",
        );
        let expected = PathBuf::from("/opt/etcd/member.service");
        assert_eq!(
            tree.service("etcd.service").fragment,
            Fragment::File(expected)
        );
    }

    #[test]
    fn instances_are_those_that_something_wants() {
        let tree = Tree::new(&["usr/lib/systemd/system/etcd@.service"]);
        tree.link(
            "etc/systemd/system/multi-user.target.wants/etcd@m1.service",
            "/usr/lib/systemd/system/etcd@.service",
        );
        tree.write("etc/systemd/system/etcd@.service.d/a.conf", "[Service]\n");
        tree.write("etc/systemd/system/etcd@m1.service.d/b.conf", "[Service]\n");
        let services = tree.services();
        assert_eq!(services.len(), 1, "{services:?}");
        assert_eq!(services[0].unit, "etcd@m1.service");
        let expected = PathBuf::from("/usr/lib/systemd/system/etcd@.service");
        assert_eq!(services[0].fragment, Fragment::File(expected));
        assert_eq!(
            texts(&services[0].drop_ins),
            [
                "/etc/systemd/system/etcd@.service.d/a.conf",
                "/etc/systemd/system/etcd@m1.service.d/b.conf"
            ]
        );
    }

    #[test]
    fn drop_ins_are_sorted_by_their_file_name_only() {
        let tree = Tree::new(&[
            "usr/lib/systemd/system/etcd-member-a.service",
            "etc/systemd/system/etcd-member-a.service.d/30-a.conf",
            "run/systemd/system/etcd-member-a.service.d/10-b.conf",
            "usr/lib/systemd/system/etcd-member-a.service.d/20-c.conf",
            "etc/systemd/system/etcd-.service.d/15-prefix.conf",
            "etc/systemd/system/etcd-member-.service.d/16-prefix.conf",
            "etc/systemd/system/service.d/05-all.conf",
            "etc/systemd/system/etcd-member-a.service.d/40-no.conf.bak",
            "etc/systemd/system/etcd-member-a.service.d/.41-no.conf",
            "etc/systemd/system/etcd-member.service.d/42-no.conf",
        ]);
        assert_eq!(
            texts(&tree.service("etcd-member-a.service").drop_ins),
            [
                "/etc/systemd/system/service.d/05-all.conf",
                "/run/systemd/system/etcd-member-a.service.d/10-b.conf",
                "/etc/systemd/system/etcd-.service.d/15-prefix.conf",
                "/etc/systemd/system/etcd-member-.service.d/16-prefix.conf",
                "/usr/lib/systemd/system/etcd-member-a.service.d/20-c.conf",
                "/etc/systemd/system/etcd-member-a.service.d/30-a.conf",
            ]
        );
    }

    #[test]
    fn of_drop_ins_of_one_name_the_nearest_counts() {
        let tree = Tree::new(&[
            "usr/lib/systemd/system/etcd.service",
            "usr/lib/systemd/system/etcd.service.d/a.conf",
            "run/systemd/system/etcd.service.d/a.conf",
            "etc/systemd/system/service.d/a.conf",
            "usr/lib/systemd/system/etcd.service.d/b.conf",
        ]);
        tree.link("etc/systemd/system/etcd.service.d/b.conf", "/dev/null");
        assert_eq!(
            texts(&tree.service("etcd.service").drop_ins),
            ["/run/systemd/system/etcd.service.d/a.conf"]
        );
    }

    #[test]
    fn drop_ins_without_a_unit_are_found() {
        let tree = Tree::new(&["etc/systemd/system/etcd.service.d/override.conf"]);
        assert_eq!(tree.service("etcd.service").fragment, Fragment::Absent);
    }
}
