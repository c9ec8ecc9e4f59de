//! etcd's v2 store as JSON: the form in which a `.snap` file tells servers up to 3.5 who the members are (formats.md 5.6).
//!
//! What etcdutl 3.4 and 3.5 write is written, event history included: an empty history would be read as well, but these
//! bytes follow from the members alone and can be compared with a tool's. (From 3.6 on the tools add members in an
//! order that differs from run to run.)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::membership::{Member, to_go_json};
use crate::{Error, ErrorKind, MemberId, Result};

/// Where the store keeps the members.
const MEMBERS: &str = "/0/members";
/// What it keeps of each.
const RAFT_ATTRIBUTES: &str = "raftAttributes";
/// Events that the history has room for.
const HISTORY_CAPACITY: usize = 1000;
/// `v2store.Permanent`: the time of Go's zero.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The store after `members` were added to it, in this order.
pub(super) fn store(members: &[Member]) -> Result<Vec<u8>> {
    let mut children = BTreeMap::new();
    let mut history = History::new();
    for (index, member) in (1..).zip(members) {
        let path = format!("{MEMBERS}/{}", member.id);
        let attributes_path = format!("{path}/{RAFT_ATTRIBUTES}");
        let attributes = String::from_utf8(member.raft_attributes_json()?).map_err(not_written)?;
        history.add(Event::created(&attributes_path, &attributes, index));
        let file = Node::file(attributes_path, attributes, index);
        let directory = Node::directory(path, index, [(RAFT_ATTRIBUTES.to_owned(), file)]);
        children.insert(member.id.to_string(), directory);
    }
    let created = history.last_index;
    let members = Node::directory(MEMBERS.to_owned(), 1, children);
    let cluster = Node::directory("/0".to_owned(), 0, [("members".to_owned(), members)]);
    let keys = Node::directory("/1".to_owned(), 0, []);
    let root = [("0".to_owned(), cluster), ("1".to_owned(), keys)];
    to_go_json(&Store {
        root: Node::directory("/".to_owned(), 0, root),
        watcher_hub: WatcherHub {
            event_history: history,
        },
        current_index: created,
        stats: Stats {
            create_success: created,
            ..Stats::default()
        },
        current_version: 2,
    })
    .map_err(not_written)
}

/// The members that a store holds, by id. Names are not in there.
///
/// # Errors
/// [`Damaged`](ErrorKind::Damaged): it is not the JSON of a store, or a member in it is not readable.
pub(super) fn members(store: &[u8]) -> Result<BTreeMap<MemberId, RaftAttributes>> {
    let damaged = |why: &str| Error::damaged(format!("the v2 store in the .snap file {why}"));
    let store: StoredStore = serde_json::from_slice(store)
        .map_err(|e| damaged("is not the JSON that etcd writes").with_source(e))?;
    let mut found = BTreeMap::new();
    let members = store
        .root
        .child("0")
        .and_then(|cluster| cluster.child("members"));
    for (id, node) in members
        .and_then(|members| members.children.as_ref())
        .into_iter()
        .flatten()
    {
        let number = u64::from_str_radix(id, 16)
            .map_err(|e| damaged(&format!("has a member {id:?}, which is no id")).with_source(e))?;
        let attributes = node
            .child(RAFT_ATTRIBUTES)
            .ok_or_else(|| damaged(&format!("lacks the peer URLs of the member {id}")))?;
        let attributes = serde_json::from_str(&attributes.value).map_err(|e| {
            damaged(&format!("has unreadable peer URLs for the member {id}")).with_source(e)
        })?;
        found.insert(MemberId::new(number), attributes);
    }
    Ok(found)
}

/// What the v2 store keeps of a member.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct RaftAttributes {
    #[serde(rename = "peerURLs")]
    pub(crate) peer_urls: Vec<String>,
    #[serde(rename = "isLearner", default)]
    pub(crate) is_learner: bool,
}

/// Text and numbers always have a JSON form, so this is never seen; it is an error all the same, not a panic.
fn not_written(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Io, "cannot write the v2 store of the .snap file").with_source(source)
}

#[derive(Deserialize)]
struct StoredStore {
    #[serde(rename = "Root")]
    root: StoredNode,
}

#[derive(Deserialize)]
struct StoredNode {
    #[serde(rename = "Value", default)]
    value: String,
    #[serde(rename = "Children", default)]
    children: Option<BTreeMap<String, StoredNode>>,
}

impl StoredNode {
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.as_ref()?.get(name)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Store {
    root: Node,
    watcher_hub: WatcherHub,
    current_index: u64,
    stats: Stats,
    current_version: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    path: String,
    created_index: u64,
    modified_index: u64,
    expire_time: &'static str,
    value: String,
    /// `None` is a file.
    children: Option<BTreeMap<String, Node>>,
}

impl Node {
    fn file(path: String, value: String, index: u64) -> Self {
        Self {
            path,
            created_index: index,
            modified_index: index,
            expire_time: NEVER,
            value,
            children: None,
        }
    }

    fn directory(
        path: String,
        index: u64,
        children: impl IntoIterator<Item = (String, Node)>,
    ) -> Self {
        Self {
            children: Some(children.into_iter().collect()),
            ..Self::file(path, String::new(), index)
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WatcherHub {
    event_history: History,
}

/// A ring of the last events.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct History {
    queue: Queue,
    start_index: u64,
    last_index: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Queue {
    events: Vec<Option<Event>>,
    size: usize,
    front: usize,
    back: usize,
    capacity: usize,
}

impl History {
    fn new() -> Self {
        Self {
            queue: Queue {
                events: vec![None; HISTORY_CAPACITY],
                size: 0,
                front: 0,
                back: 0,
                capacity: HISTORY_CAPACITY,
            },
            start_index: 0,
            last_index: 0,
        }
    }

    /// `EventHistory.addEvent`: the oldest makes room when the ring is full.
    fn add(&mut self, event: Event) {
        let queue = &mut self.queue;
        let next = |at: usize| {
            if at < HISTORY_CAPACITY.saturating_sub(1) {
                at.saturating_add(1)
            } else {
                0
            }
        };
        self.last_index = event.node.modified_index;
        if let Some(slot) = queue.events.get_mut(queue.back) {
            *slot = Some(event);
        }
        queue.back = next(queue.back);
        if queue.size == queue.capacity {
            queue.front = next(queue.front);
        } else {
            queue.size = queue.size.saturating_add(1);
        }
        let first = queue.events.get(queue.front).and_then(Option::as_ref);
        self.start_index = first.map_or(0, |event| event.node.modified_index);
    }
}

#[derive(Clone, Serialize)]
struct Event {
    action: &'static str,
    node: EventNode,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct EventNode {
    key: String,
    value: String,
    modified_index: u64,
    created_index: u64,
}

impl Event {
    fn created(key: &str, value: &str, index: u64) -> Self {
        Self {
            action: "create",
            node: EventNode {
                key: key.to_owned(),
                value: value.to_owned(),
                modified_index: index,
                created_index: index,
            },
        }
    }
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    gets_success: u64,
    gets_fail: u64,
    sets_success: u64,
    sets_fail: u64,
    delete_success: u64,
    delete_fail: u64,
    update_success: u64,
    update_fail: u64,
    create_success: u64,
    create_fail: u64,
    compare_and_swap_success: u64,
    compare_and_swap_fail: u64,
    compare_and_delete_success: u64,
    compare_and_delete_fail: u64,
    expire_count: u64,
    watchers: u64,
}

#[cfg(test)]
mod tests {
    use super::{RaftAttributes, members, store};
    use crate::membership::Member;
    use crate::raft::samples::{one, three};
    use crate::{ErrorKind, MemberId, NewCluster};

    /// The JSON with the empty slots of the history left out.
    fn text(cluster: &NewCluster) -> String {
        let members: Vec<_> = cluster.members().iter().map(Member::from).collect();
        let text = String::from_utf8(store(&members).unwrap()).unwrap();
        assert_eq!(text.matches(",null").count(), 1000 - members.len());
        text.replace(",null", "")
    }

    #[test]
    fn one_member_gives_the_text_of_formats_md() {
        let expected = concat!(
            r#"{"Root":{"Path":"/","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":"#,
            r#"{"0":{"Path":"/0","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":"#,
            r#"{"members":{"Path":"/0/members","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":"#,
            r#"{"8e9e05c52164694d":{"Path":"/0/members/8e9e05c52164694d","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":"#,
            r#"{"raftAttributes":{"Path":"/0/members/8e9e05c52164694d/raftAttributes","CreatedIndex":1,"ModifiedIndex":1,"ExpireTime":"0001-01-01T00:00:00Z","#,
            r#""Value":"{\"peerURLs\":[\"http://localhost:2380\"]}","Children":null}}}}}}},"#,
            r#""1":{"Path":"/1","CreatedIndex":0,"ModifiedIndex":0,"ExpireTime":"0001-01-01T00:00:00Z","Value":"","Children":{}}}},"#,
            r#""WatcherHub":{"EventHistory":{"Queue":{"Events":[{"action":"create","node":{"key":"/0/members/8e9e05c52164694d/raftAttributes","#,
            r#""value":"{\"peerURLs\":[\"http://localhost:2380\"]}","modifiedIndex":1,"createdIndex":1}}],"Size":1,"Front":0,"Back":1,"Capacity":1000},"#,
            r#""StartIndex":1,"LastIndex":1}},"CurrentIndex":1,"#,
            r#""Stats":{"getsSuccess":0,"getsFail":0,"setsSuccess":0,"setsFail":0,"deleteSuccess":0,"deleteFail":0,"updateSuccess":0,"updateFail":0,"#,
            r#""createSuccess":1,"createFail":0,"compareAndSwapSuccess":0,"compareAndSwapFail":0,"compareAndDeleteSuccess":0,"compareAndDeleteFail":0,"#,
            r#""expireCount":0,"watchers":0},"CurrentVersion":2}"#,
        );
        assert_eq!(text(&one()), expected);
    }

    #[test]
    fn members_are_numbered_in_the_order_in_which_they_are_added() {
        let text = text(&three());
        for part in [
            r#""/0/members/3ebc01aec68d6d70","CreatedIndex":1,"ModifiedIndex":1,"#,
            r#""/0/members/ee274cacce804b21","CreatedIndex":2,"ModifiedIndex":2,"#,
            r#""/0/members/fe9c64eaf3991d47","CreatedIndex":3,"ModifiedIndex":3,"#,
            r#""Path":"/0/members","CreatedIndex":1,"ModifiedIndex":1,"#,
            r#""Size":3,"Front":0,"Back":3,"Capacity":1000},"StartIndex":1,"LastIndex":3}},"CurrentIndex":3,"#,
            r#""createSuccess":3,"#,
        ] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn the_ring_of_events_closes() {
        let pieces: Vec<_> = (1..=1002)
            .map(|port| format!("m{port}=http://h:{port}"))
            .collect();
        let cluster = NewCluster::parse(&pieces.join(","), "t").unwrap();
        let members: Vec<_> = cluster.members().iter().map(Member::from).collect();
        let text = String::from_utf8(store(&members).unwrap()).unwrap();
        let tail =
            r#""Size":1000,"Front":2,"Back":2,"Capacity":1000},"StartIndex":3,"LastIndex":1002}"#;
        assert!(text.contains(tail));
        assert!(!text.contains("null,null"));
    }

    #[test]
    fn members_are_read_back() {
        let learner = Member {
            id: MemberId::new(0xabc),
            peer_urls: vec!["http://a:1?<&>".to_owned()],
            is_learner: true,
            name: "not kept".to_owned(),
            client_urls: Vec::new(),
        };
        let found = members(&store(&[learner]).unwrap()).unwrap();
        let expected = RaftAttributes {
            peer_urls: vec!["http://a:1?<&>".to_owned()],
            is_learner: true,
        };
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [(MemberId::new(0xabc), expected)]
        );
    }

    #[test]
    fn what_is_not_a_store_is_damaged() {
        let member = |children: &str| {
            format!(
                r#"{{"Root":{{"Children":{{"0":{{"Children":{{"members":{{"Children":{children}}}}}}}}}}}}}"#
            )
        };
        for json in [
            String::new(),
            "{}".to_owned(),
            "[".repeat(100_000),
            r#"{"Root":{"Children":"#.repeat(10_000),
            member(r#"{"xyz":{}}"#),
            member(r#"{"1":{}}"#),
            member(r#"{"1":{"Children":{"raftAttributes":{"Value":"[]x"}}}}"#),
        ] {
            let error = members(json.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged);
        }
        assert!(members(member("{}").as_bytes()).unwrap().is_empty());
    }
}
