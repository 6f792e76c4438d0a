//! A parcel's content becomes the bytes of a message (RFC 5322, MIME). Pure and deterministic: Date, Message-ID and boundaries
//! come from the content and the message's id, so that every try, also one to fewer recipients, sends the same bytes.
//!
//! What is written is ASCII throughout, with CRLF line ends and no line over 998 bytes; texts are encoded by type (RFC 2047 in
//! headers, RFC 2231 in parameters, base64 or quoted-printable in bodies) and never spliced. The core types were checked at the
//! edge; everything that ends up in a header is made harmless here once more.

use std::borrow::Cow;

use hongyan_core::{
    address::{AddressError, EmailAddress, Mailbox},
    channel::Parcel,
    content::{Content, Mail},
    id::Id,
    limits,
    outcome::{Outcome, Rejection, Verdict},
};
use mail_builder::headers::date::Date;

use crate::{dkim::Signer, error::OpenError};

mod headers;
mod parts;
mod plain;
mod transfer;

use headers::Header;

/// The last second that a Date header can name: the end of the year 9999.
const DATE_MAX_S: i64 = 253_402_300_799;
/// The part of `bounce` before `@`, in bytes: `+` and an id of 19 digits follow it.
const BOUNCE_LOCAL_MAX: usize = limits::LOCAL_PART_BYTES_MAX - 20;

/// Makes messages in the name of one provider.
pub struct Composer {
    /// Who mails are from that name nobody.
    sender: Option<Mailbox>,
    /// The envelope sender, to which each message adds its id (VERP).
    bounce: Option<EmailAddress>,
    signer: Option<Signer>,
}

/// A message ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// The envelope sender.
    pub sender: String,
    /// Whose choice the senders are.
    pub origin: Origin,
    /// The message, CRLF throughout and at its end, not yet dot-stuffed.
    pub bytes: Vec<u8>,
}

/// Who chose the senders of a message: a refusal of a sender that the caller named is the message's fault, of one that the
/// deployment declared the provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The From header is the caller's and not the provider's own.
    pub from_is_callers: bool,
    /// The envelope sender is the caller's address.
    pub envelope_is_callers: bool,
}

/// Why a content cannot become a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// It is another kind of message.
    #[error("the message is no mail")]
    NoMail,
    /// Neither the content nor the provider names a sender.
    #[error("the mail names no sender and its provider has none")]
    NoSender,
    /// An address of its headers is none.
    #[error("an address in the headers {0}")]
    Address(#[from] AddressError),
    /// The attachments and their bytes do not match.
    #[error("the mail lists {listed} attachments and carries {carried}")]
    Attachments {
        /// How many the content lists.
        listed: usize,
        /// How many came with it.
        carried: usize,
    },
}

impl ComposeError {
    /// The verdict for every recipient: this content can never be sent.
    pub fn verdict(&self) -> Verdict {
        Verdict::new(Outcome::Rejected(Rejection::Content), self.to_string())
    }
}

impl Composer {
    /// A composer whose mails are from `sender` (a mailbox, or empty for none) where they name nobody, and whose envelope
    /// sender is `bounce` (an address, or empty for the From address).
    ///
    /// # Errors
    /// When one of them is neither empty nor valid.
    pub fn new(sender: &str, bounce: &str, signer: Option<Signer>) -> Result<Self, OpenError> {
        let sender = if sender.is_empty() { None } else { Some(Mailbox::parse(sender)) };
        let bounce = if bounce.is_empty() { None } else { Some(EmailAddress::parse(bounce)) };
        let sender = sender.transpose().map_err(|why| OpenError::key("sender", why))?;
        let bounce = bounce.transpose().map_err(|why| OpenError::key("bounce", why))?;
        if bounce.as_ref().is_some_and(|bounce| bounce.local().len() > BOUNCE_LOCAL_MAX) {
            return Err(OpenError::key("bounce", "leaves no room for a message's id in the part before @"));
        }
        Ok(Self { sender, bounce, signer })
    }

    /// The message that `parcel` carries.
    ///
    /// # Errors
    /// What makes it impossible; it stays so however often it is tried.
    pub fn compose(&self, parcel: &Parcel) -> Result<Composed, ComposeError> {
        let Content::Mail(mail) = &*parcel.content else { return Err(ComposeError::NoMail) };
        let (listed, carried) = (mail.attachments.len(), parcel.attachments.len());
        if listed != carried {
            return Err(ComposeError::Attachments { listed, carried });
        }
        let named = mail
            .from
            .as_ref()
            .map(|from| EmailAddress::parse(&from.address).map(|address| Mailbox { name: from.name.clone(), address }))
            .transpose()?;
        let own = self.sender.as_ref();
        let from = named.as_ref().or(own).ok_or(ComposeError::NoSender)?;
        let from_is_callers = own.is_none_or(|own| own.address != from.address);

        let carried: usize = parcel.attachments.iter().map(Vec::len).sum();
        let mut bytes = Vec::with_capacity(2048 + carried / 2 * 3);
        // A mail to everybody is one message, however many parcels carry it; one to each is one for each.
        let (to, id) = if mail.to.is_empty() {
            let each = parcel.recipients.iter().map(|recipient| recipient.address.clone());
            (Cow::Owned(each.collect::<Vec<_>>()), parcel.id)
        } else {
            (Cow::Borrowed(&mail.to[..]), parcel.message)
        };
        write_headers(&mut bytes, mail, &to, from, id)?;
        parts::write_body(&mut bytes, mail, &parcel.attachments, id, from.address.domain());
        if let Some(signer) = &self.signer {
            signer.sign(&mut bytes);
        }
        Ok(Composed {
            sender: self.envelope_sender(from, parcel.message),
            origin: Origin { from_is_callers, envelope_is_callers: from_is_callers && self.bounce.is_none() },
            bytes,
        })
    }

    /// `bounce` with the message's id in its local part (VERP), so that a bounce names the message that it is about.
    fn envelope_sender(&self, from: &Mailbox, message: Id) -> String {
        match &self.bounce {
            Some(bounce) => format!("{}+{message}@{}", bounce.local(), bounce.domain()),
            None => from.address.as_str().to_owned(),
        }
    }
}

fn write_headers(out: &mut Vec<u8>, mail: &Mail, to: &[String], from: &Mailbox, id: Id) -> Result<(), ComposeError> {
    let date = Date::new((mail.date / 1000).clamp(0, DATE_MAX_S)).to_rfc822();
    Header::begin(out, "Date").token(&date).end();
    let mut header = Header::begin(out, "From");
    header.mailbox(&from.name, &from.address, "");
    header.end();
    for (name, addresses) in [("To", to), ("Cc", &mail.cc)] {
        write_addresses(out, name, addresses)?;
    }
    let mut header = Header::begin(out, "Subject");
    header.text(&mail.subject);
    header.end();
    Header::begin(out, "Message-ID").token(&format!("<{id}.hongyan@{}>", ascii_domain(&from.address))).end();
    Header::begin(out, "MIME-Version").token("1.0").end();
    Ok(())
}

/// A header that lists addresses; none at all where the list is empty (RFC 5322 section 3.6.3 wants at least one).
fn write_addresses(out: &mut Vec<u8>, name: &str, addresses: &[String]) -> Result<(), ComposeError> {
    if addresses.is_empty() {
        return Ok(());
    }
    let mut header = Header::begin(out, name);
    for (i, address) in addresses.iter().enumerate() {
        let separator = if i + 1 < addresses.len() { "," } else { "" };
        header.mailbox("", &EmailAddress::parse(address)?, separator);
    }
    header.end();
    Ok(())
}

/// The right-hand side of identifiers: a domain that ASCII can write.
fn ascii_domain(address: &EmailAddress) -> &str {
    Some(address.domain()).filter(|domain| domain.is_ascii()).unwrap_or("hongyan.invalid")
}

#[cfg(test)]
mod tests;
