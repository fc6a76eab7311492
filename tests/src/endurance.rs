//! What it takes to say that a process holds out: its memory, a caller whose requests are timed while others
//! attack, bytes that are known at both ends, and many sources on one machine.

mod aside;
mod bulk;
mod counters;
mod memory;
mod pattern;
mod processor;
mod queues;
mod sources;
mod steady;
mod transfer;

pub use aside::Aside;
pub use bulk::{Bulk, Told};
pub use counters::Counters;
pub use memory::{Memory, mebibytes};
pub use pattern::{Check, PIECE, pattern};
pub use processor::processor_time;
pub use queues::{End, Queues};
pub use sources::{connect_from, connect_narrow, open_file_limit, source};
pub use steady::{Pace, Quality, Steady};
pub use transfer::{Framing, download, upload};
