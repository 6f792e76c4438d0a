//! Python, as an independent reader and peer: the interpreter that `HONGYAN_TEST_PYTHON` names, else `python3`.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

/// The interpreter.
pub fn interpreter() -> PathBuf {
    std::env::var_os("HONGYAN_TEST_PYTHON").map_or_else(|| "python3".into(), PathBuf::from)
}

/// Runs `script` with `input` as JSON on its standard input; answers the JSON on its standard output.
pub fn run(script: &str, input: &Value) -> Value {
    let mut child = Command::new(interpreter())
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("these tests need Python 3: set HONGYAN_TEST_PYTHON or install python3");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.to_string().as_bytes()).expect("Python reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("Python ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "Python failed, perhaps for want of a module (see `make test`):\n{errors}");
    serde_json::from_slice(&output.stdout).expect("JSON from Python")
}

/// Reads messages with Python's `email` package, policy `default`.
pub fn parse(messages: &[Vec<u8>]) -> Vec<Parsed> {
    let input: Vec<String> = messages.iter().map(|message| BASE64.encode(message)).collect();
    let Value::Array(parsed) = run(PARSE, &input.into()) else { panic!("a list from Python") };
    parsed.into_iter().map(Parsed).collect()
}

const PARSE: &str = r"
import base64, email, email.policy, json, sys

def part(p):
    body = p.get_payload(decode=True)
    return {
        'type': p.get_content_type(), 'charset': p.get_content_charset(), 'file': (getattr(p['content-disposition'], 'params', None) or {}).get('filename'),
        'name': p['content-type'].params.get('name'), 'disposition': p.get_content_disposition(), 'id': p['content-id'],
        'encoding': p['content-transfer-encoding'], 'headers': p.keys(),
        'defects': [repr(d) for d in p.defects] + [repr(d) for h in p.values() for d in h.defects],
        'bytes': base64.b64encode(body or b'').decode(),
        'text': body.decode('utf-8', 'replace') if body is not None else None,
        'parts': [part(q) for q in p.iter_parts()] if p.is_multipart() else [],
    }

result = []
for data in json.load(sys.stdin):
    m = email.message_from_bytes(base64.b64decode(data), policy=email.policy.default)
    result.append(part(m) | {'values': {k: str(v) for k, v in m.items()}, 'date': m['date'].datetime.timestamp(),
        'from': [[a.display_name, a.addr_spec] for a in m['from'].addresses],
        'to': [a.addr_spec for a in m['to'].addresses]})
json.dump(result, sys.stdout)
";

/// A message as Python reads it.
pub struct Parsed(pub Value);

impl Parsed {
    /// The names of its headers, in order.
    pub fn headers(&self) -> Vec<&str> {
        self.0["headers"].as_array().expect("a list").iter().filter_map(Value::as_str).collect()
    }

    /// The decoded value of a header.
    pub fn header(&self, name: &str) -> &str {
        self.0["values"][name].as_str().expect("the header")
    }

    /// Every part that is not multipart, depth first.
    pub fn leaves(&self) -> Vec<&Value> {
        fn collect<'a>(part: &'a Value, leaves: &mut Vec<&'a Value>) {
            match part["parts"].as_array().filter(|parts| !parts.is_empty()) {
                Some(parts) => parts.iter().for_each(|part| collect(part, leaves)),
                None => leaves.push(part),
            }
        }
        let mut leaves = Vec::new();
        collect(&self.0, &mut leaves);
        leaves
    }

    /// The tree as text: `mixed(related(alternative(plain html) png) pdf)`.
    pub fn tree(&self) -> String {
        fn tree(part: &Value) -> String {
            let subtype = part["type"].as_str().and_then(|t| t.split_once('/')).map_or("", |(_, subtype)| subtype);
            match part["parts"].as_array().filter(|parts| !parts.is_empty()) {
                Some(parts) => format!("{subtype}({})", parts.iter().map(tree).collect::<Vec<_>>().join(" ")),
                None => subtype.to_owned(),
            }
        }
        tree(&self.0)
    }

    /// Everything that Python finds wrong anywhere in the message.
    pub fn defects(&self) -> Vec<String> {
        fn collect(part: &Value, defects: &mut Vec<String>) {
            defects.extend(part["defects"].as_array().into_iter().flatten().map(Value::to_string));
            part["parts"].as_array().into_iter().flatten().for_each(|part| collect(part, defects));
        }
        let mut defects = Vec::new();
        collect(&self.0, &mut defects);
        defects
    }

    /// The bytes of a leaf.
    pub fn bytes(leaf: &Value) -> Vec<u8> {
        BASE64.decode(leaf["bytes"].as_str().expect("base64")).expect("base64")
    }
}
