//! Several nodes on a real Redis.

mod nodes;
mod routing;

use nodes::Nodes;
