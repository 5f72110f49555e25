//! One who pushes to everything there is or was, in step with the churn.

use super::ledger::{Name, Pushed};
use super::{CHANGES_EACH, CHURNERS, GROUPS_EACH, PACE, SEED, TAGS, USERS_EACH, World};
use crate::support::Random;
use gannet::session::SessionId;
use serde_json::json;

/// Pushes to everything there is or was, in step with the churn.
pub fn publish(number: usize, world: &World) -> Vec<Pushed> {
    let mut random = Random::new(SEED + 100 + number as u64);
    let (mut backend, mut link) = (world.ports.backend(), world.ports.link());
    let mut pushed = Vec::new();
    for sequence in 0..CHURNERS * CHANGES_EACH / PACE {
        world.progress.await_changes(sequence * PACE);
        let (mut names, mut sessions, mut all) = (Vec::new(), Vec::new(), false);
        for _ in 0..1 + random.below(3) {
            match random.below(20) {
                0 => all = true,
                1..6 => sessions.push(*random.pick(&world.ids.lock().unwrap())),
                6..11 => names.push(Name::User(random.below(CHURNERS * USERS_EACH))),
                11..18 => names.push(Name::Group(random.below(CHURNERS * GROUPS_EACH))),
                _ => names.push(Name::Tag(random.below(TAGS))),
            }
        }
        let except = random.chance(20).then(|| *random.pick(&world.ids.lock().unwrap()));
        let text = format!("{number} {sequence} {}", "x".repeat(random.below(300)));
        let written = random.chance(30);
        let during = world.clock.tick();
        let receipt = match number % 2 {
            0 => {
                let mut pairs: Vec<String> =
                    names.iter().map(|name| format!("{}={}", name.kind(), name.text())).collect();
                pairs.extend(sessions.iter().map(|id| format!("session={id}")));
                pairs.extend(all.then(|| "all=1".to_owned()));
                pairs.extend(except.map(|id| format!("except={id}")));
                pairs.extend(written.then(|| "receipt=written".to_owned()));
                backend.push_text(&pairs.join("&"), &text)
            }
            _ => {
                let texts = |kind| {
                    names
                        .iter()
                        .filter(|name| name.kind() == kind)
                        .map(|name| name.text())
                        .collect::<Vec<_>>()
                };
                let ids: Vec<String> = sessions.iter().map(SessionId::to_string).collect();
                let mut to = json!({"user": texts("user"), "group": texts("group"), "tag": texts("tag"), "session": ids});
                if all {
                    to["all"] = true.into();
                }
                let except = except.map(|id| id.to_string());
                let receipt = if written { "written" } else { "queued" };
                let command =
                    json!({"op": "push", "to": to, "text": text, "except": except, "receipt": receipt});
                serde_json::from_value(link.command(command)).unwrap()
            }
        };
        let during = (during, world.clock.tick());
        assert!(receipt.adds_up(), "{receipt:?}");
        assert_eq!((receipt.dropped, receipt.expired, receipt.replaced), (0, 0, 0));
        pushed.push(Pushed { names, sessions, all, except, during, matched: receipt.matched });
    }
    pushed
}
