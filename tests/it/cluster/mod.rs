//! Several nodes on a real Redis.

mod asking;
mod faults;
mod nodes;
mod routing;
mod state;

use nodes::Nodes;
