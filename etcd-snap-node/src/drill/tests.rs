use std::path::PathBuf;

use super::*;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/snapshots/3.6.db")
}

#[test]
fn without_an_etcd_all_that_is_offline_is_proven() {
    let folder = tempfile::tempdir().unwrap();
    let options = DrillOptions::default()
        .with_scratch(folder.path().join("is-not-needed"))
        .with_expected_key("empty")
        .with_expected_count("plain/>=100".parse().unwrap());
    let report = drill(&golden(), &options).unwrap();
    assert_eq!(report.verdict, DrillVerdict::NotBooted, "{report:?}");
    let codes: Vec<_> = report.steps.iter().map(|step| step.code.as_str()).collect();
    assert_eq!(codes, ["verify", "origin", "conditions"]);
    assert_eq!(report.conditions.len(), 2);
    assert_eq!(report.snapshot.keys, Some(226));
    assert_eq!(report.serving_ms, None);
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<DrillReport>(&json).unwrap(), report);
}

#[test]
fn a_drill_that_cannot_be_done_is_an_error() {
    let none = drill(Path::new("/no/such/backup.db"), &DrillOptions::default()).unwrap_err();
    assert_eq!(none.library().unwrap().kind(), LibraryKind::NotFound);
    for members in [0, DrillOptions::MOST_MEMBERS + 1] {
        let options = DrillOptions::default().with_members(members);
        let error = drill(&golden(), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    let report = DrillReport::not_done(Path::new("/no/such/backup.db"), &none);
    assert_eq!(report.verdict, DrillVerdict::Failed);
    assert!(report.reason.unwrap().contains("could not be done"));
}

#[test]
fn a_wish_to_stop_is_heard_at_the_next_step() {
    struct Stop;
    impl crate::Observer for Stop {
        fn event(&self, event: &Event) -> std::ops::ControlFlow<()> {
            match event {
                Event::StepStarted { number: 2, .. } => std::ops::ControlFlow::Break(()),
                _ => std::ops::ControlFlow::Continue(()),
            }
        }
    }
    let options = DrillOptions::default().with_observer(Arc::new(Stop));
    let error = drill(&golden(), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

fn member(name: &str, is_learner: bool) -> SnapshotMember {
    let json = serde_json::json!({
        "name": name, "member_id": "1", "peer_urls": [], "is_learner": is_learner,
    });
    serde_json::from_value(json).unwrap()
}

#[test]
fn members_keep_their_names_where_all_of_them_can() {
    let names = |names: &[&str], wanted| {
        let members: Vec<_> = names.iter().map(|name| member(name, false)).collect();
        member_names(&members, wanted)
    };
    assert_eq!(names(&["b", "a-1"], None), ["a-1", "b"]);
    assert_eq!(names(&["b", "b"], None), ["m1", "m2"]);
    assert_eq!(names(&["", "b"], None), ["m1", "m2"]);
    assert_eq!(names(&["../b", "a=b"], None), ["m1", "m2"]);
    assert_eq!(names(&["b", "c"], Some(1)), ["m1"]);
    assert_eq!(names(&[], None), ["m1"]);
    let with_learner = [member("a", false), member("b", true)];
    assert_eq!(member_names(&with_learner, None), ["a"]);
}
