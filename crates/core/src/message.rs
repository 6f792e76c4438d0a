//! The nouns of a request: its priority, the dialect it came by, how far its audience has been expanded.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{id::Id, setup::AppNo, time::Timestamp};

/// How urgent a message is. Capacity is shared 70/25/5 between the three; nothing starves ([`crate::share`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// 1: may wait.
    Low,
    /// 2: the default.
    #[default]
    Middle,
    /// 3: urgent.
    High,
}

impl Priority {
    /// All three, the most urgent first.
    pub const ALL: [Self; 3] = [Self::High, Self::Middle, Self::Low];

    /// 3, 2 or 1.
    pub const fn number(self) -> u8 {
        match self {
            Self::High => 3,
            Self::Middle => 2,
            Self::Low => 1,
        }
    }

    /// The priority with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            3 => Some(Self::High),
            2 => Some(Self::Middle),
            1 => Some(Self::Low),
            _ => None,
        }
    }
}

/// The API by which a message came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// BlueKing's message components.
    Cmsi,
    /// The token API.
    Imsg,
    /// The push platform.
    Push,
    /// Our own `/v1`.
    Native,
}

impl Dialect {
    /// The stored and shown name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cmsi => "cmsi",
            Self::Imsg => "imsg",
            Self::Push => "push",
            Self::Native => "native",
        }
    }

    /// The dialect with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Cmsi, Self::Imsg, Self::Push, Self::Native].into_iter().find(|d| d.as_str() == name)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a message's audience has been expanded into deliveries (design 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// Waits for its time.
    Scheduled,
    /// Some pages are stored, more follow.
    Expanding,
    /// Every delivery is stored.
    Expanded,
}

impl MessageState {
    /// The stored and shown name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Expanding => "expanding",
            Self::Expanded => "expanded",
        }
    }

    /// The state with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Scheduled, Self::Expanding, Self::Expanded].into_iter().find(|s| s.as_str() == name)
    }
}

/// What a caller says of a message for its own ends, and from which template it was made. Every part may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Label {
    /// The caller's own number for what the message is about (`businessId`), by which its messages are found again; not unique.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub business: String,
    /// The type of the message (`msgType`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The account of who sends it (`senderCode`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sender_code: String,
    /// The name of who sends it (`senderName`).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sender_name: String,
    /// The code of the template.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub template: String,
    /// The version of the template; 0 where there is none.
    #[serde(skip_serializing_if = "is_zero")]
    pub template_version: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Label {
    /// The stored form, JSON; empty where nothing is said.
    pub fn to_text(&self) -> String {
        if *self == Self::default() { String::new() } else { serde_json::to_string(self).unwrap_or_default() }
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the text is not what [`Label::to_text`] wrote.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        if text.is_empty() { Ok(Self::default()) } else { serde_json::from_str(text) }
    }
}

/// One accepted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its identifier: msgId, and the second half of a CMSI `request_id`.
    pub id: Id,
    /// The calling system.
    pub app: AppNo,
    /// The API it came by.
    pub dialect: Dialect,
    /// The operation of that API, such as `send_mail`.
    pub operation: String,
    /// The person in whose name the app spoke; empty where the API knows none.
    pub user: String,
    /// The address from which the caller called; empty where its API does not tell it again.
    pub client: String,
    /// How urgent it is.
    pub priority: Priority,
    /// How far its audience has been expanded.
    pub state: MessageState,
    /// What the caller said of it for its own ends.
    pub label: Label,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// When what has not been delivered expires.
    pub expires: Timestamp,
}

/// A caller's `Idempotency-Key`: the same key and body of one app within 24 h is the same message (design 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The key as given.
    pub key: String,
    /// SHA-256 of what the request said: operation and body.
    pub fingerprint: [u8; 32],
}
