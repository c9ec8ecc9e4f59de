//! The messages of etcd's API, as they are on the wire. Fields that a server does not know yet stay empty.

pub use crate::client::generated::etcdserverpb::alarm_request::AlarmAction;
pub use crate::client::generated::etcdserverpb::range_request::{SortOrder, SortTarget};
pub use crate::client::generated::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentResponse, DowngradeInfo,
    HashKvResponse, Member, MemberListResponse, PutRequest, PutResponse, RangeRequest,
    RangeResponse, RangeStreamResponse, ResponseHeader, StatusResponse,
};
pub use crate::client::generated::mvccpb::KeyValue;
