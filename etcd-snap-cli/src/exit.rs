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
        129.. => "stopped",
        _ => "other",
    }
}
