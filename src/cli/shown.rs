//! URLs without what proves who a player is: that is for the server, and for nobody else.

/// Parameters that let whoever has them be that player.
const SECRET: [&str; 4] = ["token", "signature", "nonce", "resume"];
/// What stands for a value that is not shown.
const HIDDEN: &str = "***";

/// `url` as tables, files, reports and messages may show it.
pub fn shown(url: &str) -> String {
    let Some((before, query)) = url.split_once('?') else { return url.to_owned() };
    let (query, fragment) = query.split_once('#').map_or((query, ""), |(query, _)| (query, "#"));
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, _)) if SECRET.contains(&name) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    };
    let pairs: Vec<String> = query.split('&').map(pair).collect();
    format!("{before}?{}{fragment}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proves_who_a_player_is_is_not_shown() {
        for (url, text) in [
            ("ws://h/ws?token=abc.def.ghi", "ws://h/ws?token=***"),
            ("ws://h/ws?user=a&signature=00ff&nonce=1#x", "ws://h/ws?user=a&signature=***&nonce=***#"),
            ("ws://h/ws?resume=AAA&received=3", "ws://h/ws?resume=***&received=3"),
            ("ws://h/ws?user=u{session}&group=g", "ws://h/ws?user=u{session}&group=g"),
            ("ws://h/ws?tokens=1&token", "ws://h/ws?tokens=1&token"),
            ("ws://h/ws", "ws://h/ws"),
        ] {
            assert_eq!(shown(url), text, "{url}");
        }
    }
}
