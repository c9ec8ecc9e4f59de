//! What members answer, in each form and dialect of the original.

mod alarms;
mod endpoints;
mod json;
mod keys;
mod members;

use std::fmt::Write as _;

use etcd_snap::api::messages::ResponseHeader;

pub(super) use alarms::alarms;
pub(super) use endpoints::{Health, hashes, health, statuses};
pub(super) use keys::{got, put};
pub(super) use members::members;

use super::call::{Call, Form};
use super::dialect::Dialect;
use super::ended::Result;
use json::Object;

/// How answers look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    dialect: Dialect,
    form: Form,
    hex: bool,
}

impl Look {
    pub(super) fn of(call: &Call) -> Result<Self> {
        Ok(Self {
            dialect: call.dialect,
            form: call.form()?,
            hex: call.flags.switch("hex"),
        })
    }

    /// Whether ids in `fields` are hexadecimal.
    fn hex_ids(&self) -> bool {
        self.hex && self.dialect >= Dialect::V3_6
    }

    /// An id in `fields`.
    fn id(&self, id: u64) -> String {
        match self.hex_ids() {
            true => format!("{id:x}"),
            false => id.to_string(),
        }
    }

    /// The lines that begin every answer in `fields`.
    fn header(&self, header: Option<&ResponseHeader>) -> String {
        let none = ResponseHeader::default();
        let header = header.unwrap_or(&none);
        let mut text = format!(
            "\"ClusterID\" : {}\n\"MemberID\" : {}\n",
            self.id(header.cluster_id),
            self.id(header.member_id)
        );
        // Later ones leave it out where it says nothing.
        if header.revision > 0 || self.dialect < Dialect::V3_6 {
            let _ = writeln!(text, "\"Revision\" : {}", header.revision);
        }
        let _ = writeln!(text, "\"RaftTerm\" : {}", header.raft_term);
        text
    }
}

/// The header in JSON, where there is one.
fn header_json(header: Option<&ResponseHeader>) -> Option<String> {
    header.map(|header| {
        let mut object = Object::new();
        object
            .number("cluster_id", header.cluster_id)
            .number("member_id", header.member_id)
            .number("revision", header.revision)
            .number("raft_term", header.raft_term);
        object.end()
    })
}

/// A line for each row, with commas.
fn rows(rows: &[Vec<String>]) -> String {
    rows.iter().fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{}", row.join(", "));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn look(dialect: Dialect, form: Form, hex: bool) -> Look {
        Look { dialect, form, hex }
    }

    pub(super) fn some_header() -> ResponseHeader {
        ResponseHeader {
            cluster_id: 14_841_639_068_965_178_418,
            member_id: 10_276_657_743_932_975_437,
            revision: 0,
            raft_term: 2,
        }
    }

    #[test]
    fn a_revision_of_nothing_is_left_out_by_later_ones() {
        let header = some_header();
        assert_eq!(
            look(Dialect::V3_5, Form::Fields, true).header(Some(&header)),
            "\"ClusterID\" : 14841639068965178418\n\"MemberID\" : 10276657743932975437\n\"Revision\" : 0\n\"RaftTerm\" : 2\n"
        );
        assert_eq!(
            look(Dialect::V3_6, Form::Fields, true).header(Some(&header)),
            "\"ClusterID\" : cdf818194e3a8c32\n\"MemberID\" : 8e9e05c52164694d\n\"RaftTerm\" : 2\n"
        );
    }
}
