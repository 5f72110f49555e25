//! Several nodes on a real Redis.

mod asking;
mod faults;
mod model;
mod nodes;
mod resuming;
mod routing;
mod starting;
mod state;
mod upgrade;

use nodes::Nodes;
