use super::*;
use crate::ops::field::{Kind, Need};
use crate::ops::fields::Text;
use std::collections::BTreeSet;

#[test]
fn the_rows_of_the_links_stand_in_the_order_of_their_verbs_and_no_name_or_opcode_is_taken_twice() {
    for (index, op) in OPS.iter().enumerate() {
        assert_eq!((op.verb as usize, op.verb.op().opcode), (index, op.opcode), "{op:?}");
        assert_eq!(Op::named(op.row.name).map(|op| op.verb), Some(op.verb));
        assert!(
            matches!(op.row.call, Call::Push | Call::Act(_) | Call::ActOnBody(_) | Call::Listen(_)),
            "{op:?}"
        );
    }
    assert!(OPS.is_sorted_by_key(|op| op.opcode), "the refusal of an unknown opcode tells ranges");
    let names: BTreeSet<&str> = rows().map(|row| row.name).collect();
    assert_eq!(names.len(), rows().count());
    let opcodes: BTreeSet<u8> = OPS.iter().map(|op| op.opcode).collect();
    assert_eq!(opcodes.len(), OPS.len());
    assert!(
        opcodes.iter().all(|opcode| (1..0x7f).contains(opcode)),
        "0x7f holds several commands, 0x80 on are replies"
    );
}

#[test]
fn flags_are_those_of_the_layout() {
    for op in OPS.iter().filter(|op| op.verb != Verb::Push) {
        let flags = || op.layout.iter().flat_map(|part| part.flags());
        let known = flags().fold(0, |known, (flag, _)| {
            assert_eq!(known & flag, 0, "{op:?}: one flag, two meanings");
            known | flag
        });
        assert_eq!(op.flags.known, known, "{op:?}");
        let names: Vec<String> = flags().map(|(flag, name)| format!("{flag:#04x} ({name})")).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        assert_eq!(op.flags.names, names, "{op:?}");
    }
}

/// A parameter whose value has no place would be taken and forgotten.
#[test]
fn every_parameter_of_an_action_has_a_place_for_its_value() {
    for row in rows().filter(|row| !matches!(row.call, Call::Push)) {
        for route in row.routes {
            for field in row.query(route).chain(route.fields_of_path()) {
                let mut fields = Fields::default();
                field
                    .put(&mut fields, Text(field.example.into()))
                    .unwrap_or_else(|error| panic!("{route}: {error}"));
                assert!(!fields.is_empty(), "{route}: {}", field.name);
                match field.put(&mut fields, Text(field.example.into())) {
                    Ok(()) => assert!(field.is_list, "{route}: {}", field.name),
                    Err(again) => {
                        assert!(
                            !field.is_list && again.message.contains("is given twice"),
                            "{route}: {again}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn only_what_leaves_everything_as_it_is_can_be_asked_with_get() {
    for row in rows() {
        for route in row.routes {
            assert!(!(route.method == Method::Get && row.is_barrier), "{route}");
            assert!(!(row.needs == Needs::Right(Right::Read) && route.method != Method::Get), "{route}");
        }
    }
}

#[test]
fn no_two_rows_are_asked_for_with_the_same_request() {
    let routes: Vec<String> = rows().flat_map(|row| row.routes).map(ToString::to_string).collect();
    let distinct: BTreeSet<&String> = routes.iter().collect();
    assert_eq!(distinct.len(), routes.len(), "{routes:?}");
}

#[test]
fn the_paths_that_a_404_lists_are_there() {
    let sentence = paths();
    let listed = sentence.split([' ', ',']).filter(|word| word.starts_with('/'));
    let count = listed
        .map(|path| {
            let segments: Vec<&str> = path[1..].split('/').collect();
            assert!(matches!(find("BREW", &segments), Found::OtherMethods(_)), "{path}");
        })
        .count();
    assert!(count >= 15, "{sentence}");
}

#[test]
fn an_example_is_of_its_kind() {
    for field in OPS
        .iter()
        .flat_map(|op| op.fields)
        .chain(rows().flat_map(|row| row.routes).flat_map(|route| route.query))
    {
        let example = field.example;
        let holds = match field.kind {
            Kind::Name | Kind::NameOrNobody => bounds::name(field.name, example).is_ok(),
            Kind::Epoch => bounds::epoch(field.name, example).is_ok(),
            Kind::Session => bounds::session(field.name, example).is_ok(),
            Kind::Number(least) => example.parse::<u64>().is_ok_and(|number| number >= least),
            Kind::OneOf(values) | Kind::Some(values) => values.contains(&example),
            Kind::SomeOf(values) => example.split(',').all(|one| values.contains(&one)),
            Kind::Switch => example == "1",
            Kind::CloseCode => bounds::close_code(example.parse().ok()).is_ok(),
            Kind::Destination => bounds::destination(example).is_ok(),
            Kind::Path => bounds::absolute_path(field.name, example).is_ok(),
            Kind::Reason => bounds::close_reason(Some(example)).is_ok(),
            Kind::Token => example.split('.').count() == 3,
            Kind::Address => example.parse::<crate::session::Network>().is_ok(),
            Kind::Selector => bounds::selector(field.name, example).is_ok(),
            Kind::Except => bounds::session(field.name, example).is_ok(),
            Kind::Json => serde_json::from_str::<serde_json::Value>(example).is_ok(),
            Kind::Text | Kind::Base64 | Kind::Target => true,
        };
        assert!(holds, "{}: {example}", field.name);
        assert!(field.need != Need::Required || field.about.ends_with('.'), "{}", field.name);
    }
}
