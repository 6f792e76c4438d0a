//! The dialect from request bytes to reply bytes, on a store in memory: no channel, a clock that is moved by hand.
