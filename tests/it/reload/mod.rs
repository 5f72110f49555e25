//! The rules of a server change while it runs: what changes at once, what stays, and that nobody is dropped for it.

mod apps;
mod bounds;
mod delivery;
mod keys;
mod load;
mod orders;
