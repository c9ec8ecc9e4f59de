//! Keys that are looked up in random databases are the model's.

use std::sync::Arc;

use etcd_snap::Snapshot;
use etcd_snap::keys::{KeyQuestions, look_up};
use proptest::prelude::*;

use crate::databases::database;

proptest! {
    #![proptest_config(crate::sample(48))]

    #[test]
    fn keys_are_the_models(builder in database(), wanted in 0_usize..80) {
        let model = builder.model();
        let live = model.live();
        let snapshot = Snapshot::from_source("the file", Arc::new(builder.build())).expect("opens");

        let prefixes: [&[u8]; 5] = [b"", b"key-", b"key-1", b"long/long/", &[0xFF]];
        let names = live.keys().cloned().chain([b"nobody's".to_vec(), b"key".to_vec()]);
        let names: Vec<_> = names.collect();
        let questions = KeyQuestions::default().with_sample(wanted);
        let questions = prefixes.iter().fold(questions, |it, prefix| it.with_prefix(*prefix));
        let questions = names.iter().fold(questions, |it, name| it.with_key(name.as_slice()));
        let answers = look_up(&snapshot, &questions).expect("sound");

        prop_assert_eq!(answers.keys, live.len() as u64);
        for (prefix, count) in prefixes.iter().zip(&answers.counts) {
            let expected = live.keys().filter(|name| name.starts_with(prefix)).count();
            prop_assert_eq!(*count, expected as u64, "{:?}", prefix);
        }
        prop_assert_eq!(answers.sample.len(), wanted.min(live.len()));
        prop_assert!(answers.sample.is_sorted_by(|one, other| one.key < other.key));
        for (name, found) in names.iter().zip(&answers.found) {
            prop_assert_eq!(found.is_some(), live.contains_key(name));
        }
        for stored in answers.found.iter().flatten().chain(&answers.sample) {
            let (record, message) = live.get(&stored.key).expect("it lives");
            let revision = stored.mod_revision.get().to_be_bytes();
            prop_assert_eq!(revision.as_slice(), &record[..8]);
            let value = stored.value(&snapshot).expect("can be read");
            prop_assert_eq!(value.len() as u64, stored.value_bytes);
            let is_in = message.windows(value.len().max(1)).any(|window| window.starts_with(&value));
            prop_assert!(value.is_empty() || is_in);
        }
    }
}
