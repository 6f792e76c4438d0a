//! Signatures, ages, envelopes, documents and what they say.
