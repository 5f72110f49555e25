//! What loads have in common that hold everything against what it must be: numbered messages and what of them each session is to
//! get, the ways into the backend port and what was asked on each, the server's own figures, and what was found wrong.

pub mod answer;
pub mod doors;
pub mod faults;
pub mod forms;
pub mod gauges;
pub mod inbox;
pub mod mark;
pub mod opening;
pub mod random;
mod verdict;

pub use verdict::Verdict;
