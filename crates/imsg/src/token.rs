//! Decision 3: tokens are 256 random bits; only their hashes are kept, and whoever has the store has none of them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hongyan_core::account::Account;
use hongyan_intake::wire::Json;
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};

use crate::{call::Call, code::Code, deps::ImsgDeps, reply::Reply};

const BYTES: usize = 32;
/// A token as text.
const CHARS: usize = (BYTES * 8).div_ceil(6);

/// A new token; `None` where the system gives no random numbers.
pub(crate) fn fresh() -> Option<String> {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a token.
pub(crate) fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// The account that speaks: 10002 where there is no token, 10005 where it counts for nothing (row 3).
pub(crate) async fn account(deps: &ImsgDeps, call: &Call<'_>) -> Result<Account, Reply> {
    let given = given(call).ok_or(Code::Missing)?;
    let token = whole(&given).ok_or(Code::Token)?;
    let found = deps.book.store().account_token_find(hash(&token), deps.intake.now()).await?;
    found.ok_or_else(|| Code::Token.into())
}

/// The token of a call, as it was given: from the body, else a header, else the query. In the body anything but a text is no
/// token, and there nevertheless.
pub(crate) fn given(call: &Call<'_>) -> Option<String> {
    match call.get("token") {
        Json::Null => {}
        Json::Text(token) => return Some(token.clone().into_owned()),
        _ => return Some(String::new()),
    }
    let header = |name| Some(call.parts.headers.get(name)?.to_str().unwrap_or_default());
    let bearer = header("authorization").and_then(|value| {
        let (scheme, token) = value.trim_start().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    bearer.or_else(|| header("token")).map(str::to_owned).or_else(|| call.query("token"))
}

/// A token without the white space that it was printed with (row 1); `None` where it can be none.
fn whole(given: &str) -> Option<String> {
    if given.len() > 2 * CHARS {
        return None;
    }
    let token: String = given.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    (token.len() == CHARS).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_one_line_and_differ() {
        let token = fresh().expect("random");
        assert_eq!(token.len(), CHARS);
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')), "{token}");
        assert_ne!(fresh().expect("random"), token);
        assert_ne!(hash(&token), hash(&token[1..]));
    }

    #[test]
    fn white_space_does_not_count_and_nothing_else_is_left_out() {
        let token = fresh().expect("random");
        let printed = format!(" {}\t\t{}\r\n", &token[..20], &token[20..]);
        assert_eq!(whole(&printed), Some(token.clone()));
        for wrong in ["", " ", &token[1..], &format!("{token}="), &" ".repeat(10_000)] {
            assert_eq!(whole(wrong), None, "{wrong:?}");
        }
    }
}
