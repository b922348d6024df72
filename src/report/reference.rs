//! The reference of the JSON formats in Markdown, made from the schema.
//!
//! `docs/json.md` holds it; a test fails when that page is stale.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Schema, schema};

const INTRODUCTION: &str = "\
# JSON

Written from the code: `tcpautopsy schema` prints the same as JSON Schema.

`tcpautopsy analyze -o report.json INPUT` writes one [Report](#report), and `-o report.ndjson` writes
one object a line, `{\"type\": \"...\", \"data\": {...}}`:

| `type` | `data` |
|---|---|
| `connection` | a [Connection](#connection), written when it is over: in the order of their ends, the older one first where two end at the same time |
| `finding` | a [Finding](#finding) |
| `run` | `schema_version`, `tool`, `inputs`, `summary` and `quality` of the [Report](#report); the last line |

`-o x.segments.ndjson` writes one line for every TCP segment, in the order of the frames:

| `type` | `data` |
|---|---|
| `segment` | a [Segment](#segment) |

* Times are RFC 3339 in UTC with nine digits of the second.
* Durations are whole nanoseconds, with `_ns` at the end of the name.
* Frames are `{\"file\": 0, \"frame\": 1}`: `file` is an index into `inputs`, `frame` counts from 1 as
  Wireshark does.
* A field is always there; it is null where nothing is known.
* Within a major `schema_version` fields are only added.
* The same input gives the same bytes, for any number of threads.
";

/// The page.
#[must_use]
pub fn reference() -> String {
    let report = schema(Schema::Report);
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "Report", &report);
    for (name, definition) in object(&report, "$defs").into_iter().flatten() {
        section(&mut page, name, definition);
    }
    section(&mut page, "Segment", &schema(Schema::Segment));
    page
}

fn section(page: &mut String, name: &str, schema: &Value) {
    let description = text(schema, "description");
    let _ = write!(page, "\n## {name}\n\n{description}\n");
    let Some(properties) = object(schema, "properties") else {
        for choice in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
            let value = text(choice, "const");
            let _ = write!(page, "\n* `{value}`: {}", text(choice, "description"));
        }
        if schema.get("oneOf").is_some() {
            page.push('\n');
        }
        return;
    };
    page.push_str("\n| field | type | meaning |\n|---|---|---|\n");
    for (field, property) in properties {
        let meaning = text(property, "description");
        let _ = writeln!(page, "| `{field}` | {} | {meaning} |", kind(property));
    }
}

/// The type in words, with a link where it is an object of its own.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let name = name.rsplit('/').next().unwrap_or(name);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let kind_of = |name: &Value| match name.as_str() {
        Some("array") => match schema.get("items") {
            Some(items) => format!("list of {}", kind(items)),
            None => "list".to_owned(),
        },
        Some("object") => match schema.get("additionalProperties") {
            Some(values) if values.is_object() => format!("object of {} by name", kind(values)),
            _ => "object".to_owned(),
        },
        name => name.unwrap_or("any").to_owned(),
    };
    match schema.get("type") {
        Some(Value::Array(names)) => names.iter().map(kind_of).collect::<Vec<_>>().join(" or "),
        Some(name) => kind_of(name),
        None => "any".to_owned(),
    }
}

fn object<'a>(value: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    value.get(key)?.as_object()
}

/// A text in one line.
fn text(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
