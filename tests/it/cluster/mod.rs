//! Several nodes on a real Redis.

mod asking;
mod faults;
mod memory;
mod model;
mod nodes;
mod routing;
mod starting;
mod state;
mod upgrade;

use nodes::Nodes;
