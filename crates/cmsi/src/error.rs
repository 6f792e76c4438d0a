//! Every error of this dialect, in one table: its code, its name in logs and its text. The texts of sections 3 and 5 to 8 are
//! contract to the letter (decision 3), the "pelase" included; those of ours are said so beside them.

use std::fmt;

use axum::http::StatusCode;
use hongyan_core::{id::Id, limits};

use crate::language::Language;

/// What is wrong with a request, or what went wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Section 2.
    BodyTooLarge,
    /// Ours: the body did not arrive in `limits::BODY_TIME_MAX`.
    BodyTooSlow,
    /// Ours: the connection broke while the body arrived.
    BodyCutOff,
    /// Ours: we never decompress (`guides/reliability.md` S3).
    ContentEncoding,
    /// Section 2.
    BrokenJson,
    /// Ours: a multipart form that is none.
    BrokenForm,
    /// Section 3; also for a header that is JSON but no object (decision 3).
    BrokenAuthorization,
    /// Section 3.
    NoSecret,
    NoAppCode,
    UnknownApp(String),
    WrongSecret(String),
    BadSignature,
    NoNonce,
    BadNonce,
    NonceNotPositive,
    NoTimestamp,
    BadTimestamp,
    Expired,
    AccessToken,
    UnknownUserToken,
    BadToken,
    NoUser,
    /// Section 3: the component that the app may not use.
    NoPermission(&'static str),
    /// Ours (decision 3, code 1306403): a sender that is not in the app's list.
    SenderNotAllowed,
    /// Section 1.
    Inactive,
    /// Design 7.
    BadKey,
    KeyReused,
    /// Section 2: a field of a form.
    Field(Field, Fault),
    /// Sections 6 to 8.
    NoReceiver,
    NoWeixinReceiver,
    NoVoiceReceiver,
    /// Section 6.3: what cannot be an address, as given.
    BadContacts(Vec<String>),
    /// Ours: `limits::REQUEST_RECIPIENTS_MAX`.
    TooManyRecipients,
    /// Ours: `limits::ATTACHMENTS_MAX`.
    TooManyAttachments,
    /// Section 5.
    UnsupportedType,
    /// Section 6.10 and decision 3.
    Unfinished,
    /// Section 6.4: nobody could be reached, nothing was sent.
    NobodyReached(Why),
    /// Section 6.4: the others have it or will get it.
    SomeFailed(Why),
    /// Decision 3: nobody got it.
    AllRefused,
    /// Decision 3: store busy or away.
    NotStored,
}

/// A field of a form: its label and its name, as errors print them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) label: &'static str,
    pub(crate) name: &'static str,
}

impl Field {
    /// A field.
    pub(crate) const fn new(label: &'static str, name: &'static str) -> Self {
        Self { label, name }
    }

    /// What is wrong with it.
    pub(crate) const fn is(self, fault: Fault) -> Problem {
        Problem::Field(self, fault)
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Required,
    List,
    Dict,
    /// Decision 3.
    Email,
    /// Decision 3.
    Base64,
    /// Decision 8; ours.
    Control,
    /// Ours; the reference writes any text into the header (`guides/reliability.md` S1).
    Disposition,
    /// Ours.
    ContentId,
    /// Ours: more than so many characters.
    Characters(usize),
    /// Ours: more than so many bytes.
    Bytes(usize),
    /// Section 8.
    PhoneNumber,
}

/// Who did not get a message and why (section 6.4, decision 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Why {
    /// Whom the directory does not know.
    pub(crate) unknown: Vec<String>,
    /// Who has no address.
    pub(crate) no_address: Vec<String>,
    /// Whom the provider refused, or could not be reached for.
    pub(crate) refused: Vec<String>,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("The following users are not blueking users: ", &self.unknown),
            ("The following users contact format are incorrect: ", &self.no_address),
            ("The following users were refused: ", &self.refused),
        ];
        let mut separator = "";
        for (text, users) in parts.into_iter().filter(|(_, users)| !users.is_empty()) {
            write!(f, "{separator}{text}{}", users.join(","))?;
            separator = ";";
        }
        Ok(())
    }
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) problem: Problem,
    /// `data.username_check.invalid`: everyone who was not delivered (decision 5); absent: `data` is null.
    pub(crate) invalid: Option<Vec<String>>,
    /// The message, where one was accepted all the same.
    pub(crate) message: Option<Id>,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, invalid: None, message: None }
    }
}

impl Problem {
    /// The HTTP status: 200 for everything but a body that did not arrive whole (decision 2).
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::BodyTooLarge | Self::BodyTooSlow | Self::BodyCutOff => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        }
    }

    /// The code, and the name by which logs call it.
    pub(crate) const fn row(&self) -> (u32, &'static str) {
        match self {
            Self::BodyTooLarge => (1_306_406, "body_too_large"),
            Self::BodyTooSlow => (1_306_406, "body_too_slow"),
            Self::BodyCutOff => (1_306_406, "body_cut_off"),
            Self::ContentEncoding => (1_306_406, "content_encoding"),
            Self::BrokenJson => (1_306_000, "broken_json"),
            Self::BrokenForm => (1_306_406, "broken_form"),
            Self::BrokenAuthorization => (1_306_406, "broken_authorization"),
            Self::NoSecret => (1_306_000, "no_secret"),
            Self::NoAppCode => (1_306_000, "no_app_code"),
            Self::UnknownApp(_) => (1_306_000, "unknown_app"),
            Self::WrongSecret(_) => (1_306_000, "wrong_secret"),
            Self::BadSignature => (1_306_000, "bad_signature"),
            Self::NoNonce => (1_306_000, "no_nonce"),
            Self::BadNonce | Self::NonceNotPositive => (1_306_000, "bad_nonce"),
            Self::NoTimestamp => (1_306_000, "no_timestamp"),
            Self::BadTimestamp => (1_306_000, "bad_timestamp"),
            Self::Expired => (1_306_000, "expired_signature"),
            Self::AccessToken => (1_306_000, "access_token"),
            Self::UnknownUserToken => (1_306_000, "unknown_user_token"),
            Self::BadToken => (1_306_000, "bad_token"),
            Self::NoUser => (1_306_000, "no_user"),
            Self::NoPermission(_) => (1_306_403, "no_permission"),
            Self::SenderNotAllowed => (1_306_403, "sender_not_allowed"),
            Self::Inactive => (1_306_405, "inactive_channel"),
            Self::BadKey => (1_306_406, "bad_idempotency_key"),
            Self::KeyReused => (1_306_406, "idempotency_key_reused"),
            Self::Field(..) => (1_306_000, "field"),
            Self::NoReceiver | Self::NoWeixinReceiver | Self::NoVoiceReceiver => (1_306_000, "no_receiver"),
            Self::BadContacts(_) => (1_306_000, "bad_contacts"),
            Self::TooManyRecipients => (1_306_406, "too_many_recipients"),
            Self::TooManyAttachments => (1_306_406, "too_many_attachments"),
            Self::UnsupportedType => (1_306_000, "unsupported_type"),
            Self::Unfinished => (1_306_000, "unfinished"),
            Self::NobodyReached(_) => (1_306_000, "nobody_reached"),
            Self::SomeFailed(_) => (1_306_000, "some_failed"),
            Self::AllRefused => (1_306_000, "all_refused"),
            Self::NotStored => (1_306_000, "not_stored"),
        }
    }

    /// The text for the caller.
    pub(crate) fn text(&self, language: Language) -> String {
        match self {
            Self::UnknownApp(code) => {
                format!("Invalid APP Code [bk_app_code={code}], please confirm if the APP Code has been registered")
            }
            Self::WrongSecret(code) => format!(
                "APP Secret verification failed, pelase confirm if the APP Secret and APP Code [bk_app_code={code}] match"
            ),
            Self::NoPermission(component) => format!(
                "APP permission is insufficient, APP has no permission to access the component ({component}) of the system \
                 (CMSI). The APP manager can go to the Developer Center and apply for permission to access the component"
            ),
            Self::Field(field, fault) => format!("{} [{}] {}", field.label, field.name, fault.text(language)),
            Self::BadContacts(contacts) => format!(
                "User message failed to send. The following users contact format are incorrect: {}, please check",
                contacts.join(",")
            ),
            Self::TooManyRecipients => {
                format!("Parameters error, a message may have at most {} recipients", limits::REQUEST_RECIPIENTS_MAX)
            }
            Self::TooManyAttachments => {
                format!("Parameters error, a mail may have at most {} attachments", limits::ATTACHMENTS_MAX)
            }
            Self::NobodyReached(why) => format!("All users message failed to be sent. {why}"),
            Self::SomeFailed(why) => format!("Some users failed to send email. {why}"),
            fixed => fixed.fixed_text().to_owned(),
        }
    }

    /// The texts in which nothing varies.
    const fn fixed_text(&self) -> &'static str {
        match self {
            Self::BodyTooLarge => "Request body exceeds 10 MiB",
            Self::BodyTooSlow => "Request body did not arrive in time",
            Self::BodyCutOff => "Request body did not arrive whole",
            Self::ContentEncoding => {
                "Parameters error, request header Content-Encoding is not supported, please send the body uncompressed"
            }
            Self::BrokenJson => "Request JSON string is wrong in format, which cannot be analyzed.",
            Self::BrokenForm => "Parameters error, request form is wrong in format, which cannot be analyzed",
            Self::BrokenAuthorization => {
                "Parameters error, request header X-Bkapi-Authorization is not a valid JSON format string"
            }
            Self::NoSecret => {
                "Signature [bk_signature] and APP Secret [bk_app_secret] cannot be empty at the same time"
            }
            Self::NoAppCode => "APP Code [bk_app_code] cannot be empty",
            Self::BadSignature => {
                "Signature [bk_signature] verification failed, please provide valid parameters and signature"
            }
            Self::NoNonce => "Parameter bk_nonce does not exist",
            Self::BadNonce => "Parameter bk_nonce is illegal",
            Self::NonceNotPositive => "Parameter bk_nonce is illegal, it must be a positive integer",
            Self::NoTimestamp => "Parameter bk_timestamp does not exist",
            Self::BadTimestamp => "Parameter bk_timestamp is illegal, due to non-time format",
            Self::Expired => "Parameter bk_timestamp is illegal, because it has expired",
            Self::AccessToken => "verify access_token failed, please check if the access_token is valid",
            Self::UnknownUserToken => "The specified user TOKEN [bk_access_token] does not exist",
            Self::BadToken => "User authentication failed, please check if the bk_token is valid",
            Self::NoUser => {
                "User authentication failed, please provide a valid user identity, such as bk_token, bk_username"
            }
            Self::SenderNotAllowed => "APP permission is insufficient, APP may not send mail from this sender",
            Self::Inactive => "Not found, inactive channel",
            Self::BadKey => {
                "Parameters error, request header Idempotency-Key must be 1 to 255 visible ASCII characters"
            }
            Self::KeyReused => "Parameters error, request header Idempotency-Key was used before with another request",
            Self::NoReceiver => "Receiver [receiver, receiver__username] shall not be empty at the same time",
            Self::NoWeixinReceiver => {
                "WeChat receiver [receiver, receiver__username] shall not be empty at the same time"
            }
            Self::NoVoiceReceiver => {
                "The parameters [user_list_information and receiver__username] shall not be empty at the same time"
            }
            Self::UnsupportedType => "Unsupported type of msg type",
            Self::Unfinished => "Unfinished interface shall be improved by the component developer",
            Self::AllRefused => "Failed to send mail",
            Self::NotStored => "The message could not be stored, please try again later",
            Self::UnknownApp(_)
            | Self::WrongSecret(_)
            | Self::NoPermission(_)
            | Self::Field(..)
            | Self::BadContacts(_)
            | Self::TooManyRecipients
            | Self::TooManyAttachments
            | Self::NobodyReached(_)
            | Self::SomeFailed(_) => "",
        }
    }
}

impl Fault {
    /// Django's own texts follow the caller's language, all others are English (section 2).
    fn text(self, language: Language) -> String {
        let fixed = match (self, language) {
            (Self::Required, Language::English) => "This field is required.",
            (Self::Required, Language::Chinese) => "这个字段是必填项。",
            (Self::Email, Language::English) => "Enter a valid email address.",
            (Self::Email, Language::Chinese) => "输入一个有效的 Email 地址。",
            (Self::List, _) => "Must be the specified parameter data type list",
            (Self::Dict, _) => "Must be the specified parameter data type dict",
            (Self::Base64, _) => "Must be base64",
            (Self::Control, _) => "Must not contain control characters",
            (Self::Disposition, _) => "Must be inline or attachment",
            (Self::ContentId, _) => "Must be a Content-ID",
            (Self::Characters(most), _) => return format!("Must not be longer than {most} characters"),
            (Self::Bytes(most), _) => return format!("Must not be longer than {most} bytes"),
            (Self::PhoneNumber, _) => "of the person notified must be a number",
        };
        fixed.to_owned()
    }
}
