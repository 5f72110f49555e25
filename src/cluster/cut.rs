//! A target cut into the parts that go to different channels. No session is in two of them: a part leaves out whom
//! the parts before it mean. So each session gets a message once, whatever its node is subscribed to, and no receiver has to remember
//! what it has had. Pure.

use crate::dispatch::{Selector, Target};
use crate::session::SessionId;
use smallvec::{SmallVec, smallvec};

/// Where a part goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To whoever has sessions of this selector: one of an app, a user, a group or a tag.
    Set(Selector),
    /// To the node with this number.
    Node(u16),
}

/// A part of a target, for one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Its channel.
    pub way: Way,
    /// Whom it is for.
    pub target: Target,
    /// Whom it leaves out, beside those that the push leaves out anyway.
    pub without: Vec<Selector>,
    /// Which of the selectors of the whole target those of `target` are.
    pub places: SmallVec<[u16; 2]>,
}

/// The parts of `target` that other nodes than `own` may have sessions of. `first`, where it is one of the selectors, is the first part,
/// which leaves out nobody.
pub fn cut(target: &Target, own: u16, first: Option<&Selector>) -> SmallVec<[Cut; 1]> {
    let selectors = target.selectors();
    // Most targets: nothing is to be ordered, and nobody to be left out.
    if let [only] = selectors {
        return way_of(only, own).map(|way| Cut::one(way, only, 0, Vec::new())).into_iter().collect();
    }
    let mut cuts = SmallVec::new();
    let mut before: Vec<Selector> = Vec::new();
    if let Some((place, first)) = selectors.iter().enumerate().find(|(_, one)| Some(*one) == first) {
        cuts.push(Cut::one(Way::Set(first.clone()), first, place, Vec::new()));
        before.push(first.clone());
    }
    // All others are in it. Those that name somebody go along, so that it is known whether that one is there.
    if selectors.contains(&Selector::All) {
        let places = (0..selectors.len() as u16).collect();
        cuts.push(Cut { way: Way::Set(Selector::All), target: target.clone(), without: before, places });
        return cuts;
    }
    // Users have no session in common, and go behind all that may have some of theirs.
    let ordered = selectors.iter().enumerate();
    let (users, others): (Vec<_>, Vec<_>) =
        ordered.partition(|(_, selector)| matches!(selector, Selector::User(_)));
    let of_sets = others
        .iter()
        .filter(|(_, selector)| !matches!(selector, Selector::Session(_)) && Some(*selector) != first);
    for (place, selector) in of_sets {
        if let Some(way) = way_of(selector, own) {
            cuts.push(Cut::one(way, selector, *place, before.clone()));
        }
        before.push((*selector).clone());
    }
    for (place, user) in &users {
        cuts.push(Cut::one(Way::Set((*user).clone()), user, *place, before.clone()));
    }
    before.extend(users.iter().map(|(_, user)| (*user).clone()));
    for (place, selector) in &others {
        if let Selector::Session(id) = selector
            && id.node() != own
        {
            add_session(&mut cuts, *id, *place, &before);
        }
    }
    cuts
}

impl Cut {
    fn one(way: Way, selector: &Selector, place: usize, without: Vec<Selector>) -> Self {
        let target = Target::from(selector.clone());
        Self { way, target, without, places: smallvec![place as u16] }
    }
}

/// The sessions of one node go together.
fn add_session(cuts: &mut SmallVec<[Cut; 1]>, id: SessionId, place: usize, before: &[Selector]) {
    let selector = Selector::Session(id);
    match cuts.iter_mut().find(|cut| cut.way == Way::Node(id.node())) {
        Some(cut) if cut.without.len() == before.len() => {
            cut.target.push(selector);
            cut.places.push(place as u16);
        }
        _ => cuts.push(Cut::one(Way::Node(id.node()), &selector, place, before.to_vec())),
    }
}

/// Where the sessions of a selector are heard of; `None` where they are of this node alone.
pub fn way_of(selector: &Selector, own: u16) -> Option<Way> {
    match selector {
        Selector::Session(id) => (id.node() != own).then(|| Way::Node(id.node())),
        // Whoever has a session of all of them has one of each: the narrowest reaches the fewest.
        Selector::AllOf(parts) => {
            let narrowest = parts.iter().min_by_key(|part| match part {
                Selector::Session(_) => 0,
                Selector::User(_) => 1,
                Selector::Group(_) | Selector::Tag(_) => 2,
                Selector::AllOf(_) | Selector::All => 3,
            });
            way_of(narrowest?, own)
        }
        one => Some(Way::Set(one.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Name;

    fn user(name: &str) -> Selector {
        Selector::User(Name::new(name).unwrap())
    }

    fn group(name: &str) -> Selector {
        Selector::Group(Name::new(name).unwrap())
    }

    fn session(node: u16, slot: u32) -> Selector {
        Selector::Session(SessionId::new(node, 0, 0, slot))
    }

    fn target(selectors: &[Selector]) -> Target {
        selectors.iter().cloned().fold(Target::nobody(), Target::or)
    }

    #[test]
    fn each_part_leaves_out_whom_the_parts_before_it_mean() {
        let whole =
            [user("a"), group("x"), session(2, 1), user("b"), group("y"), session(3, 1), session(2, 2)];
        let cuts = cut(&target(&whole), 3, None);
        let part = |way, selectors: &[Selector], without: &[Selector], places: &[u16]| Cut {
            way,
            target: target(selectors),
            without: without.to_vec(),
            places: places.iter().copied().collect(),
        };
        let groups = [group("x"), group("y")];
        let expected = [
            part(Way::Set(group("x")), &groups[..1], &[], &[1]),
            part(Way::Set(group("y")), &groups[1..], &groups[..1], &[4]),
            part(Way::Set(user("a")), &[user("a")], &groups, &[0]),
            part(Way::Set(user("b")), &[user("b")], &groups, &[3]),
            part(
                Way::Node(2),
                &[session(2, 1), session(2, 2)],
                &[group("x"), group("y"), user("a"), user("b")],
                &[2, 6],
            ),
        ];
        assert_eq!(cuts[..], expected, "those of this node need no part");
    }

    #[test]
    fn one_that_goes_first_leaves_out_nobody_and_the_others_leave_it_out() {
        let whole = target(&[user("a"), group("x"), session(2, 1), group("y")]);
        let cuts = cut(&whole, 3, Some(&group("y")));
        let ways: Vec<_> = cuts.iter().map(|cut| (&cut.way, &cut.without[..], &cut.places[..])).collect();
        let expected = [
            (&Way::Set(group("y")), &[][..], &[3][..]),
            (&Way::Set(group("x")), &[group("y")], &[1]),
            (&Way::Set(user("a")), &[group("y"), group("x")], &[0]),
            (&Way::Node(2), &[group("y"), group("x"), user("a")], &[2]),
        ];
        assert_eq!(ways, expected);
        let cuts = cut(&target(&[group("y"), Selector::All]), 3, Some(&group("y")));
        assert_eq!(
            (cuts.len(), &cuts[1].way, &cuts[1].without[..]),
            (2, &Way::Set(Selector::All), &[group("y")][..])
        );
        assert_eq!(cut(&target(&[group("x")]), 3, Some(&group("y"))).len(), 1, "it is none of them");
    }

    #[test]
    fn all_is_one_part() {
        let whole = target(&[user("a"), Selector::All]);
        let cuts = cut(&whole, 1, None);
        assert_eq!((cuts.len(), &cuts[0].way, &cuts[0].target), (1, &Way::Set(Selector::All), &whole));
    }

    #[test]
    fn what_sessions_have_in_common_goes_the_narrowest_way() {
        let common = |parts: &[Selector]| Selector::AllOf(parts.into());
        assert_eq!(way_of(&common(&[group("x"), user("a")]), 1), Some(Way::Set(user("a"))));
        assert_eq!(way_of(&common(&[user("a"), session(2, 1)]), 1), Some(Way::Node(2)));
        assert_eq!(way_of(&common(&[user("a"), session(1, 1)]), 1), None);
        assert_eq!(way_of(&common(&[]), 1), None);
        let both = common(&[group("x"), group("y")]);
        assert_eq!(cut(&target(&[both.clone(), group("x")]), 1, None)[1].without, [both]);
    }
}
