//! Replaces `{...}` in the lines of `repeat` blocks by numbers.
//!
//! Works on text, so that one notation serves addresses, ports, numbers and names alike. Keeps for
//! each byte of the result the column that it came from, for errors.

use super::cursor::{Cursor, ScenarioError, column_of};

/// The value of one loop variable in the current iteration.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: i64,
}

/// A line with its `{...}` replaced.
#[derive(Debug)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// For each byte of `text` the column, from 1, in the line as written.
    pub(super) origins: Vec<u32>,
}

/// Replaces every `{expression}` and `{expression:x}` (hexadecimal) of `line`.
pub(super) fn expand(
    line: &str,
    number: u32,
    variables: &[Variable],
) -> Result<Expanded, ScenarioError> {
    let mut expanded = Expanded { text: String::new(), origins: Vec::new() };
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        let open = line.len() - after.len() - 1;
        expanded.push_written(before, column_of(line, line.len() - rest.len()));
        let Some((inner, behind)) = after.split_once('}') else {
            let column = column_of(line, open);
            let message = "`{` without `}`".into();
            return Err(ScenarioError { line: number, column, message });
        };
        let column = column_of(line, open);
        let value = replacement(inner, variables).map_err(|message| ScenarioError {
            line: number,
            column,
            message,
        })?;
        expanded.origins.extend(std::iter::repeat_n(column, value.len()));
        expanded.text.push_str(&value);
        rest = behind;
    }
    expanded.push_written(rest, column_of(line, line.len() - rest.len()));
    // One more, for an error at the end of the line.
    expanded.origins.push(column_of(line, line.len()));
    Ok(expanded)
}

impl Expanded {
    fn push_written(&mut self, text: &str, mut column: u32) {
        for character in text.chars() {
            self.origins.extend(std::iter::repeat_n(column, character.len_utf8()));
            column = column.saturating_add(1);
        }
        self.text.push_str(text);
    }
}

fn replacement(inner: &str, variables: &[Variable]) -> Result<String, String> {
    let (expression, hexadecimal) = match inner.strip_suffix(":x") {
        Some(expression) => (expression, true),
        None => (inner, false),
    };
    let value = evaluate(expression, variables)?;
    if value < 0 {
        return Err(format!("`{expression}` is {value}, below 0"));
    }
    Ok(if hexadecimal { format!("{value:x}") } else { value.to_string() })
}

/// Sums of products of numbers and variables, from left to right; `*`, `/` and `%` bind tighter.
fn evaluate(expression: &str, variables: &[Variable]) -> Result<i64, String> {
    let overflow = || format!("`{expression}` has no value (overflow or division by 0)");
    let mut cursor = Cursor::new(expression, 0, &[]);
    let mut sum = 0_i64;
    let mut minus = false;
    loop {
        let mut product = operand(&mut cursor, variables)?;
        loop {
            if cursor.take('*') {
                product =
                    product.checked_mul(operand(&mut cursor, variables)?).ok_or_else(overflow)?;
            } else if cursor.take('/') {
                product =
                    product.checked_div(operand(&mut cursor, variables)?).ok_or_else(overflow)?;
            } else if cursor.take('%') {
                product =
                    product.checked_rem(operand(&mut cursor, variables)?).ok_or_else(overflow)?;
            } else {
                break;
            }
        }
        sum = if minus { sum.checked_sub(product) } else { sum.checked_add(product) }
            .ok_or_else(overflow)?;
        if cursor.is_at_end() {
            return Ok(sum);
        }
        minus = cursor.take('-');
        if !minus && !cursor.take('+') {
            return Err(format!(
                "expected an operator in `{expression}`, found {}",
                cursor.found()
            ));
        }
    }
}

fn operand(cursor: &mut Cursor<'_>, variables: &[Variable]) -> Result<i64, String> {
    let word = cursor.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
    if let Ok(number) = word.parse() {
        return Ok(number);
    }
    // The innermost block's variable hides those around it.
    variables
        .iter()
        .rev()
        .find(|variable| variable.name == word)
        .map(|variable| variable.value)
        .ok_or_else(|| format!("`{word}` is neither a number nor a variable of a `repeat` block"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<String, ScenarioError> {
        let variables =
            [Variable { name: "i".into(), value: 300 }, Variable { name: "j".into(), value: 2 }];
        expand(text, 7, &variables).map(|expanded| expanded.text)
    }

    #[test]
    fn products_bind_tighter_than_sums() {
        assert_eq!(value("10.0.{i/256}.{i%256}:{40000+i*2-j}").unwrap(), "10.0.1.44:40598");
        assert_eq!(value("2001:db8::{i:x}").unwrap(), "2001:db8::12c");
    }

    #[test]
    fn an_expression_without_a_value_is_an_error_at_its_brace() {
        for bad in ["ab{i/0}", "ab{k}", "ab{1-j}", "ab{i", "ab{i j}", "ab{9223372036854775807*i}"] {
            assert_eq!(
                value(bad).map_err(|error| (error.line, error.column)),
                Err((7, 3)),
                "{bad}"
            );
        }
    }

    #[test]
    fn every_byte_keeps_the_column_that_it_came_from() {
        let variables = [Variable { name: "i".into(), value: 300 }];
        let expanded = expand("ä{i}b", 1, &variables).unwrap();
        assert_eq!(expanded.text, "ä300b");
        assert_eq!(expanded.origins, [1, 1, 2, 2, 2, 5, 6]);
    }
}
