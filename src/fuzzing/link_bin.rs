//! Commands in the binary layout beside the JSON link: what one takes the other takes, with the same outcome, and what is
//! read is written the same way again. Replies and events: what is read is written the same way, if nothing is behind it.

use super::apps;
use crate::dispatch::CommandLimits;
use crate::gateway::api::binary as link_bin;
use crate::gateway::api::binary::in_json::{equivalent, same};
use crate::gateway::api::json::LinkError;
use crate::link_bin::{Command, Event, Reply, Request, Selector};

/// Most commands of a message.
const MOST: usize = 4;

/// A message of the link, in either direction.
pub fn run(data: &[u8]) {
    let mut again = Vec::new();
    if let Ok((id, reply)) = Reply::decode(data) {
        reply.encode(id, &mut again).expect("it fitted before");
        assert_eq!(Reply::decode(&again), Ok((id, reply)));
    }
    again.clear();
    if let Ok((event, details)) = Event::decode_with(data) {
        event.encode_with(&details, &mut again).expect("it fitted before");
        assert_eq!(Event::decode_with(&again), Ok((event, details)));
    }
    command(data);
    if let Ok(Some(commands)) = link_bin::list(data, MOST) {
        assert!((1..=MOST).contains(&commands.len()));
        // Every byte behind the head is of a command or of its length.
        assert_eq!(data.len(), 8 + commands.iter().map(|one| 4 + one.len()).sum::<usize>());
        commands.into_iter().for_each(command);
    }
}

/// One command, which is a message or stands in one.
fn command(data: &[u8]) {
    let mut again = Vec::new();
    let parsed = link_bin::parse(data, &apps(), &CommandLimits::small());
    match Request::decode(data) {
        Ok(request) => {
            request.encode(&mut again).expect("it fitted before");
            assert_eq!(again, data);
            if is_expressible(&request) {
                same(parsed, &equivalent(&request), &apps(), &CommandLimits::small());
            }
        }
        Err(refused) => {
            let LinkError { id, error } = parsed.expect_err("it is no command");
            assert_eq!(id, refused.id);
            assert_eq!(*error.message, refused.error.to_string());
            assert!(refused.error.offset <= data.len());
        }
    }
}

/// In JSON nobody can say `all` twice, nor except in both ways, nor except what several selectors have in common.
fn is_expressible(request: &Request<'_>) -> bool {
    let is_once = |selectors: &[Selector<'_>]| {
        selectors.iter().filter(|selector| **selector == Selector::All).count() < 2
    };
    let Command::Push(push) = &request.command else { return true };
    let excepts_in_one_way = push.except.is_none() || push.without.is_empty();
    let is_common = |selector: &Selector<'_>| matches!(selector, Selector::AllOf(_));
    let parts = push.target.iter().filter_map(|selector| match selector {
        Selector::AllOf(parts) => Some(parts),
        _ => None,
    });
    excepts_in_one_way
        && !push.without.iter().any(is_common)
        && is_once(&push.target)
        && is_once(&push.without)
        && parts.into_iter().all(|parts| is_once(parts))
}
