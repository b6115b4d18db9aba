//! Whether an object is as desired, ignoring what the server adds.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::quantity;

/// Fields that are or contain quantities, which the server rewrites in its own spelling.
const QUANTITIES: [&str; 7] = ["limits", "requests", "capacity", "overhead", "sizeLimit", "divisor", "hard"];

/// Keys by which the server identifies the items of a list. Other lists are compared in order.
const LIST_KEYS: [&[&str]; 9] = [
    &["uid"],
    &["containerPort", "protocol"],
    &["port", "protocol"],
    &["mountPath"],
    &["devicePath"],
    &["topologyKey", "whenUnsatisfiable"],
    &["name"],
    &["type"],
    &["ip"],
];

/// Path of the first field in which two objects differ, or which only one of them has; `None` if there is none.
pub fn difference<T: Serialize>(one: &T, other: &T) -> Option<String> {
    let (one, other) = (serde_json::to_value(one).ok()?, serde_json::to_value(other).ok()?);
    find(&one, &other).or_else(|| find(&other, &one))
}

/// Path of the first field of `desired` that differs in `current`. What the server or others have added (defaults, status,
/// more items in lists with keys) is no drift.
pub(crate) fn find(desired: &Value, current: &Value) -> Option<String> {
    differs(desired, current, false).map(|path| path.trim_start_matches('.').to_owned())
}

fn differs(desired: &Value, current: &Value, quantity: bool) -> Option<String> {
    let same = match (desired, current) {
        (Value::Object(desired), Value::Object(current)) => return in_object(desired, current, quantity),
        (Value::Array(desired), Value::Array(current)) => return in_list(desired, current, quantity),
        (Value::Number(desired), Value::Number(current)) => {
            desired == current || desired.as_f64() == current.as_f64()
        }
        (Value::String(desired), Value::String(current)) if quantity => {
            desired == current
                || quantity::nanos(desired).is_some_and(|it| quantity::nanos(current) == Some(it))
        }
        (desired, current) => desired == current,
    };
    (!same).then(String::new)
}

fn in_object(desired: &Map<String, Value>, current: &Map<String, Value>, quantity: bool) -> Option<String> {
    desired.iter().find_map(|(name, desired)| {
        let difference = match current.get(name) {
            // Others may add finalizers.
            Some(Value::Array(current)) if name == "finalizers" => {
                let missing =
                    desired.as_array().is_some_and(|names| names.iter().any(|name| !current.contains(name)));
                missing.then(String::new)
            }
            Some(current) => differs(desired, current, quantity || QUANTITIES.contains(&name.as_str())),
            None => (!is_empty(desired)).then(String::new),
        };
        difference.map(|rest| format!(".{name}{rest}"))
    })
}

fn in_list(desired: &[Value], current: &[Value], quantity: bool) -> Option<String> {
    if let Some(keys) =
        LIST_KEYS.into_iter().find(|keys| desired.iter().all(|item| item.get(keys[0]).is_some()))
    {
        return desired.iter().find_map(|item| {
            let name = scalar(&item[keys[0]]);
            let found = current.iter().filter(|other| same_item(item, other, keys));
            let differences: Vec<_> = found.map(|other| differs(item, other, quantity)).collect();
            match differences.into_iter().min_by_key(Option::is_some) {
                Some(difference) => difference.map(|rest| format!("[{name}]{rest}")),
                None => Some(format!("[{name}]")),
            }
        });
    }
    if desired.len() != current.len() {
        return Some(String::new());
    }
    desired.iter().zip(current).enumerate().find_map(|(position, (desired, current))| {
        differs(desired, current, quantity).map(|rest| format!("[{position}]{rest}"))
    })
}

/// A key that the desired item leaves open matches any value: the server fills in a default.
fn same_item(desired: &Value, current: &Value, keys: &[&str]) -> bool {
    keys.iter().all(|key| desired.get(key).is_none_or(|value| current.get(key) == Some(value)))
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether the server omits such a value when it stores an object.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}

#[cfg(test)]
mod tests;
