//! Connections whose doors are carried to another process in the middle: their clients see the same bytes as without.

mod keys;
mod links;
mod random;
mod states;
mod support;
