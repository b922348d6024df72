//! JSON Schemas of the documents, made from the types that write them.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::connection::ConnectionDoc;
use super::document::ReportDoc;
use super::finding::FindingDoc;
use super::segments::SegmentDoc;

/// A document that has a schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schema {
    /// The JSON report.
    #[default]
    Report,
    /// A connection: element of `connections[]`, or `data` of a line of type `connection`.
    Connection,
    /// A finding: element of `findings[]`, or `data` of a line of type `finding`.
    Finding,
    /// A segment: `data` of a line of type `segment`.
    Segment,
}

/// The JSON Schema (draft 2020-12) of a document.
#[must_use]
pub fn schema(of: Schema) -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let schema = match of {
        Schema::Report => generator.into_root_schema_for::<ReportDoc<'_>>(),
        Schema::Connection => generator.into_root_schema_for::<ConnectionDoc<'_>>(),
        Schema::Finding => generator.into_root_schema_for::<FindingDoc<'_>>(),
        Schema::Segment => generator.into_root_schema_for::<SegmentDoc>(),
    };
    schema.to_value()
}
