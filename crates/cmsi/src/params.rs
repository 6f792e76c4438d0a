//! Section 2: where a request's parameters come from. Only the names that some component reads are kept; everything else is
//! ignored, as the reference does, but checked for depth and size like the rest.

use std::{borrow::Cow, cell::Cell, fmt};

use axum::http::{Method, header::CONTENT_TYPE};
use hongyan_core::limits;
use hongyan_intake::wire::{Json, ValueSeed};
use http_body_util::{BodyExt, Full};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::{call::Call, error::Problem};

macro_rules! names {
    ($($name:ident = $text:literal,)*) => {
        /// A parameter that some component or the authentication reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Name { $($name),* }

        impl Name {
            const COUNT: usize = [$($text),*].len();

            fn of(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

names! {
    BkAppCode = "bk_app_code",
    BkAppSecret = "bk_app_secret",
    AppCode = "app_code",
    AppSecret = "app_secret",
    BkToken = "bk_token",
    BkUsername = "bk_username",
    Username = "username",
    AccessToken = "access_token",
    BkAccessToken = "bk_access_token",
    MsgType = "msg_type",
    Sender = "sender",
    Receiver = "receiver",
    ReceiverUsername = "receiver__username",
    Cc = "cc",
    CcUsername = "cc__username",
    Title = "title",
    Content = "content",
    IsContentBase64 = "is_content_base64",
    BodyFormat = "body_format",
    Attachments = "attachments",
    Data = "data",
    AutoReadMessage = "auto_read_message",
    UserListInformation = "user_list_information",
    Date = "date",
    Remark = "remark",
    Url = "url",
    WxQyAgentid = "wx_qy_agentid",
    WxQyCorpsecret = "wx_qy_corpsecret",
}

/// The parameters of a request, or the members of its authorization header.
#[derive(Clone, Debug)]
pub(crate) struct Params<'a>([Json<'a>; Name::COUNT]);

impl Default for Params<'_> {
    fn default() -> Self {
        Self([const { Json::Null }; Name::COUNT])
    }
}

impl<'a> Params<'a> {
    /// The value under `name`; null where there is none.
    pub(crate) const fn get(&self, name: Name) -> &Json<'a> {
        &self.0[name as usize]
    }

    /// The value under `name`, to be changed.
    pub(crate) const fn get_mut(&mut self, name: Name) -> &mut Json<'a> {
        &mut self.0[name as usize]
    }

    /// Keeps a value; the last one of a name wins.
    fn set(&mut self, name: Name, value: Json<'a>) {
        self.0[name as usize] = value;
    }

    /// The members of a JSON object; anything else is an error.
    pub(crate) fn from_json(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        let mut source = serde_json::Deserializer::from_slice(text);
        let params = source.deserialize_map(ParamsVisitor)?;
        source.end()?;
        Ok(params)
    }

    /// The fields of a query or an urlencoded form.
    fn from_form(text: &'a [u8]) -> Self {
        let mut params = Self::default();
        for (name, value) in form_urlencoded::parse(text) {
            if let Some(name) = Name::of(&name) {
                params.set(name, Json::Text(value));
            }
        }
        params
    }
}

/// The parameters of a request: GET has them in the query; otherwise a body that begins with `{` is JSON whatever its type
/// says, and else a form. Anything else has none.
pub(crate) async fn read<'a>(call: &Call<'a>) -> Result<Params<'a>, Problem> {
    if call.parts.method == Method::GET {
        return Ok(Params::from_form(call.parts.uri.query().unwrap_or("").as_bytes()));
    }
    if call.body.iter().find(|byte| !is_space(**byte)) == Some(&b'{') {
        return Params::from_json(call.body).map_err(|_| Problem::BrokenJson);
    }
    let kind = call.parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = kind.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(Params::from_form(call.body))
    } else if essence.eq_ignore_ascii_case("multipart/form-data") {
        multipart(kind, call).await
    } else {
        Ok(Params::default())
    }
}

/// What Python's `bytes.strip` removes.
const fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// The fields of a multipart form; files are no parameters.
async fn multipart<'a>(kind: &str, call: &Call<'a>) -> Result<Params<'a>, Problem> {
    let boundary = multer::parse_boundary(kind).map_err(|_| Problem::BrokenForm)?;
    let mut form = multer::Multipart::new(Full::new(call.body.clone()).into_data_stream(), boundary);
    let mut params = Params::default();
    let mut room = limits::JSON_VALUES_MAX;
    while let Some(field) = form.next_field().await.map_err(|_| Problem::BrokenForm)? {
        room = room.checked_sub(1).ok_or(Problem::BrokenForm)?;
        let name = field.name().filter(|_| field.file_name().is_none()).and_then(Name::of);
        let bytes = field.bytes().await.map_err(|_| Problem::BrokenForm)?;
        if let Some(name) = name {
            params.set(name, Json::Text(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())));
        }
    }
    Ok(params)
}

struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Params<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Self::Value, A::Error> {
        let mut params = Params::default();
        let room = Cell::new(limits::JSON_VALUES_MAX);
        while let Some(name) = source.next_key_seed(NameSeed)? {
            let value = source.next_value_seed(ValueSeed::member(&room, name.is_some()))?;
            if let Some(name) = name {
                params.set(name, value);
            }
        }
        Ok(params)
    }
}

/// Reads a key of the outermost object and says whether anybody wants its value.
struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Option<Name>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Option<Name>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Name::of(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(body: &str) -> Option<Json<'_>> {
        Params::from_json(body.as_bytes()).ok().map(|params| params.get(Name::Title).clone())
    }

    #[test]
    fn the_last_of_equal_names_wins_and_unknown_names_are_checked_but_not_kept() {
        assert_eq!(title(r#"{"title": "a", "x": [{"y": 1}], "title": "b"}"#), Some(Json::Text("b".into())));
        assert_eq!(title(r#"{"title": "a", "title": null}"#), Some(Json::Null));
        assert_eq!(title("{}"), Some(Json::Null));
        let deep = "[".repeat(limits::JSON_DEPTH_MAX);
        for broken in
            ["[]", "", "{broken", "{} x", r#"{"x": 1,}"#, r#"{"title": "\ud800"}"#, &format!("{{\"x\": {deep}")]
        {
            assert_eq!(title(broken), None, "{broken}");
        }
        assert!(Params::from_json(b"{\"title\": \"\xff\"}").is_err(), "not UTF-8");
    }

    #[test]
    fn forms() {
        let params = Params::from_form(b"title=a+b%0A&title=%E4%BD%A0%ff&&x=1&content");
        assert_eq!(*params.get(Name::Title), Json::Text("你\u{fffd}".into()));
        assert_eq!(*params.get(Name::Content), Json::Text("".into()));
    }
}
