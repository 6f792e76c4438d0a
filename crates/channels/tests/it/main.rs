//! The senders against peers: servers that misbehave on command, a real one, a foreign one, and Python's own reading of the
//! messages. What is needed and missing makes a test fail, never skip.

mod aliyun;
mod capture;
mod dkim;
mod failures;
mod fake;
mod http;
mod inbox;
mod injection;
mod judge;
mod message;
mod parcels;
mod peers;
mod pooling;
mod python;
mod sink;
mod sms;
mod sms_interop;
mod tencent;
mod tls;
mod token;
mod trial;
mod voice;
mod wechat;
mod wechat_callback;
mod wechatpy;
mod wecom;
mod wecom_apps;
mod wecom_repeats;
mod wecom_tls;
