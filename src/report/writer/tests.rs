//! `serde_json` is the oracle.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::outline::GATHERED;
use super::*;

fn in_one_line(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    append(value, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn outlined(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    write(value, 2, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// A value of every kind that serde knows.
#[derive(Serialize)]
struct All {
    numbers: (i8, i16, i32, i64, i128, u8, u16, u32, u64, u128),
    fractions: (f32, f64, f64, f64),
    text: &'static str,
    letter: char,
    pair: Pair,
    wrapped: Wrapped,
    unit: (),
    nothing: Nothing,
    some: Option<bool>,
    none: Option<bool>,
    bytes: [u8; 3],
    variants: Vec<Variant>,
    map: BTreeMap<String, u8>,
    shown: Shown,
}

#[derive(Serialize)]
struct Pair(u8, &'static str);

#[derive(Serialize)]
struct Wrapped(Option<u8>);

#[derive(Serialize)]
struct Nothing;

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Variant {
    Unit,
    Newtype(u8),
    Tuple(u8, Vec<u8>),
    Struct { field: u8, other: () },
}

struct Shown;

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{} \"{}\"\n", 1, "\u{1}ü"))
    }
}

fn all() -> All {
    All {
        numbers: (-1, -2, i32::MIN, i64::MIN, i128::MIN, 1, 2, u32::MAX, u64::MAX, u128::MAX),
        fractions: (0.1, 41.0, 1e300, f64::NAN),
        text: "\u{0}\u{8}\u{c}\u{1f}\n\r\t \"\\/ \u{7f}\u{2028}é",
        letter: '"',
        pair: Pair(1, ""),
        wrapped: Wrapped(Some(3)),
        unit: (),
        nothing: Nothing,
        some: Some(true),
        none: None,
        bytes: [1, 2, 3],
        variants: vec![
            Variant::Unit,
            Variant::Newtype(1),
            Variant::Tuple(2, vec![]),
            Variant::Struct { field: 3, other: () },
        ],
        map: BTreeMap::from([("a \"b\"".to_owned(), 1), (String::new(), 2)]),
        shown: Shown,
    }
}

#[test]
fn values_of_every_kind_are_written_as_serde_json_writes_them() {
    assert_eq!(in_one_line(&all()), serde_json::to_string(&all()).unwrap());
}

#[test]
fn two_levels_are_outlined_and_the_rest_stays_on_one_line() {
    let value = json!({ "a": [{ "b": [1, 2], "c": {} }, []], "d": {}, "e": { "f": [] } });
    let expected = "{\n  \"a\": [\n    {\"b\":[1,2],\"c\":{}},\n    []\n  ],\n  \"d\": {},\n  \
                    \"e\": {\n    \"f\": []\n  }\n}";
    assert_eq!(outlined(&value), expected);
    assert_eq!(outlined(&json!([])), "[]");
}

#[test]
fn much_is_written_on_before_it_is_all_there() {
    /// Counts what it is given.
    #[derive(Default)]
    struct Pieces(Vec<usize>);
    impl Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut pieces = Pieces::default();
    let many = vec!["x".repeat(1_000); 1_000];
    write(&many, 2, &mut pieces).unwrap();
    assert_eq!(pieces.0.iter().sum::<usize>(), outlined(&many).len());
    assert!(pieces.0.len() > 10 && pieces.0.iter().all(|piece| *piece < 2 * GATHERED));
}

#[test]
fn a_reader_that_goes_away_is_told_from_a_value_that_cannot_be_written() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error: io::Error = write(&1, 2, &mut Gone).unwrap_err().into();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    let error = append(&BTreeMap::from([(1, 2)]), &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "a key must be a string");
}

/// Any JSON value.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[\\x00-\\x7f]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..6)
                .prop_map(|pairs| { Value::Object(pairs.into_iter().collect()) }),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_is_written_as_serde_json_writes_it(value in any_value()) {
        prop_assert_eq!(in_one_line(&value), serde_json::to_string(&value).unwrap());
        let outlined: Value = serde_json::from_str(&outlined(&value)).unwrap();
        prop_assert_eq!(outlined.to_string(), value.to_string());
    }
}
