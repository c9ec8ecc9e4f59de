//! The members: `member list`.

use std::fmt::Write as _;

use etcd_snap::api::Answer;
use etcd_snap::api::messages::{Member, MemberListResponse};

use super::json::{Object, list, string, texts_or_null};
use super::{Look, header_json, rows};
use crate::compat::call::Form;
use crate::compat::dialect::Dialect;
use crate::compat::ended::Result;
use crate::compat::go;
use crate::compat::table::table;

const TITLES: [&str; 6] = [
    "ID",
    "Status",
    "Name",
    "Peer Addrs",
    "Client Addrs",
    "Is Learner",
];

pub(in crate::compat) fn members(
    look: Look,
    answer: &Answer<MemberListResponse>,
) -> Result<Vec<u8>> {
    let message = &answer.message;
    let cells: Vec<Vec<String>> = message.members.iter().map(cells).collect();
    Ok(match look.form {
        Form::Simple => rows(&cells).into_bytes(),
        Form::Table => table(look.dialect, &TITLES, &cells).into_bytes(),
        // The oldest one has no ears for --hex here.
        Form::Json if look.hex && look.dialect >= Dialect::V3_7 => {
            (json_hex(message) + "\n").into()
        }
        Form::Json if look.hex && look.dialect >= Dialect::V3_5 => {
            (json_by_hand(look, message) + "\n").into()
        }
        Form::Json => (json(message) + "\n").into(),
        Form::Fields => {
            let mut text = look.header(message.header.as_ref());
            for member in &message.members {
                text.push_str(&fields(look, member));
            }
            text.into_bytes()
        }
        Form::Protobuf => answer.bytes.clone(),
    })
}

fn cells(member: &Member) -> Vec<String> {
    let status = match member.name.is_empty() {
        true => "unstarted",
        false => "started",
    };
    vec![
        format!("{:x}", member.id),
        status.to_owned(),
        member.name.clone(),
        member.peer_urls.join(","),
        member.client_urls.join(","),
        member.is_learner.to_string(),
    ]
}

fn json(message: &MemberListResponse) -> String {
    let members: Vec<String> = message
        .members
        .iter()
        .map(|member| {
            let mut object = Object::new();
            object.number("ID", member.id);
            rest(&mut object, member);
            object.end()
        })
        .collect();
    let mut object = Object::new();
    object
        .object("header", header_json(message.header.as_ref()))
        .list("members", &members);
    object.end()
}

fn rest(object: &mut Object, member: &Member) {
    object
        .text("name", &member.name)
        .texts("peerURLs", &member.peer_urls)
        .texts("clientURLs", &member.client_urls)
        .flag("isLearner", member.is_learner);
}

fn json_hex(message: &MemberListResponse) -> String {
    let header = message.header.unwrap_or_default();
    let mut head = Object::new();
    head.always("cluster_id", format_args!("\"{:x}\"", header.cluster_id))
        .always("member_id", format_args!("\"{:x}\"", header.member_id))
        .number("revision", header.revision)
        .number("raft_term", header.raft_term);
    let members: Vec<String> = message
        .members
        .iter()
        .map(|member| {
            let mut object = Object::new();
            object.always("ID", format_args!("\"{:x}\"", member.id));
            rest(&mut object, member);
            object.end()
        })
        .collect();
    let mut object = Object::new();
    object
        .always("header", head.end())
        .always("members", list(&members));
    object.end()
}

/// The original puts it together by hand: a key is misspelt in 3.5, nothing is left out, and nobody is a learner.
fn json_by_hand(look: Look, message: &MemberListResponse) -> String {
    let client_urls = match look.dialect {
        Dialect::V3_5 => "clientURLS",
        _ => "clientURLs",
    };
    let header = message.header.unwrap_or_default();
    let mut head = Object::new();
    head.always("cluster_id", format_args!("\"{:x}\"", header.cluster_id))
        .always("member_id", format_args!("\"{:x}\"", header.member_id))
        .always("raft_term", header.raft_term);
    let members: Vec<String> = message
        .members
        .iter()
        .map(|member| {
            let mut object = Object::new();
            object
                .always("ID", format_args!("\"{:x}\"", member.id))
                .always("name", string(&member.name))
                .always("peerURLs", texts_or_null(&member.peer_urls))
                .always(client_urls, texts_or_null(&member.client_urls));
            object.end()
        })
        .collect();
    let mut object = Object::new();
    object
        .always("header", head.end())
        .list("members", &members);
    object.end()
}

fn fields(look: Look, member: &Member) -> String {
    let mut text = format!(
        "\"ID\" : {}\n\"Name\" : {}\n",
        look.id(member.id),
        go::quote(&member.name)
    );
    for url in &member.peer_urls {
        let _ = writeln!(text, "\"PeerURL\" : {}", go::quote(url));
    }
    for url in &member.client_urls {
        let _ = writeln!(text, "\"ClientURL\" : {}", go::quote(url));
    }
    let _ = writeln!(text, "\"IsLearner\" : {}\n", member.is_learner);
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::{look, some_header};
    use super::*;

    fn text(dialect: Dialect, form: Form, hex: bool) -> String {
        let message = MemberListResponse {
            header: Some(some_header()),
            members: vec![Member {
                id: 0x8e9e_05c5_2164_694d,
                name: String::new(),
                peer_urls: vec!["http://a:2380".to_owned()],
                client_urls: Vec::new(),
                is_learner: true,
            }],
        };
        json_of(look(dialect, form, hex), &message)
    }

    fn json_of(look: Look, message: &MemberListResponse) -> String {
        match (look.hex, look.dialect) {
            (true, Dialect::V3_7) => json_hex(message),
            (true, Dialect::V3_5 | Dialect::V3_6) => json_by_hand(look, message),
            _ => json(message),
        }
    }

    #[test]
    fn a_learner_that_has_not_started_is_written_as_each_one_does() {
        let plain = r#"{"header":{"cluster_id":14841639068965178418,"member_id":10276657743932975437,"raft_term":2},"members":[{"ID":10276657743932975437,"peerURLs":["http://a:2380"],"isLearner":true}]}"#;
        assert_eq!(text(Dialect::V3_4, Form::Json, true), plain);
        assert_eq!(text(Dialect::V3_7, Form::Json, false), plain);
        let header = r#""header":{"cluster_id":"cdf818194e3a8c32","member_id":"8e9e05c52164694d","raft_term":2}"#;
        assert_eq!(
            text(Dialect::V3_5, Form::Json, true),
            format!(
                r#"{{{header},"members":[{{"ID":"8e9e05c52164694d","name":"","peerURLs":["http://a:2380"],"clientURLS":null}}]}}"#
            )
        );
        assert_eq!(
            text(Dialect::V3_7, Form::Json, true),
            format!(
                r#"{{{header},"members":[{{"ID":"8e9e05c52164694d","peerURLs":["http://a:2380"],"isLearner":true}}]}}"#
            )
        );
    }
}
