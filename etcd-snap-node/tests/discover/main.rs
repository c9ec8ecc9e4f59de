//! Trees of machines, and what is found in them.

mod certificates;
mod damaged;
mod facts;
mod shells;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use etcd_snap_node::{DiscoverOptions, Node, Root, RunBy, discover};

/// Certificates of the trees are judged by this time: 2026-11-26.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_651_200)
}

fn nodes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nodes")
}

fn found_in(root: &Path) -> Result<Node> {
    let options = DiscoverOptions::default()
        .with_root(Root::new(root))
        .with_now(now());
    Ok(discover(&options)?)
}

/// Without what is this checkout's: where it lies, and whom it belongs to.
fn normalised(mut node: Node) -> Node {
    node.root = PathBuf::from("/");
    for data in node.etcds.iter_mut().filter_map(|etcd| etcd.data.as_mut()) {
        (data.uid, data.gid, data.mode) = (None, None, None);
    }
    node
}

fn trees() -> Result<Vec<(String, PathBuf)>> {
    let mut trees = Vec::new();
    for entry in fs::read_dir(nodes())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        trees.push((name, entry.path()));
    }
    trees.sort();
    Ok(trees)
}

/// Beside each tree is the description that is expected of it. ETCD_SNAP_UPDATE_GOLDEN writes them; [`facts`] holds against them what
/// people know of these machines.
#[test]
fn every_tree_gives_its_description() -> Result<()> {
    let mut differ = Vec::new();
    let trees = trees()?;
    ensure!(trees.len() > 40, "only {} trees", trees.len());
    for (name, folder) in trees {
        let node = normalised(found_in(&folder.join("root")).context(name.clone())?);
        let found = format!("{}\n", serde_json::to_string_pretty(&node)?);
        let path = folder.join("expected.json");
        if std::env::var_os("ETCD_SNAP_UPDATE_GOLDEN").is_some() {
            fs::write(&path, found)?;
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if found != expected {
            differ.push(format!("{name}: expected\n{expected}\nfound\n{found}"));
        }
    }
    ensure!(differ.is_empty(), "{}", differ.join("\n"));
    Ok(())
}

/// The samples of real machines, where they are at hand: each gives an etcd, or says why not.
#[test]
fn real_machines_are_understood_where_they_are_at_hand() -> Result<()> {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata/nodes");
    let Ok(entries) = fs::read_dir(&samples) else {
        return Ok(());
    };
    // Not trees of a node: a file of variables alone, a file that nothing names, another kind of object.
    let without = [
        "bitnami-statefulset",
        "config-file-force-new",
        "systemd-debian-patroni",
    ];
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.file_type()?.is_dir() || without.contains(&name.as_str()) {
            continue;
        }
        let node = found_in(&entry.path())?;
        ensure!(
            !node.etcds.is_empty() || !node.findings.is_empty(),
            "nothing is said of {name}"
        );
    }
    Ok(())
}

/// kubeadm without root: the data has to belong to the user of the pod.
#[test]
fn data_of_another_user_than_the_pods_is_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let manifest = "etc/kubernetes/manifests/etcd.yaml";
    let to = folder.path().join(manifest);
    fs::create_dir_all(to.parent().context("a parent")?)?;
    fs::copy(nodes().join("kubeadm-rootless/root").join(manifest), &to)?;
    let data = folder.path().join("var/lib/etcd");
    fs::create_dir_all(data.join("member"))?;
    let (uid, gid) = fs::metadata(&data).map(|it| (it.uid(), it.gid()))?;

    let differs = |user: &str| -> Result<bool> {
        let text = fs::read_to_string(&to)?;
        fs::write(&to, text.replace("994", user))?;
        let node = found_in(folder.path())?;
        let mut findings = node.etcd(None)?.findings.iter();
        let differs = findings.any(|it| it.code == "owner-differs");
        fs::write(&to, text)?;
        Ok(differs)
    };
    ensure!(differs(&(uid + 1000).to_string())?);
    ensure!(!differs(&uid.to_string())?);
    // What the container says goes before what the pod says.
    let text = fs::read_to_string(&to)?.replace(
        "      allowPrivilegeEscalation: false\n",
        &format!("      runAsUser: {}\n      runAsGroup: {gid}\n", uid + 2000),
    );
    fs::write(&to, &text)?;
    let node = found_in(folder.path())?;
    let RunBy::StaticPod {
        run_as_user,
        run_as_group,
        ..
    } = node.etcd(None)?.run_by
    else {
        anyhow::bail!("{node:#?}");
    };
    ensure!((run_as_user, run_as_group) == (Some(uid + 2000), Some(gid)));
    Ok(())
}

/// D11 and D12: what only shows with the machine around it.
#[test]
fn data_of_another_user_and_a_forgotten_reload_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let put = |path: &str, text: &str| -> Result<()> {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().context("a parent")?)?;
        Ok(fs::write(path, text)?)
    };
    put(
        "etc/systemd/system/etcd.service",
        "[Service]\nUser=store\nEnvironment=ETCD_NAME=a\nExecStart=/usr/bin/etcd --data-dir=/srv/etcd\n",
    )?;
    put(
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\nstore:x:54321:54321::/:/bin/false\n",
    )?;
    put("srv/etcd/member/snap/db", "")?;
    // It was started before the unit was edited.
    put(
        "proc/4711/cmdline",
        "/usr/bin/etcd\0--data-dir=/var/lib/etcd\0",
    )?;
    put("proc/4711/environ", "ETCD_NAME=a\0")?;
    put("proc/4711/cgroup", "0::/system.slice/etcd.service\n")?;
    put(
        "proc/4711/status",
        "Name:\tetcd\nUid:\t54321\t54321\t54321\t54321\n",
    )?;
    std::os::unix::fs::symlink("/usr/bin/etcd", folder.path().join("proc/4711/exe"))?;
    std::os::unix::fs::symlink("/", folder.path().join("proc/4711/cwd"))?;

    let node = found_in(folder.path())?;
    ensure!(node.etcds.len() == 1, "{:#?}", node.etcds);
    let etcd = node.etcd(Some("etcd"))?;
    ensure!(
        etcd.process
            .as_ref()
            .is_some_and(|process| process.pid == 4711),
        "{etcd:#?}"
    );
    let message = |code: &str| {
        let mut findings = etcd.findings.iter();
        let finding = findings.find(|finding| finding.code == code);
        finding
            .map(|finding| finding.message.clone())
            .with_context(|| format!("no {code}: {:#?}", etcd.findings))
    };
    ensure!(message("owner-differs")?.contains("as the user 54321"));
    let differs = message("configuration-not-loaded")?;
    ensure!(
        differs.contains("/srv/etcd") && differs.contains("/var/lib/etcd"),
        "{differs}"
    );
    Ok(())
}

#[test]
fn a_data_directory_on_a_disk_that_is_not_mounted_is_named() -> Result<()> {
    let unit = "etc/systemd/system/etcd.service";
    let manifest = "etc/kubernetes/manifests/etcd.yaml";
    let unit_text = "[Service]\nExecStart=/usr/bin/etcd --data-dir=/var/lib/etcd\n";
    let manifest_text = fs::read_to_string(nodes().join("kubeadm-1.35/root").join(manifest))?;
    for (file, text) in [(unit, unit_text), (manifest, manifest_text.as_str())] {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join(file);
        fs::create_dir_all(file.parent().context("a file has a folder")?)?;
        fs::write(file, text)?;
        fs::create_dir_all(folder.path().join("var/lib"))?;
        let data_dir = folder.path().join("var/lib/etcd");
        for (target, words) in [
            (
                "/mnt/ssd/etcd",
                "leads to /mnt/ssd/etcd, which is not there",
            ),
            ("/var/lib/etcd", "leads back to itself"),
        ] {
            std::os::unix::fs::symlink(target, &data_dir)?;
            let node = found_in(folder.path())?;
            let etcd = node.etcds.first().context("there is an etcd")?;
            let of_data: Vec<_> = etcd
                .findings
                .iter()
                .filter(|it| it.code.starts_with("data-dir"))
                .collect();
            ensure!(of_data.len() == 1, "{of_data:?}");
            ensure!(of_data[0].code == "data-dir-link-broken", "{of_data:?}");
            ensure!(of_data[0].message.contains(words), "{of_data:?}");
            fs::remove_file(&data_dir)?;
        }
    }
    Ok(())
}
