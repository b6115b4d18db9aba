//! A new password.

use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const DIGITS: &[u8] = b"0123456789";
const LENGTH: usize = 16;

/// Letters and digits, at least one of each kind, so that no client, shell or URL needs to escape it.
pub fn password(rng: &mut impl Rng) -> String {
    let all = [UPPER, LOWER, DIGITS].concat();
    let required = [UPPER, LOWER, DIGITS];
    let pick = |position| required.get(position).map_or(all.as_slice(), |&kind| kind);
    let mut password: Vec<u8> =
        (0..LENGTH).filter_map(|position| pick(position).choose(rng).copied()).collect();
    password.shuffle(rng);
    password.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_16_letters_and_digits_with_one_of_each_kind() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let password = password(&mut rand::rng());
            assert_eq!(password.len(), 16);
            assert!(password.bytes().all(|letter| letter.is_ascii_alphanumeric()));
            for kind in [UPPER, LOWER, DIGITS] {
                assert!(password.bytes().any(|letter| kind.contains(&letter)));
            }
            seen.insert(password);
        }
        assert_eq!(seen.len(), 500);
    }
}
