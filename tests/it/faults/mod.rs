//! Faults that were found by trying the server, each as a test of what is right.

mod dead_links;
mod half_received;
mod load;
mod paused;
mod pressure;
mod raw_link;
mod receipts;
mod settings;
