//! The gate as a process, under heavy and hostile use: its memory stays bounded, its limits hold, and good
//! requests are served as before.
//!
//! One test at a time: each measures, and what another does at the same time would be in its figures.

mod bombs;
mod bulk;
mod floods;
mod hoards;
mod http2;
mod http2_floods;
mod scene;
mod slow;
mod stalls;
