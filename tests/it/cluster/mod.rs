//! Several nodes on a real Redis.

mod asking;
mod faults;
mod nodes;
mod routing;
mod upgrade;

use nodes::Nodes;
