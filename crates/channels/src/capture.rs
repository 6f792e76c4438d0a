//! The sender that sends nothing and keeps it in the store, for the demo, for development and for tests: of a mail exactly the
//! bytes that SMTP would send, of everything else what it says, as JSON.

use std::sync::Arc;

use async_trait::async_trait;
use hongyan_core::{
    channel::{Channel, Parcel},
    content::Content,
    delivery::{Policy, Repeat},
    id::IdSource,
    outcome::{Fault, Outcome, Receipts, Verdict},
    retry::RetrySchedule,
    setup::CaptureProvider,
    store::{self, Captures},
    time::Clock,
};

use crate::{error::OpenError, mail::Composer};

/// A capture provider.
pub struct Capture {
    code: String,
    composer: Composer,
    captures: Arc<dyn Captures>,
    ids: Arc<IdSource>,
    clock: Arc<dyn Clock>,
}

impl Capture {
    /// The provider with this code, which keeps what it is given in `captures`, under ids of their own.
    ///
    /// # Errors
    /// When `sender` is neither empty nor a mailbox.
    pub fn new(
        code: &str,
        keys: &CaptureProvider,
        captures: Arc<dyn Captures>,
        ids: Arc<IdSource>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let composer = Composer::new(&keys.sender, "", None)?;
        Ok(Self { code: code.to_owned(), composer, captures, ids, clock })
    }

    async fn keep(&self, parcel: &Parcel) -> Verdict {
        let (sender, body) = match &*parcel.content {
            Content::Mail(_) => match self.composer.compose(parcel) {
                Ok(composed) => (composed.sender, composed.bytes),
                Err(error) => return error.verdict(),
            },
            _ => (String::new(), shown(&parcel.content)),
        };
        let now = self.clock.now();
        let put_off = |why: String| Verdict::new(Outcome::Deferred { after: None, fault: Fault::Provider }, why);
        let id = match self.ids.block(1, parcel.message.bucket(), now) {
            Ok(id) => id,
            Err(error) => return put_off(error.to_string()),
        };
        let capture = store::Capture {
            id,
            message: parcel.message,
            provider: self.code.clone(),
            at: now,
            sender,
            recipients: parcel.recipients.iter().map(|recipient| recipient.address.clone()).collect(),
            body,
        };
        match self.captures.capture_add(capture).await {
            Ok(()) => Verdict::new(
                Outcome::Accepted { provider_id: id.to_string(), receipt: Receipts::Never },
                format!("captured as {id}"),
            ),
            Err(error) => put_off(error.to_string()),
        }
    }
}

#[async_trait]
impl Channel for Capture {
    fn policy(&self) -> Policy {
        Policy { repeat: Repeat::AtLeastOnce, retry: RetrySchedule::mail() }
    }

    async fn send(&self, parcel: &Parcel) -> Vec<Verdict> {
        vec![self.keep(parcel).await; parcel.recipients.len()]
    }

    async fn close(&self) {}
}

/// A content for people to read, without its secret: not even a sealed one is anybody's to see.
fn shown(content: &Content) -> Vec<u8> {
    let mut content = content.clone();
    content.erase_secret();
    serde_json::to_vec_pretty(&content).unwrap_or_default()
}
