//! Quoting for the statements that take no bind markers (DDL and roles).

/// A name with its exact case, whatever characters it holds.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text constant.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_keep_case_and_double_their_quotes() {
        assert_eq!(identifier("Admin"), r#""Admin""#);
        assert_eq!(identifier(r#"a"; DROP ROLE x"#), r#""a""; DROP ROLE x""#);
    }

    #[test]
    fn literals_double_their_quotes_and_leave_the_rest_alone() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r#"a\n"b" $$ -- /*"#), r#"'a\n"b" $$ -- /*'"#);
    }
}
