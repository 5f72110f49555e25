//! JSON Schema (2020-12), as much of it as the OpenAPI document uses. A keyword that is not known here is a failure: what
//! is not checked must not look checked.

use serde_json::Value;

/// A document whose schemas refer to each other.
pub struct Schemas<'a>(pub &'a Value);

impl Schemas<'_> {
    /// Whether `value` is what `schema` describes.
    ///
    /// # Errors
    /// What of `value` is not, at which path.
    pub fn check(&self, schema: &Value, value: &Value) -> Result<(), String> {
        self.at("", schema, value)
    }

    fn at(&self, path: &str, schema: &Value, value: &Value) -> Result<(), String> {
        let keywords = schema.as_object().ok_or_else(|| format!("{path}: {schema} is no schema"))?;
        for (keyword, operand) in keywords {
            let holds = match keyword.as_str() {
                "$ref" => {
                    let pointer = operand.as_str().and_then(|text| text.strip_prefix('#'));
                    let target = pointer.and_then(|pointer| self.0.pointer(pointer));
                    let target = target.ok_or_else(|| format!("{path}: {operand} leads nowhere"))?;
                    self.at(path, target, value)?;
                    true
                }
                "type" => match operand {
                    Value::Array(types) => types.iter().any(|one| is_of(one, value)),
                    one => is_of(one, value),
                },
                "enum" => list(operand).contains(value),
                "const" => operand == value,
                "oneOf" => list(operand).iter().filter(|one| self.at(path, one, value).is_ok()).count() == 1,
                "minimum" => value.as_f64().is_none_or(|number| number >= operand.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= operand.as_f64().unwrap()),
                "minLength" => {
                    value.as_str().is_none_or(|text| text.chars().count() as u64 >= count(operand))
                }
                "maxLength" => {
                    value.as_str().is_none_or(|text| text.chars().count() as u64 <= count(operand))
                }
                "pattern" => {
                    assert_eq!(operand, "^[0-9a-f]{16}$", "the only pattern that is known here");
                    value.as_str().is_none_or(is_session_id)
                }
                "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= count(operand)),
                "items" => {
                    let items = value.as_array().map_or(&[][..], Vec::as_slice);
                    for (index, item) in items.iter().enumerate() {
                        self.at(&format!("{path}/{index}"), operand, item)?;
                    }
                    true
                }
                "minProperties" => value.as_object().is_none_or(|map| map.len() as u64 >= count(operand)),
                "required" => list(operand).iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
                "properties" => {
                    for (name, schema) in operand.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            self.at(&format!("{path}/{name}"), schema, value)?;
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    assert_eq!(operand, false, "nothing else is known here");
                    let known = &schema["properties"];
                    value.as_object().is_none_or(|map| map.keys().all(|name| known.get(name).is_some()))
                }
                "description" | "contentEncoding" => true,
                other => return Err(format!("{path}: the keyword {other} is not known here")),
            };
            if !holds {
                return Err(format!("{path}: {value} is not {keyword} {operand}"));
            }
        }
        Ok(())
    }
}

fn is_session_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is no type"),
    }
}

fn list(operand: &Value) -> &[Value] {
    operand.as_array().unwrap()
}

fn count(operand: &Value) -> u64 {
    operand.as_u64().unwrap()
}
