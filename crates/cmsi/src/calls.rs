//! Section 8: what the reply to a voice message says of each call.

use std::collections::HashMap;

use hongyan_core::delivery::Reason;
use hongyan_intake::{RecipientOutcome, Resolved};

use crate::reply;

/// Who is called, by which number, in order; last those who share the number of somebody. Who cannot be called is not among them.
pub(crate) struct Calls(Vec<(String, String)>);

impl Calls {
    /// Those of a message that is about to be accepted.
    pub(crate) fn of(resolved: &Resolved) -> Self {
        let called = resolved.all().filter(|addressee| addressee.skipped.is_none());
        let called = called.map(|addressee| (addressee.recipient.clone(), addressee.address.clone()));
        let shared = resolved.shared.iter().map(|(phone, username)| (username.clone(), phone.clone()));
        Self(called.chain(shared).collect())
    }

    /// The members `successed` (sic) and `failed` of `data`, each with a comma after it. A number is called once, and a person may
    /// have several: the number says what became of the call.
    pub(crate) fn written(&self, failures: &[RecipientOutcome]) -> String {
        let failures: HashMap<_, _> = failures.iter().map(|f| (f.address.as_str(), f.reason)).collect();
        let (mut successed, mut failed) = (String::new(), String::new());
        for (username, phone) in &self.0 {
            let outcome = failures.get(phone.as_str()).copied();
            let list = if outcome.is_none() { &mut successed } else { &mut failed };
            list.push_str(if list.is_empty() { "" } else { "," });
            push_call(list, username, phone, outcome);
        }
        format!(r#""successed":[{successed}],"failed":[{failed}],"#)
    }
}

/// One call: that it was made or will be, or why it failed, in place of the provider's number and words. The provider's own id
/// of the call is not known yet when the reply is due.
fn push_call(list: &mut String, username: &str, phone: &str, failure: Option<Option<Reason>>) {
    let (nation_code, number) = parts(phone);
    let (result, text) = match failure {
        None => (0, "OK"),
        Some(reason) => (1, reason.map_or("failed", Reason::as_str)),
    };
    list.push_str(r#"{"username":"#);
    reply::push_text(list, username);
    list.push_str(&format!(
        r#","mobile_phone":"{number}","nation_code":"{nation_code}","result":{result},"errmsg":"{text}","callid":"","ext":""}}"#
    ));
}

/// A number in the form of E.164 as the country's code and the rest (ITU-T E.164 annex to Operational Bulletin 1114: the codes of
/// one digit are 1 and 7, and those of two are listed here).
fn parts(phone: &str) -> (&str, &str) {
    let digits = phone.trim_start_matches('+');
    let length = match digits.as_bytes() {
        [b'1' | b'7', ..] => 1,
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => 2,
        _ => 3,
    };
    digits.split_at_checked(length).unwrap_or((digits, ""))
}

#[cfg(test)]
mod tests {
    use hongyan_core::{delivery::State, store::Addressee};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_number_has_a_country() {
        for (phone, country, number) in [
            ("+8613800000001", "86", "13800000001"),
            ("+12025550100", "1", "2025550100"),
            ("+79161234567", "7", "9161234567"),
            ("+85291234567", "852", "91234567"),
            ("+886912345678", "886", "912345678"),
            ("+442071838750", "44", "2071838750"),
            ("+351211234567", "351", "211234567"),
            ("+861", "86", "1"),
        ] {
            assert_eq!(parts(phone), (country, number), "{phone}");
        }
    }

    #[test]
    fn calls_are_told_apart_by_what_became_of_them() {
        let addressee = |name: &str, phone: &str, skipped| Addressee {
            recipient: name.to_owned(),
            address: phone.to_owned(),
            skipped,
        };
        let to = vec![
            addressee("张\"三", "+8613800000001", None),
            addressee("nobody", "", Some(Reason::UnknownUser)),
            addressee("us", "+12025550100", None),
            addressee("us", "+12025550101", None),
        ];
        let shared = vec![("+12025550100".to_owned(), "us's twin".to_owned())];
        let calls = Calls::of(&Resolved { to, cc: vec![], shared });
        let failure = |recipient: &str, address: &str, reason| RecipientOutcome {
            recipient: recipient.to_owned(),
            address: address.to_owned(),
            state: State::Failed,
            reason: Some(reason),
        };
        let failures = [
            failure("nobody", "", Reason::UnknownUser),
            failure("us", "+12025550100", Reason::RecipientRefused),
            failure("us's twin", "+12025550100", Reason::RecipientRefused),
        ];
        let written = format!("{{{}\"x\":0}}", calls.written(&failures));
        let call = |name: &str, phone: &str, country: &str, result: i32, text: &str| {
            json!({
                "username": name, "mobile_phone": phone, "nation_code": country, "result": result, "errmsg": text,
                "callid": "", "ext": "",
            })
        };
        let expected = json!({
            "successed": [
                call("张\"三", "13800000001", "86", 0, "OK"), call("us", "2025550101", "1", 0, "OK"),
            ],
            "failed": [
                call("us", "2025550100", "1", 1, "recipient_refused"),
                call("us's twin", "2025550100", "1", 1, "recipient_refused"),
            ],
            "x": 0,
        });
        assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), expected);
    }
}
