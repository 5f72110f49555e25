//! Which page of a listing a command prints.

use clap::Args;

use super::backend::Target;

/// A page of a listing.
#[derive(Debug, Args)]
pub struct PageArgs {
    /// Entries of the page [default: 100]
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// What the last page gave as next [default: the first page]
    #[arg(long, value_name = "NEXT")]
    after: Option<String>,
}

impl PageArgs {
    /// Adds the page to the query.
    pub fn add_to(&self, target: &mut Target) {
        target.pairs("limit", self.limit.map(|limit| limit.to_string()));
        target.pairs("after", &self.after);
    }
}
