//! Unit cases of the windows.
