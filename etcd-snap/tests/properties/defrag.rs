//! What a defragmentation makes of random databases holds the same, and nothing else.

use std::path::PathBuf;

use etcd_snap::{DefragOptions, Severity, Snapshot, VerifyOptions, defrag, verify};
use etcd_snap_testdata::database::Image;
use proptest::prelude::*;

use crate::databases::database;

/// A data directory with this database in it.
fn data_dir(database: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("member/snap/db");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, database).unwrap();
    (folder, path)
}

proptest! {
    #![proptest_config(crate::sample(64))]

    #[test]
    fn the_content_is_the_models_and_no_page_is_free(builder in database()) {
        let source = builder.build();
        let (folder, path) = data_dir(&source);
        let report = defrag(folder.path(), &DefragOptions::default()).unwrap();
        let model = builder.model();
        let new = verify(&Snapshot::open(&path).unwrap(), &VerifyOptions::default()).unwrap();
        prop_assert!(new.worst() <= Some(Severity::Note), "{:?}", new.problems);
        prop_assert_eq!(new.contents.hash, model.status_hash());
        prop_assert_eq!(new.contents.total_records, model.total_records());
        prop_assert_eq!(new.contents.live_keys, model.live_keys());
        prop_assert_eq!(new.contents.free_pages, 0);
        prop_assert_eq!(&new.contents, &report.contents);
        prop_assert_eq!(new.size_bytes, report.size_after_bytes);
        prop_assert_eq!(new.page_size_bytes as usize, builder.page_size());
        prop_assert_eq!(report.file_before_bytes, source.len() as u64);

        // Once is enough: the second time gives the same file, but for the transaction id in its metas.
        let once = std::fs::read(&path).unwrap();
        defrag(folder.path(), &DefragOptions::default()).unwrap();
        let twice = std::fs::read(&path).unwrap();
        let metas = 2 * builder.page_size();
        prop_assert!(once[metas..] == twice[metas..]);
        let [once, twice] = [once, twice].map(|bytes| Image::new(bytes, builder.page_size()).current());
        prop_assert_eq!(once.transaction_id + 1, twice.transaction_id);
        prop_assert_eq!((once.root, once.high_water_mark), (twice.root, twice.high_water_mark));
    }
}
