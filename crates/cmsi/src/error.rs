//! Every error of this dialect, in one table: its code, its name in logs and its text. The texts of sections 3 and 5 to 8 are
//! contract to the letter (decision 3), the "pelase" included; those of ours are said so beside them.

use std::{fmt, time::Duration};

use axum::http::StatusCode;
use hongyan_core::{cap::Cap, id::Id, limits, setup::ChannelKind};
use hongyan_intake::wire::BodyError;

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
    /// Section 3, behind the API gateway: what is wrong with its header (code 1306408).
    Jwt(JwtFault),
    /// Section 3: the gateway did not verify the app or the user; its own words, if it has any.
    AppNotVerified(String),
    UserNotVerified(String),
    /// Ours (decision 13): no such app, no hook of it or another token; not told which.
    BadHook,
    /// Section 4: a service of the deployment that was asked gave no answer.
    ThirdParty {
        system: &'static str,
        interface: &'static str,
        why: String,
    },
    /// Ours (code 1306403): a request from where the app may not call.
    AddressNotAllowed,
    /// Section 3: more often than the app may call.
    TooOften {
        app: String,
        component: &'static str,
        cap: Cap,
    },
    /// Sections 6.4 and 12: the user service gave no answer, and why.
    DirectoryAway(String),
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
    /// Sections 6.4, 7 and 8: nobody could be reached by this kind of channel, nothing was sent.
    NobodyReached(ChannelKind, Why),
    /// Sections 6.4, 7 and 8: the others have it or will get it.
    SomeFailed(ChannelKind, Why),
    /// Decision 3 and section 7: nobody got it.
    AllRefused(ChannelKind, Refused),
    /// Decision 3: store busy or away.
    NotStored,
}

/// What is wrong with the header of the API gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JwtFault {
    /// The public key that is configured is none.
    Key,
    /// Not signed by the gateway, or not as it signs.
    Broken,
    /// It is over.
    Expired,
    /// It has not begun.
    Early,
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
    /// Section 7.
    WholeNumber,
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

/// What WeCom says where nobody got a message (section 7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Whom it refused. Empty where it refused something else, such as the content or the app.
    pub(crate) users: Vec<String>,
    /// Its errmsg; may be empty.
    pub(crate) errmsg: String,
}

/// A request that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) problem: Problem,
    /// What `data` says; absent: it is null.
    pub(crate) data: Option<Box<Undelivered>>,
    /// The message, where one was accepted all the same.
    pub(crate) message: Option<Id>,
}

/// Who did not get a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undelivered {
    /// `username_check.invalid`: everyone who was not delivered (decision 5).
    pub(crate) invalid: Vec<String>,
    /// What stands beside it: members as JSON, each with a comma after it.
    pub(crate) beside: String,
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::BodyTooLarge,
            BodyError::TooSlow => Self::BodyTooSlow,
            BodyError::CutOff => Self::BodyCutOff,
            BodyError::Encoded => Self::ContentEncoding,
            BodyError::NoRoom => Self::NotStored,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { problem, data: None, message: None }
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
            Self::Jwt(_) => (1_306_408, "bad_jwt"),
            Self::AppNotVerified(_) => (1_306_000, "app_not_verified"),
            Self::UserNotVerified(_) => (1_306_000, "user_not_verified"),
            Self::BadHook => (1_306_000, "bad_hook"),
            Self::ThirdParty { .. } => (1_306_201, "third_party"),
            Self::AddressNotAllowed => (1_306_403, "address_not_allowed"),
            Self::TooOften { .. } => (1_306_429, "too_often"),
            Self::DirectoryAway(_) => (1_306_000, "directory_away"),
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
            Self::NobodyReached(..) => (1_306_000, "nobody_reached"),
            Self::SomeFailed(..) => (1_306_000, "some_failed"),
            Self::AllRefused(..) => (1_306_000, "all_refused"),
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
            Self::Jwt(fault) => format!("APIGateway JWT verification failed, {}", fault.text()),
            Self::AppNotVerified(why) if why.is_empty() => {
                "verify app fail, please check if the authentication parameters are correct".to_owned()
            }
            Self::UserNotVerified(why) if why.is_empty() => {
                "Please provide a valid user identity, such as bk_username".to_owned()
            }
            Self::AppNotVerified(why) | Self::UserNotVerified(why) => why.clone(),
            Self::ThirdParty { system, interface, why } => format!(
                "Component request third-party system [{system}] interface [{interface}] error: {why}, please try again \
                 later or contact component developer to handle this"
            ),
            Self::TooOften { app, component, cap } => format!(
                "Access frequency limit, Access frequency of APP [{app}] to component [/cmsi/{component}/] exceeds the \
                 limit; the frequency limit is [{}], please try again later",
                rate(*cap)
            ),
            Self::DirectoryAway(why) => {
                format!("Failed to get users contact information based on username, {why}")
            }
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
            Self::NobodyReached(ChannelKind::Voice, why) => {
                format!("All users contact information failed to get, {why}")
            }
            Self::NobodyReached(_, why) => format!("All users message failed to be sent. {why}"),
            Self::SomeFailed(kind, why) => format!("Some users failed to send {}. {why}", noun(*kind)),
            Self::AllRefused(kind, refused) => all_refused(*kind, refused),
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
            Self::BadHook => "Hook verification failed, please confirm that the address of the hook is the APP's",
            Self::AddressNotAllowed => "APP permission is insufficient, APP may not call from this address",
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
            Self::NotStored => "The message could not be stored, please try again later",
            Self::UnknownApp(_)
            | Self::WrongSecret(_)
            | Self::Jwt(_)
            | Self::AppNotVerified(_)
            | Self::UserNotVerified(_)
            | Self::ThirdParty { .. }
            | Self::TooOften { .. }
            | Self::DirectoryAway(_)
            | Self::NoPermission(_)
            | Self::Field(..)
            | Self::BadContacts(_)
            | Self::TooManyRecipients
            | Self::TooManyAttachments
            | Self::NobodyReached(..)
            | Self::SomeFailed(..)
            | Self::AllRefused(..) => "",
        }
    }
}

impl JwtFault {
    /// In the reference's words.
    const fn text(self) -> &'static str {
        match self {
            Self::Key => "get jwt public_key fail. please contact the component developer to handle",
            Self::Broken => {
                "[X-Bkapi-JWT] decode error, please check if jwt is correct, or if its private key is correct"
            }
            Self::Expired => "[X-Bkapi-JWT] has expired",
            Self::Early => "[X-Bkapi-JWT] decode error, please contact the component developer to handle",
        }
    }
}

/// A rate as section 3 prints it: `100/m`, with the number of seconds where the span has no letter.
fn rate(cap: Cap) -> String {
    const UNITS: [(u64, &str); 4] = [(1, "s"), (60, "m"), (3_600, "h"), (86_400, "d")];
    match UNITS.into_iter().find(|(seconds, _)| Duration::from_secs(*seconds) == cap.span) {
        Some((_, unit)) => format!("{}/{unit}", cap.most),
        None => format!("{}/{}s", cap.most, cap.span.as_secs_f64()),
    }
}

/// What failures call a message of a kind.
const fn noun(kind: ChannelKind) -> &'static str {
    match kind {
        ChannelKind::Mail => "email",
        ChannelKind::Sms => "sms",
        ChannelKind::Voice => "voice",
        ChannelKind::Wecom | ChannelKind::Wechat => "wechat message",
        ChannelKind::Inbox | ChannelKind::Robot | ChannelKind::Webhook => "message",
    }
}

/// Nobody got it: the reference's own text where it has one (section 7, where only WeCom says who and why), else that of
/// decision 3.
fn all_refused(kind: ChannelKind, refused: &Refused) -> String {
    match kind {
        ChannelKind::Mail => "Failed to send mail".to_owned(),
        ChannelKind::Wecom | ChannelKind::Wechat => {
            let mut text = "WeChat message sending failed".to_owned();
            if !refused.users.is_empty() {
                text.push_str(", invalid user: ");
                text.push_str(&refused.users.join("|"));
            }
            if !refused.errmsg.is_empty() {
                text.push_str(", ");
                text.push_str(&refused.errmsg);
            }
            text
        }
        kind => format!("Failed to send {}", noun(kind)),
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
            (Self::WholeNumber, Language::English) => "Enter a whole number.",
            (Self::WholeNumber, Language::Chinese) => "输入整数。",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (seconds, text) in [(1, "5/s"), (60, "5/m"), (3_600, "5/h"), (86_400, "5/d"), (30, "5/30s")] {
            assert_eq!(rate(Cap { most: 5, span: Duration::from_secs(seconds) }), text);
        }
        assert_eq!(rate(Cap { most: 5, span: Duration::from_millis(500) }), "5/0.5s");
    }
}
