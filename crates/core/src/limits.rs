//! Every bound of the program that is not a deployment's choice, in one place, so that they can be read against each other.
//! A limit that a deployment may choose has its default here.

use std::time::Duration;

/// How far ids may run ahead of the clock (design 1).
pub const ID_BORROW_MAX: Duration = Duration::from_secs(10);

/// A request body, in bytes (`contracts/cmsi.md` section 2: 10 MiB).
pub const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;
/// How long a whole request (headers, then body) may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// How long request headers may take to arrive, from their first byte.
pub const HEADERS_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection may be idle between requests.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(75);
/// Connections that a node serves at a time; more wait in the listen queue.
pub const HTTP_CONNECTIONS_MAX: usize = 10_000;
/// Bytes of large request bodies that a node holds at a time; a body waits for room as it arrives.
pub const BODIES_IN_MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Nesting of a JSON body. The parser itself stops at 128.
pub const JSON_DEPTH_MAX: usize = 64;
/// Values in a JSON body, so that a body of brackets does not grow into many times its size.
pub const JSON_VALUES_MAX: usize = 100_000;

/// Recipients in one page of an audience (design 3).
pub const PAGE_RECIPIENTS_MAX: usize = 1_000;
/// Recipients that one request may name.
pub const REQUEST_RECIPIENTS_MAX: usize = 10_000;
/// Codes of users, departments, posts and roles that one request to people may name.
pub const PEOPLE_NAMED_MAX: usize = 10_000;
/// Faults that a change of the directory tells, of however many.
pub const DIRECTORY_FAULTS_TOLD: usize = 100;
/// The code of a person, in bytes.
pub const USER_CODE_BYTES_MAX: usize = 128;
/// The code of a department, post or role, in bytes: it may be a path of departments' names.
pub const GROUP_CODE_BYTES_MAX: usize = 512;
/// The name of a person or group, in characters.
pub const NAME_CHARS_MAX: usize = 255;
/// Departments, posts and roles of one person, in all.
pub const MEMBERSHIPS_MAX: usize = 1_000;
/// The files of one import of the directory, in bytes together.
pub const DIRECTORY_IMPORT_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// People and groups in one import of the directory.
pub const DIRECTORY_IMPORT_ROWS_MAX: usize = 2_000_000;
/// A row of a file of the directory, in bytes.
pub const DIRECTORY_ROW_BYTES_MAX: usize = 256 * 1024;
/// How far people are counted who belong to groups.
pub const DIRECTORY_COUNT_MAX: usize = 100_000;
/// Items in one page of an inbox.
pub const INBOX_PAGE_MAX: usize = 100;
/// Items that one call may mark, in one commit.
pub const INBOX_MARKS_MAX: usize = 1_000;
/// How long a person's token for their inbox counts, unless the app that makes it says otherwise.
pub const INBOX_TOKEN_TTL: Duration = Duration::from_secs(60 * 60);
/// How long such a token may count.
pub const INBOX_TOKEN_TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Streams of news of the inbox that a node keeps open at a time.
pub const INBOX_STREAMS_MAX: usize = 2_000;
/// Streams of one person's inbox that a node keeps open at a time.
pub const INBOX_STREAMS_PER_PERSON_MAX: usize = 16;
/// How long after it was put an item may come to be seen: streams look back so far.
pub const INBOX_NEWS_OVERLAP: Duration = Duration::from_secs(20);
/// How far ahead a message may be scheduled, unless the deployment says otherwise (`contracts/push.md` decision 5).
pub const SCHEDULE_AHEAD_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Templates of a deployment: every node holds all of them in memory.
pub const TEMPLATES_MAX: usize = 5_000;
/// Channels of one template.
pub const TEMPLATE_CHANNELS_MAX: usize = 20;
/// The text of a template on one channel, in bytes.
pub const TEMPLATE_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Variables of one template.
pub const TEMPLATE_VARIABLES_MAX: usize = 100;
/// The name of a variable, of a template, of its type and of what a provider calls it, in bytes.
pub const TEMPLATE_NAME_BYTES_MAX: usize = 128;
/// Attachments of one message (`guides/reliability.md` S3).
pub const ATTACHMENTS_MAX: usize = 20;
/// A file name, in bytes (`guides/reliability.md` S3).
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// A subject, in characters.
pub const SUBJECT_CHARS_MAX: usize = 2_000;
/// A mail address, in bytes (RFC 5321 section 4.5.3.1.3: a path of 256 with its brackets).
pub const ADDRESS_BYTES_MAX: usize = 254;
/// The local part of a mail address, in bytes (RFC 5321 section 4.5.3.1.1).
pub const LOCAL_PART_BYTES_MAX: usize = 64;
/// The digits of a phone number with its country's code: ITU-T E.164 section 6.1 allows 15.
pub const PHONE_DIGITS_MAX: usize = 15;
/// Digits below which nothing is a phone number with its country's code.
pub const PHONE_DIGITS_MIN: usize = 3;
/// A user's id on a platform, in bytes.
pub const ACCOUNT_ID_BYTES_MAX: usize = 128;
/// A short text or the text of a notice, in bytes: twenty messages of a WeCom app, of which many make one that is longer.
pub const TEXT_BYTES_MAX: usize = 20 * 2_000;
/// The text of an SMS or of a call, in characters: no provider takes more in one request.
pub const SMS_CHARS_MAX: usize = 1_000;
/// An address of the web in a notice, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// The text of an item of the inbox, as HTML, in bytes: it is read with every page that shows it.
pub const INBOX_HTML_BYTES_MAX: usize = 256 * 1024;
/// An object for a webhook, in bytes as JSON.
pub const OBJECT_BYTES_MAX: usize = 256 * 1024;
/// An idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long an idempotency key is remembered (design 7).
pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a message may wait before it expires, unless it says otherwise (`guides/reliability.md` A4.5).
pub const TIME_TO_LIVE: Duration = Duration::from_secs(24 * 60 * 60);
/// Handlers that wait for outcomes at a time; beyond that the answer is success at once (design 7).
pub const WAITERS_MAX: usize = 2_000;

/// How long a node's lease must still last for a call that cannot be taken back to begin (`guides/reliability.md` B4).
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// Consecutive crashes while in flight from which a delivery is sent alone (design 4).
pub const CRASHES_BEFORE_ALONE: u8 = 3;
/// How long before the end of a provider's duplicate window we stop trusting it (design 4).
pub const DEDUPE_MARGIN: Duration = Duration::from_secs(60);

/// Ready parcels kept in memory per channel and priority (design 5).
pub const READY_IN_MEMORY_MAX: usize = 10_000;
/// Ready parcels of one app kept in memory while other apps wait (design 5).
pub const READY_IN_MEMORY_PER_APP_MAX: usize = 1_000;
/// Operations that may wait for the store's writer.
pub const WRITE_QUEUE_MAX: usize = 4_096;
/// Bytes that may wait for the store's writer.
pub const WRITE_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Operations in one commit.
pub const COMMIT_OPERATIONS_MAX: usize = 1_024;
/// Bytes in one commit.
pub const COMMIT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Parcels claimed in one turn.
pub const CLAIM_MAX: usize = 256;
/// Parcels settled in one turn.
pub const SETTLE_MAX: usize = 256;
/// Content up to this size travels with a claim; larger content is read when its parcel is sent.
pub const CONTENT_INLINE_BYTES_MAX: usize = 64 * 1024;
/// How many leases a node holds for a provider, for each call that the provider may have in flight.
pub const WINDOW_PER_CALL: usize = 16;
/// Calls that one provider may have in flight, whatever is declared.
pub const CALLS_MAX: usize = 512;
/// How long a stopping node waits for calls in flight, so that cutting them off, recording and closing fit into 30 s.
pub const STOP_WAIT: Duration = Duration::from_secs(20);

/// Captured messages kept by a capture provider.
pub const CAPTURES_KEPT: usize = 10_000;
/// Bytes of captured bodies that are kept in all; the newest capture is kept whatever its size.
pub const CAPTURES_BYTES_KEPT: usize = 256 * 1024 * 1024;
/// Bytes of captured bodies in one page of a listing, which has at least one capture if any is left.
pub const CAPTURES_PAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Consecutive provider faults that open its breaker (`guides/reliability.md` A4.5).
pub const BREAKER_FAULTS: u32 = 5;
/// How long an open breaker waits before it lets one call probe, at first and at most.
pub const BREAKER_WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));
/// How long a delivery waits that was not tried because its provider failed, at first and at most.
pub const PROVIDER_FAULT_WAIT: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

const _: () = assert!(BODY_BYTES_MAX <= BODIES_IN_MEMORY_BYTES_MAX && BODY_BYTES_MAX <= COMMIT_BYTES_MAX);
const _: () = assert!(COMMIT_BYTES_MAX <= WRITE_QUEUE_BYTES_MAX);
const _: () = assert!(BODY_BYTES_MAX <= CAPTURES_PAGE_BYTES_MAX && CAPTURES_PAGE_BYTES_MAX <= CAPTURES_BYTES_KEPT);
const _: () = assert!(PAGE_RECIPIENTS_MAX <= REQUEST_RECIPIENTS_MAX && REQUEST_RECIPIENTS_MAX <= JSON_VALUES_MAX);
const _: () = assert!(READY_IN_MEMORY_PER_APP_MAX <= READY_IN_MEMORY_MAX && CLAIM_MAX <= READY_IN_MEMORY_PER_APP_MAX);
