//! Trees and nestings deeper than any real one.

use etcd_snap::ProblemCode;
use etcd_snap_testdata::database::{DatabaseBuilder, Inline};

use crate::subject::{Subject, assert_sound, tall_builder};

fn small() -> DatabaseBuilder {
    (0..4).fold(
        DatabaseBuilder::new(512).lease(1, 1).lease(2, 2),
        |builder, n| builder.put(format!("key-{n}"), "value"),
    )
}

#[test]
fn a_tree_of_two_children_a_branch_is_sound() {
    assert_sound(&tall_builder().elements_per_page(2));
    assert_sound(&tall_builder().elements_per_page(2).taller(4));
}

#[test]
fn a_tree_of_thousands_of_levels_is_told_and_does_not_exhaust_the_stack() {
    for levels in [200, 5000] {
        let sound = small();
        let damaged = sound.clone().taller(levels);
        let image = Subject::with(&sound, &damaged).hiding_bucket("key");
        image.found().in_bucket(ProblemCode::Depth, "key");
    }
}

#[test]
fn a_bucket_in_a_bucket_of_etcd_is_told() {
    for bucket in ["key", "lease", "members", "meta"] {
        let sound = small();
        let key = vec![0, 0, 0, 0, 0, 0, 0, 1, b'_', 0, 0, 0, 0, 0, 0, 0, 0];
        let damaged = sound.clone().nested(bucket, key, 1);
        Subject::with(&sound, &damaged)
            .found()
            .in_bucket(ProblemCode::Bucket, bucket);
    }
}

#[test]
fn buckets_in_buckets_by_the_thousand_are_told() {
    for (inline, depth) in [
        (Inline::Never, 2000),
        (Inline::Always, 2000),
        (Inline::AsBbolt, 300),
    ] {
        let sound = small();
        let damaged = sound.clone().nested("lease", "deep", depth).inline(inline);
        let found = Subject::with(&sound, &damaged).found();
        assert!(
            found
                .0
                .problems
                .iter()
                .any(|problem| matches!(problem.code, ProblemCode::Depth | ProblemCode::Bucket))
        );
        assert!(found.0.problems.len() < 100, "{:#?}", found.0.problems);
    }
}
