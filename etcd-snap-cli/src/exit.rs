//! The exit codes: one table, which `--help` prints and scripts rely on.

use etcd_snap::ErrorKind;

/// All went well.
pub(crate) const OK: u8 = 0;
/// What no other code is for.
pub(crate) const OTHER: u8 = 1;
/// Wrong usage: flags, values, files that flags name with the wrong content.
pub(crate) const USAGE: u8 = 2;
/// A local file or directory.
pub(crate) const FILES: u8 = 3;
/// The server cannot be reached.
pub(crate) const CONNECTION: u8 = 4;
/// The server refused.
pub(crate) const DENIED: u8 = 5;
/// The transfer began and failed.
pub(crate) const TRANSFER: u8 = 6;
/// The snapshot is damaged.
pub(crate) const DAMAGED: u8 = 7;
/// The snapshot is sound and has no digest.
pub(crate) const NO_DIGEST: u8 = 8;
/// It is no snapshot, or one of a kind that is not supported.
pub(crate) const NOT_A_SNAPSHOT: u8 = 9;
/// Something is in the way.
pub(crate) const OCCUPIED: u8 = 10;
/// The living members do not bear the snapshot out.
pub(crate) const UNPROVEN: u8 = 11;
/// A drill found something that does not hold.
pub(crate) const NOT_PROVEN_BY_DRILL: u8 = 12;
/// All that a drill could look at holds, and no server was booted.
pub(crate) const NOT_BOOTED: u8 = 13;
/// What was restored waits for more members.
pub(crate) const WAITING: u8 = 14;
/// A recovery was refused for what was found beforehand; nothing has changed.
pub(crate) const REFUSED: u8 = 15;
/// A recovery has stopped half way: it is resumed or rolled back next.
pub(crate) const HALF_WAY: u8 = 16;
/// The worst that the doctor found is a warning.
pub(crate) const WARNINGS: u8 = 17;
/// The worst that the doctor found is an error.
pub(crate) const ERRORS: u8 = 18;

/// What `--help` says of the codes.
pub(crate) const HELP: &str = "\
Exit codes:
    0  done; for verify: sound, and proven
    1  anything else
    2  wrong usage: a flag or a value
    3  a local file: missing, no access, disk full
    4  no connection to the server
    5  refused: wrong password, missing right
    6  the transfer failed
    7  the snapshot is damaged
    8  sound, but without a digest
    9  not a snapshot, or not supported
   10  the target is already there, or in use
   11  members differ, or none can tell
   12  drill: something does not hold
   13  drill: all holds, but no etcd was booted
   14  recover: waits for more members
   15  recover: refused, nothing has changed
   16  recover: half done; --resume or --rollback
   17  doctor: warnings; 18 errors
  130  stopped by SIGINT; 143 SIGTERM, 129 SIGHUP";

/// The code for a failure of the library.
pub(crate) fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidInput => USAGE,
        ErrorKind::NotFound | ErrorKind::AccessDenied | ErrorKind::NoSpace | ErrorKind::Io => FILES,
        ErrorKind::Connection => CONNECTION,
        ErrorKind::Denied => DENIED,
        ErrorKind::Stream | ErrorKind::Stalled | ErrorKind::Server => TRANSFER,
        ErrorKind::Damaged | ErrorKind::DigestMismatch => DAMAGED,
        ErrorKind::NoDigest => NO_DIGEST,
        ErrorKind::NotASnapshot | ErrorKind::Unsupported => NOT_A_SNAPSHOT,
        ErrorKind::Occupied | ErrorKind::Busy => OCCUPIED,
        ErrorKind::Unproven => UNPROVEN,
        // `Cancelled` reaches this table only if no signal was the reason.
        _ => OTHER,
    }
}

/// The code for a failure of the node's half.
pub(crate) fn code_of_node(error: &etcd_snap_node::Error) -> u8 {
    use etcd_snap_node::ErrorKind;
    if let Some(error) = error.library() {
        return code(error.kind());
    }
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::Misconfigured => USAGE,
        ErrorKind::NotFound | ErrorKind::AccessDenied | ErrorKind::NoSpace | ErrorKind::Io => FILES,
        ErrorKind::Busy => OCCUPIED,
        ErrorKind::Refused => REFUSED,
        ErrorKind::Unsupported => NOT_A_SNAPSHOT,
        ErrorKind::Unproven => UNPROVEN,
        ErrorKind::Waiting => WAITING,
        _ => OTHER,
    }
}

/// The word that stands for a code where a number says little.
pub(crate) fn name(code: u8) -> &'static str {
    match code {
        OK => "none",
        USAGE => "usage",
        FILES => "files",
        CONNECTION => "connection",
        DENIED => "denied",
        TRANSFER => "transfer",
        DAMAGED => "damaged",
        NO_DIGEST => "no-digest",
        NOT_A_SNAPSHOT => "not-a-snapshot",
        OCCUPIED => "occupied",
        UNPROVEN => "unproven",
        NOT_PROVEN_BY_DRILL => "not-proven-by-drill",
        NOT_BOOTED => "not-booted",
        WAITING => "waiting",
        REFUSED => "refused",
        HALF_WAY => "half-way",
        WARNINGS => "warnings",
        ERRORS => "errors",
        129.. => "stopped",
        _ => "other",
    }
}
