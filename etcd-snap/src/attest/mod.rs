//! Does a snapshot hold what the members of its cluster hold?

#[cfg(feature = "client")]
mod living;
mod report;
mod unproven;

#[cfg(feature = "client")]
pub use living::{AttestOptions, attest, attest_blocking};
pub use report::{AttestReport, AttestVerdict, AttestedMember, CannotTell, MemberVerdict};
pub use unproven::Unproven;
