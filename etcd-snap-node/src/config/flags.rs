//! The flags of etcd 3.4 to 3.7: which there are, what they take, which version knows them.

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any word.
    Text,
    /// A word with commas; in the file, a list.
    List,
    /// Nothing, or `=` and a boolean: the next word is not its value.
    Switch,
    Unsigned,
    Signed,
    /// As Go writes them, like `1m30s`; in the file, a number of nanoseconds.
    Duration,
    /// URLs with commas between them.
    Urls,
    /// Of etcd 0.4: taken like a [`Switch`](Kind::Switch), and not looked at.
    Ignored,
}

/// A flag of etcd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag {
    /// Without dashes.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// The first and the last minor version of etcd 3 that knows it. The first one is 4 for those that are older, the last one
    /// [`NEWEST`] for those that are still there.
    pub(crate) since: u32,
    pub(crate) until: u32,
}

/// The newest minor version of etcd 3 that the table knows.
pub(crate) const NEWEST: u32 = 7;

/// The flag of this name.
pub(crate) fn flag(name: &str) -> Option<Flag> {
    let found = FLAGS.binary_search_by(|(it, ..)| (*it).cmp(name)).ok()?;
    let &(name, kind, since, until) = FLAGS.get(found)?;
    Some(Flag {
        name,
        kind,
        since,
        until,
    })
}

/// The flag that this variable stands for.
pub(crate) fn flag_of_variable(variable: &str) -> Option<Flag> {
    let name = variable.strip_prefix("ETCD_")?;
    // Names of variables are upper case throughout; `test.coverprofile` is no name of one.
    if name.contains(|c: char| c.is_ascii_lowercase() || c == '-') {
        return None;
    }
    flag(&name.to_ascii_lowercase().replace('_', "-"))
}

/// What etcd 3.6 calls a flag that was experimental before, where it has not become a feature gate.
pub(crate) fn no_longer_experimental(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("experimental-")?;
    flag(name)
        .filter(|flag| flag.since == 6 && flag.name != "feature-gates")
        .map(|flag| flag.name)
}

use Kind::{Duration, Ignored, List, Signed, Switch, Text, Unsigned, Urls};

/// Sorted by name. Asked of servers of 3.4, 3.5, 3.6 and 3.7, which refuse a flag that they do not know;
/// `listen-client-http-urls` came with a late patch release of 3.4.
const FLAGS: &[(&str, Kind, u32, u32)] = &[
    ("advertise-client-urls", Urls, 4, 7),
    ("auth-token", Text, 4, 7),
    ("auth-token-ttl", Unsigned, 4, 7),
    ("auto-compaction-mode", Text, 4, 7),
    ("auto-compaction-retention", Text, 4, 7),
    ("auto-tls", Switch, 4, 7),
    ("backend-batch-interval", Duration, 4, 7),
    ("backend-batch-limit", Signed, 4, 7),
    ("backend-bbolt-freelist-type", Text, 5, 7),
    ("bcrypt-cost", Unsigned, 4, 7),
    ("bootstrap-defrag-threshold-megabytes", Unsigned, 6, 7),
    ("cert-file", Text, 4, 7),
    ("cipher-suites", List, 4, 7),
    ("client-cert-allowed-hostname", Text, 4, 7),
    ("client-cert-auth", Switch, 4, 7),
    ("client-cert-file", Text, 5, 7),
    ("client-crl-file", Text, 4, 7),
    ("client-key-file", Text, 5, 7),
    ("cluster-active-size", Ignored, 4, 7),
    ("cluster-remove-delay", Ignored, 4, 7),
    ("cluster-sync-interval", Ignored, 4, 7),
    ("compact-hash-check-time", Duration, 6, 7),
    ("compaction-batch-limit", Signed, 6, 7),
    ("compaction-sleep-interval", Duration, 6, 7),
    ("config", Ignored, 4, 7),
    ("config-file", Text, 4, 7),
    ("corrupt-check-time", Duration, 6, 7),
    ("cors", Text, 4, 7),
    ("data-dir", Text, 4, 7),
    ("debug", Switch, 4, 4),
    ("discovery", Text, 4, 6),
    ("discovery-cacert", Text, 6, 7),
    ("discovery-cert", Text, 6, 7),
    ("discovery-dial-timeout", Duration, 6, 7),
    ("discovery-endpoints", Text, 6, 7),
    ("discovery-fallback", Text, 4, 7),
    ("discovery-insecure-skip-tls-verify", Switch, 6, 7),
    ("discovery-insecure-transport", Switch, 6, 7),
    ("discovery-keepalive-time", Duration, 6, 7),
    ("discovery-keepalive-timeout", Duration, 6, 7),
    ("discovery-key", Text, 6, 7),
    ("discovery-password", Text, 6, 7),
    ("discovery-proxy", Text, 4, 6),
    ("discovery-request-timeout", Duration, 6, 7),
    ("discovery-srv", Text, 4, 7),
    ("discovery-srv-name", Text, 4, 7),
    ("discovery-token", Text, 6, 7),
    ("discovery-user", Text, 6, 7),
    ("distributed-tracing-address", Text, 6, 7),
    ("distributed-tracing-instance-id", Text, 6, 7),
    ("distributed-tracing-sampling-rate", Signed, 6, 7),
    ("distributed-tracing-service-name", Text, 6, 7),
    ("downgrade-check-time", Duration, 6, 7),
    ("election-timeout", Unsigned, 4, 7),
    ("enable-distributed-tracing", Switch, 6, 7),
    ("enable-grpc-gateway", Switch, 4, 7),
    ("enable-log-rotation", Switch, 5, 7),
    ("enable-pprof", Switch, 4, 7),
    ("enable-v2", Switch, 4, 5),
    ("experimental-backend-bbolt-freelist-type", Text, 4, 4),
    (
        "experimental-bootstrap-defrag-threshold-megabytes",
        Unsigned,
        5,
        6,
    ),
    ("experimental-compact-hash-check-enabled", Switch, 5, 6),
    ("experimental-compact-hash-check-time", Duration, 5, 6),
    ("experimental-compaction-batch-limit", Signed, 4, 6),
    ("experimental-compaction-sleep-interval", Duration, 5, 6),
    ("experimental-corrupt-check-time", Duration, 4, 6),
    ("experimental-distributed-tracing-address", Text, 5, 6),
    ("experimental-distributed-tracing-instance-id", Text, 5, 6),
    (
        "experimental-distributed-tracing-sampling-rate",
        Signed,
        5,
        6,
    ),
    ("experimental-distributed-tracing-service-name", Text, 5, 6),
    ("experimental-downgrade-check-time", Duration, 5, 6),
    ("experimental-enable-distributed-tracing", Switch, 5, 6),
    ("experimental-enable-lease-checkpoint", Switch, 4, 6),
    ("experimental-enable-lease-checkpoint-persist", Switch, 4, 6),
    ("experimental-enable-v2v3", Text, 4, 5),
    ("experimental-initial-corrupt-check", Switch, 4, 6),
    ("experimental-memory-mlock", Switch, 5, 6),
    (
        "experimental-peer-skip-client-san-verification",
        Switch,
        4,
        6,
    ),
    ("experimental-snapshot-catchup-entries", Unsigned, 5, 6),
    ("experimental-stop-grpc-service-on-defrag", Switch, 5, 6),
    (
        "experimental-txn-mode-write-with-shared-buffer",
        Switch,
        5,
        6,
    ),
    ("experimental-warning-apply-duration", Duration, 4, 6),
    (
        "experimental-warning-unary-request-duration",
        Duration,
        6,
        6,
    ),
    (
        "experimental-watch-progress-notify-interval",
        Duration,
        4,
        6,
    ),
    ("feature-gates", Text, 6, 7),
    ("force", Ignored, 4, 7),
    ("force-new-cluster", Switch, 4, 7),
    ("grpc-keepalive-interval", Duration, 4, 7),
    ("grpc-keepalive-min-time", Duration, 4, 7),
    ("grpc-keepalive-timeout", Duration, 4, 7),
    ("heartbeat-interval", Unsigned, 4, 7),
    ("host-whitelist", Text, 4, 7),
    ("initial-advertise-peer-urls", Urls, 4, 7),
    ("initial-cluster", Text, 4, 7),
    ("initial-cluster-state", Text, 4, 7),
    ("initial-cluster-token", Text, 4, 7),
    ("initial-election-tick-advance", Switch, 4, 7),
    ("key-file", Text, 4, 7),
    ("listen-client-http-urls", Urls, 4, 7),
    ("listen-client-urls", Urls, 4, 7),
    ("listen-metrics-urls", Urls, 4, 7),
    ("listen-peer-urls", Urls, 4, 7),
    ("log-format", Text, 6, 7),
    ("log-level", Text, 4, 7),
    ("log-outputs", List, 4, 7),
    ("log-package-levels", Text, 4, 4),
    ("log-rotation-config-json", Text, 5, 7),
    ("logger", Text, 4, 7),
    ("max-concurrent-streams", Unsigned, 4, 7),
    ("max-learners", Signed, 6, 7),
    ("max-request-bytes", Unsigned, 4, 7),
    ("max-result-buffer", Ignored, 4, 7),
    ("max-retry-attempts", Ignored, 4, 7),
    ("max-snapshots", Unsigned, 4, 7),
    ("max-txn-ops", Unsigned, 4, 7),
    ("max-wals", Unsigned, 4, 7),
    ("memory-mlock", Switch, 6, 7),
    ("metrics", Text, 4, 7),
    ("name", Text, 4, 7),
    ("peer-auto-tls", Switch, 4, 7),
    ("peer-cert-allowed-cn", Text, 4, 7),
    ("peer-cert-allowed-hostname", Text, 4, 7),
    ("peer-cert-file", Text, 4, 7),
    ("peer-client-cert-auth", Switch, 4, 7),
    ("peer-client-cert-file", Text, 5, 7),
    ("peer-client-key-file", Text, 5, 7),
    ("peer-crl-file", Text, 4, 7),
    ("peer-election-timeout", Ignored, 4, 7),
    ("peer-heartbeat-interval", Ignored, 4, 7),
    ("peer-key-file", Text, 4, 7),
    ("peer-skip-client-san-verification", Switch, 6, 7),
    ("peer-trusted-ca-file", Text, 4, 7),
    ("pre-vote", Switch, 4, 7),
    ("proxy", Text, 4, 5),
    ("proxy-dial-timeout", Unsigned, 4, 5),
    ("proxy-failure-wait", Unsigned, 4, 5),
    ("proxy-read-timeout", Unsigned, 4, 5),
    ("proxy-refresh-interval", Unsigned, 4, 5),
    ("proxy-write-timeout", Unsigned, 4, 5),
    ("quota-backend-bytes", Signed, 4, 7),
    ("raft-read-timeout", Duration, 5, 7),
    ("raft-write-timeout", Duration, 5, 7),
    ("retry-interval", Ignored, 4, 7),
    ("self-signed-cert-validity", Unsigned, 5, 7),
    ("snapshot", Ignored, 4, 7),
    ("snapshot-catchup-entries", Unsigned, 6, 7),
    ("snapshot-count", Unsigned, 4, 7),
    ("socket-reuse-address", Switch, 5, 7),
    ("socket-reuse-port", Switch, 5, 7),
    ("strict-reconfig-check", Switch, 4, 7),
    ("test.coverprofile", Ignored, 4, 7),
    ("test.outputdir", Ignored, 4, 7),
    ("tls-max-version", Text, 5, 7),
    ("tls-min-version", Text, 5, 7),
    ("trusted-ca-file", Text, 4, 7),
    ("unsafe-no-fsync", Switch, 4, 7),
    ("v", Ignored, 4, 7),
    ("v2-deprecation", Text, 5, 7),
    ("version", Switch, 4, 7),
    ("vv", Ignored, 4, 7),
    ("wal-dir", Text, 4, 7),
    ("warning-apply-duration", Duration, 6, 7),
    ("warning-unary-request-duration", Duration, 6, 7),
    ("watch-progress-notify-interval", Duration, 6, 7),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(FLAGS.is_sorted_by(|(a, ..), (b, ..)| a < b));
        for (name, _, since, until) in FLAGS {
            assert!(4 <= *since && since <= until && *until <= NEWEST, "{name}");
        }
    }

    #[test]
    fn variables_lead_to_their_flags() {
        for (variable, expected) in [
            ("ETCD_DATA_DIR", Some("data-dir")),
            ("ETCD_LISTEN_CLIENT_URLS", Some("listen-client-urls")),
            ("ETCD_data_dir", None),
            ("ETCD_DATA-DIR", None),
            ("ETCDCTL_CACERT", None),
            ("DATA_DIR", None),
        ] {
            assert_eq!(flag_of_variable(variable).map(|it| it.name), expected);
        }
    }

    #[test]
    fn versions_know_their_own_flags() {
        for (name, since, until) in [
            ("debug", 4, 4),
            ("enable-v2", 4, 5),
            ("proxy", 4, 5),
            ("experimental-initial-corrupt-check", 4, 6),
            ("discovery", 4, 6),
            ("feature-gates", 6, 7),
            ("listen-client-http-urls", 4, 7),
            ("data-dir", 4, 7),
        ] {
            let flag = flag(name).unwrap();
            assert_eq!((flag.since, flag.until), (since, until), "{name}");
        }
        assert_eq!(flag("datadir"), None);
        assert_eq!(
            no_longer_experimental("experimental-memory-mlock"),
            Some("memory-mlock")
        );
        assert_eq!(
            no_longer_experimental("experimental-initial-corrupt-check"),
            None
        );
    }
}
