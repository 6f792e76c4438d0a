//! Who gets a message in pages to come: a list that was resolved when the request came, or people of the directory, found page by
//! page when its time has come. The stored form is JSON, read and written here for every store.

use serde::{Deserialize, Serialize};

use crate::{delivery::Reason, setup::ChannelNo, time::Timestamp};

/// A recipient of an explicit list, resolved and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// As the caller named them.
    pub recipient: String,
    /// Where the channel reaches them; empty where `skipped`.
    pub address: String,
    /// Why they get nothing.
    pub skipped: Option<Reason>,
}

/// What is still to be expanded of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Not before this time. The message is *scheduled* until then where it lies behind its acceptance.
    pub due: Timestamp,
    /// Who gets it, by which channels.
    pub who: Who,
}

/// Who gets a message in pages to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Explicit lists, one after the other.
    Listed(Vec<Listed>),
    /// People of the directory, each on all of these channels.
    People {
        /// The channels.
        ways: Vec<Way>,
        /// Who.
        people: People,
    },
}

/// A channel by which pages go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The channel.
    pub channel: ChannelNo,
    /// Into parcels of how many recipients pages are divided; one at least.
    pub parcel_max: usize,
}

/// An explicit list for one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The channel.
    pub way: Way,
    /// Who.
    pub addressees: Vec<Addressee>,
}

/// People of the directory, named by themselves or by what they belong to: the union, each once, as the directory stands when
/// their page is expanded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct People {
    /// Everyone who is enabled. What follows then adds nobody.
    #[serde(skip_serializing_if = "is_false")]
    pub everyone: bool,
    /// Codes of users.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Codes of departments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub departments: Vec<String>,
    /// Whether those below these departments are meant too.
    #[serde(skip_serializing_if = "is_false")]
    pub with_below: bool,
    /// Codes of posts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub posts: Vec<String>,
    /// Codes of roles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The stored form.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    Listed(Vec<StoredList>),
    People { ways: Vec<Way>, people: People },
}

/// The channel, and its list: `[[recipient, address, reason it is skipped or null], …]`.
#[derive(Serialize, Deserialize)]
struct StoredList {
    way: Way,
    list: Vec<(String, String, Option<String>)>,
}

/// Why an audience cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WhoError {
    /// It is not of the stored form.
    #[error(transparent)]
    Form(#[from] serde_json::Error),
    /// It names a reason that this program does not know.
    #[error("there is no reason {0:?}")]
    Reason(String),
}

impl Who {
    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let row = |who: &Addressee| {
            (who.recipient.clone(), who.address.clone(), who.skipped.map(|reason| reason.as_str().to_owned()))
        };
        let stored = match self {
            Self::Listed(lists) => {
                let list =
                    |listed: &Listed| StoredList { way: listed.way, list: listed.addressees.iter().map(row).collect() };
                Stored::Listed(lists.iter().map(list).collect())
            }
            Self::People { ways, people } => Stored::People { ways: ways.clone(), people: people.clone() },
        };
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// Reads the stored form. What earlier programs stored is one list alone, which goes by `channel`, the message's, in parcels of
    /// one.
    ///
    /// # Errors
    /// When the bytes are not what [`Who::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8], channel: ChannelNo) -> Result<Self, WhoError> {
        let listed = |stored: StoredList| -> Result<Listed, WhoError> {
            let addressee = |(recipient, address, skipped): (String, String, Option<String>)| {
                let reason = |name: String| Reason::from_name(&name).ok_or(WhoError::Reason(name));
                Ok(Addressee { recipient, address, skipped: skipped.map(reason).transpose()? })
            };
            let addressees = stored.list.into_iter().map(addressee).collect::<Result<_, WhoError>>()?;
            Ok(Listed { way: stored.way, addressees })
        };
        if bytes.first() == Some(&b'[') {
            let stored = StoredList { way: Way { channel, parcel_max: 1 }, list: serde_json::from_slice(bytes)? };
            return Ok(Self::Listed(vec![listed(stored)?]));
        }
        Ok(match serde_json::from_slice(bytes)? {
            Stored::Listed(lists) => Self::Listed(lists.into_iter().map(listed).collect::<Result<_, _>>()?),
            Stored::People { ways, people } => Self::People { ways, people },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addressee(name: &str, skipped: Option<Reason>) -> Addressee {
        Addressee { recipient: name.to_owned(), address: format!("{name}@x"), skipped }
    }

    #[test]
    fn the_stored_form_is_stable() {
        let way = Way { channel: ChannelNo(3), parcel_max: 200 };
        let addressees = vec![addressee("a", None), addressee("b", Some(Reason::NoAddress))];
        let listed = Who::Listed(vec![Listed { way, addressees: addressees.clone() }]);
        let stored =
            r#"{"listed":[{"way":{"channel":3,"parcel_max":200},"list":[["a","a@x",null],["b","b@x","no_address"]]}]}"#;
        assert_eq!(String::from_utf8(listed.to_bytes()).expect("JSON"), stored);
        assert_eq!(Who::from_bytes(stored.as_bytes(), ChannelNo(9)).expect("reads"), listed);
        let people = People { departments: vec!["D1".into()], with_below: true, ..People::default() };
        let people = Who::People { ways: vec![way], people };
        let stored =
            r#"{"people":{"ways":[{"channel":3,"parcel_max":200}],"people":{"departments":["D1"],"with_below":true}}}"#;
        assert_eq!(String::from_utf8(people.to_bytes()).expect("JSON"), stored);
        assert_eq!(Who::from_bytes(stored.as_bytes(), ChannelNo(9)).expect("reads"), people);
    }

    #[test]
    fn a_list_of_an_earlier_program_goes_by_the_channel_of_its_message() {
        let stored = br#"[["a","a@x",null],["b","b@x","no_address"]]"#;
        let way = Way { channel: ChannelNo(9), parcel_max: 1 };
        let addressees = vec![addressee("a", None), addressee("b", Some(Reason::NoAddress))];
        assert_eq!(
            Who::from_bytes(stored, ChannelNo(9)).expect("reads"),
            Who::Listed(vec![Listed { way, addressees }])
        );
        assert!(Who::from_bytes(br#"[["a","a@x","because"]]"#, ChannelNo(9)).is_err());
        assert!(Who::from_bytes(b"{}", ChannelNo(9)).is_err());
    }
}
