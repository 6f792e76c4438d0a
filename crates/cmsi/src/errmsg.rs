//! Section 7: the words of WeCom in the reply to a message that nobody got.

use hongyan_core::store::MessageRecord;

/// What stands before the words in an attempt for which there was no access token.
const NO_TOKEN: &str = "no access token: ";
/// What stands after them where the recipient is on a list of the answer.
const NAMED_IN: &str = ", named in ";

/// The errmsg in the last attempt at the first recipient for whom there is one; else empty.
pub(crate) fn of(record: &MessageRecord) -> &str {
    let failed = record.deliveries.iter().filter(|delivery| delivery.track.state.is_failure());
    let mut said = failed.filter_map(|delivery| errmsg(&delivery.attempts.last()?.reply));
    said.next().unwrap_or("")
}

/// The errmsg in the words of an attempt, which are the errcode and the errmsg. Words without an errcode are not WeCom's, and an
/// errcode of 0 comes with no error.
fn errmsg(reply: &str) -> Option<&str> {
    let (code, said) = reply.strip_prefix(NO_TOKEN).unwrap_or(reply).split_once(' ')?;
    let code: i64 = code.parse().ok()?;
    let said = said.rsplit_once(NAMED_IN).map_or(said, |(said, _)| said).trim();
    (code != 0 && !said.is_empty()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_wecom_says_of_an_error_is_repeated() {
        for (reply, said) in [
            ("81013 user & party & tag all invalid", Some("user & party & tag all invalid")),
            ("44004 empty content, hint: [1]", Some("empty content, hint: [1]")),
            ("-1 system busy", Some("system busy")),
            ("no access token: 40001 invalid credential", Some("invalid credential")),
            ("45009 x, named in invaliduser", Some("x")),
            ("0 ok, named in invaliduser", None),
            ("44004 ", None),
            ("HTTP 403 without an answer of the provider's form", None),
            ("WeCom takes texts and notices only", None),
            ("", None),
        ] {
            assert_eq!(errmsg(reply), said, "{reply:?}");
        }
    }
}
