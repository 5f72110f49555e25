//! Several nodes on a real Redis.

mod asking;
mod drain;
mod faults;
mod links;
mod memory;
mod model;
mod nodes;
mod online;
mod redis_cluster;
mod redis_list;
mod resuming;
mod routing;
mod shards;
mod starting;
mod state;
mod upgrade;

use nodes::Nodes;
