//! Who a client says it is: whatever the target, an identity within its bounds that can be said again, or a refusal; and what
//! it shows as proof has no claim beside it.

use super::apps;
use crate::dispatch::Apps;
use crate::gateway::api::credentials::{Credentials, credentials};
use crate::gateway::api::identity::{ClientRoute, Identity, IdentityLimits, claimed, client_route};
use crate::http::{HeadLimits, Request, percent_encode};

const LIMITS: IdentityLimits = IdentityLimits { max_groups: 3, max_tags: 2 };

/// A target, and behind a line feed the rest of the head.
pub fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (target, fields) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n\r\n"].concat();
    let Ok(request) = Request::parse(&head, &HeadLimits::default()) else { return };
    let apps = apps();
    match client_route(&request, &apps, true) {
        Ok(ClientRoute::Session(app)) => {
            let app = app.unwrap_or(Apps::DEFAULT);
            assert!(apps.names().count() > usize::from(app.0));
            if let Ok(identity) = claimed(app, request.query, &LIMITS) {
                said_again(&identity);
            }
        }
        Ok(ClientRoute::Echo) => assert_eq!(request.path, "/echo"),
        Err(refusal) => assert!(refusal.error.code.status() >= 400 && !refusal.error.message.is_empty()),
    }
    let offered: Vec<&str> = request
        .header_all("sec-websocket-protocol")
        .filter_map(|value| str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .collect();
    match credentials(&request, &offered) {
        Ok(Credentials::Token(_)) => {
            let claims = claimed(Apps::DEFAULT, request.query, &LIMITS);
            assert!(
                claims.is_err()
                    || claims.is_ok_and(|claims| claims.user.is_none() && claims.groups.is_empty())
            );
        }
        Ok(Credentials::Signed(signed)) => assert!(signed.app.len() <= request.target.len()),
        Ok(Credentials::None) => {}
        Err(error) => assert_eq!(error.code.status(), 400),
    }
}

/// Within the bounds, each name once, and the same when it is said again.
fn said_again(identity: &Identity) {
    let Identity { app, user, groups, tags, profile: _ } = identity;
    assert!(groups.len() <= LIMITS.max_groups && tags.len() <= LIMITS.max_tags);
    let mut query = String::new();
    let named = user.iter().map(|name| ("user", name));
    let named = named.chain(groups.iter().map(|name| ("group", name)));
    for (parameter, name) in named.chain(tags.iter().map(|name| ("tag", name))) {
        query.push_str(parameter);
        query.push('=');
        percent_encode(name.as_str(), &mut query);
        query.push('&');
    }
    assert_eq!(claimed(*app, Some(&query), &LIMITS).as_ref(), Ok(identity));
}
