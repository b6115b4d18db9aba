//! Kubernetes quantities, compared by what they amount to.

/// The amount in billionths of the unit; `None` if the text is no quantity.
pub fn nanos(text: &str) -> Option<i128> {
    let split = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = format!("{whole}{fraction}").parse::<i128>().ok()?;
    let decimals = u32::try_from(fraction.len()).ok()?;
    let (base, exponent): (i128, i32) = match suffix {
        "" => (10, 0),
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (2, 10),
        "Mi" => (2, 20),
        "Gi" => (2, 30),
        "Ti" => (2, 40),
        "Pi" => (2, 50),
        "Ei" => (2, 60),
        _ => (10, suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let billion = digits.checked_mul(1_000_000_000)?;
    let power = base.checked_pow(exponent.unsigned_abs())?;
    let scaled = if exponent < 0 { billion / power } else { billion.checked_mul(power)? };
    Some(scaled / 10_i128.checked_pow(decimals)?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::nanos;

    #[rstest]
    #[case("1", "1000m")]
    #[case("0.5", "500m")]
    #[case(".5", "500m")]
    #[case("2.5Gi", "2560Mi")]
    #[case("1Gi", "1073741824")]
    #[case("1e3", "1k")]
    #[case("12E6", "12M")]
    #[case("1E", "1000P")]
    #[case("-1", "-1000m")]
    #[case("0", "0Gi")]
    #[case("100n", "0.1u")]
    fn different_spellings_of_an_amount_are_equal(#[case] one: &str, #[case] other: &str) {
        assert!(nanos(one).is_some());
        assert_eq!(nanos(one), nanos(other));
    }

    #[rstest]
    #[case("1", "1001m")]
    #[case("1G", "1Gi")]
    fn different_amounts_differ(#[case] one: &str, #[case] other: &str) {
        assert_ne!(nanos(one), nanos(other));
    }

    #[rstest]
    #[case("")]
    #[case("Gi")]
    #[case("one")]
    #[case("1.2.3")]
    #[case("1Q")]
    #[case("1e99")]
    fn other_text_is_no_quantity(#[case] text: &str) {
        assert_eq!(nanos(text), None);
    }
}
