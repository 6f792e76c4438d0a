//! The client snippets of `docs/push.md` as they stand there.
