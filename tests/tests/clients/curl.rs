//! curl.
