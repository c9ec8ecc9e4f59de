//! Alarms: `alarm list` and `alarm disarm`.

use std::fmt::Write as _;

use etcd_snap::api::Answer;
use etcd_snap::api::messages::{AlarmMember, AlarmResponse, AlarmType};

use super::json::Object;
use super::{Look, header_json};
use crate::compat::call::{Form, unsupported};
use crate::compat::dialect::Dialect;
use crate::compat::ended::Result;

pub(in crate::compat) fn alarms(look: Look, answer: &Answer<AlarmResponse>) -> Result<Vec<u8>> {
    let message = &answer.message;
    Ok(match look.form {
        Form::Simple => {
            let lines = message.alarms.iter().map(|alarm| line(look, alarm));
            lines.collect::<String>().into_bytes()
        }
        Form::Json => {
            let alarms: Vec<String> = message
                .alarms
                .iter()
                .map(|alarm| {
                    let mut object = Object::new();
                    object
                        .number("memberID", alarm.member_id)
                        .number("alarm", alarm.alarm);
                    object.end()
                })
                .collect();
            let mut object = Object::new();
            object
                .object("header", header_json(message.header.as_ref()))
                .list("alarms", &alarms);
            (object.end() + "\n").into_bytes()
        }
        Form::Fields => {
            let mut text = look.header(message.header.as_ref());
            for alarm in &message.alarms {
                let (id, name) = (look.id(alarm.member_id), name(alarm.alarm));
                let _ = writeln!(text, "\"MemberID\" : {id}\n\"AlarmType\" : {name}\n");
            }
            text.into_bytes()
        }
        Form::Protobuf => answer.bytes.clone(),
        Form::Table => return Err(unsupported(look.form)),
    })
}

/// The text form of protobuf: what holds nothing is left out. A blank ends each field up to 3.6, and is between them
/// since 3.7, where each build of the library chooses one or two.
fn line(look: Look, alarm: &AlarmMember) -> String {
    let mut fields = Vec::new();
    if alarm.member_id != 0 {
        fields.push(format!("memberID:{}", alarm.member_id));
    }
    if alarm.alarm != AlarmType::None as i32 {
        fields.push(format!("alarm:{}", name(alarm.alarm)));
    }
    match look.dialect >= Dialect::V3_7 {
        true => fields.join(" ") + "\n",
        false => {
            fields
                .iter()
                .map(|field| format!("{field} "))
                .collect::<String>()
                + "\n"
        }
    }
}

fn name(alarm: i32) -> String {
    match AlarmType::try_from(alarm) {
        Ok(known) => known.as_str_name().to_owned(),
        Err(_) => alarm.to_string(),
    }
}
