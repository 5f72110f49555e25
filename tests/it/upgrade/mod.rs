//! A new process takes over every live connection from the one that serves: nobody is disconnected, and nothing is lost,
//! doubled or out of order. When it fails, the one that serves goes on.

mod backends;
mod clients;
mod commands;
mod halves;
mod keys;
mod kills;
mod limits;
mod links;
mod listeners;
pub mod load;
mod memory;
mod queues;
mod refusals;
pub mod running;
mod signals;
mod sticky;
mod streams;
mod traffic;
