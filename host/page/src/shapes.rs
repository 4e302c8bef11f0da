//! Texts taken apart: what stays the same, kept once, and the numbers that differ.
//!
//! A million events say a few dozen things with different numbers in them. Taking the finished text apart, not the event's
//! fields, holds for every trace, whoever wrote its texts, and puts together again exactly what was taken apart.

/// Stands for a decimal number, without zeros before it.
pub(crate) const DECIMAL: char = '\u{1}';
/// Stands for a hexadecimal number, without zeros before it.
pub(crate) const HEXADECIMAL: char = '\u{2}';
/// Stands for eight hexadecimal digits.
pub(crate) const EIGHT_DIGITS: char = '\u{3}';
/// Stands for a text of its own, up to the end.
pub(crate) const ANY: char = '\u{4}';

/// As many digits as a double holds exactly: scripts count in nothing else.
const DECIMAL_DIGITS: usize = 15;
const HEXADECIMAL_DIGITS: usize = 13;

/// Takes a text of printable ASCII apart: what stays goes into `shape`, the numbers into `numbers`.
pub(crate) fn take_apart(text: &str, shape: &mut String, numbers: &mut Vec<u64>) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = text;
    while !rest.is_empty() {
        let (between, from_word) = rest.split_at(rest.find(is_word).unwrap_or(rest.len()));
        let (word, behind) = from_word.split_at(from_word.find(|c| !is_word(c)).unwrap_or(from_word.len()));
        shape.push_str(between);
        one_word(word, shape, numbers);
        rest = behind;
    }
}

fn one_word(word: &str, shape: &mut String, numbers: &mut Vec<u64>) {
    let is_hexadecimal = |digits: &str| digits.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
    match word.strip_prefix("0x") {
        Some(digits) if !digits.is_empty() && is_hexadecimal(digits) => hexadecimal(digits, shape, numbers),
        None if !word.is_empty() && word.bytes().all(|c| c.is_ascii_digit()) => {
            without_zeros(word, 10, DECIMAL_DIGITS, DECIMAL, shape, numbers);
        }
        _ => shape.push_str(word),
    }
}

/// Addresses of a kernel are longer than a double: their upper halves are much the same.
fn hexadecimal(digits: &str, shape: &mut String, numbers: &mut Vec<u64>) {
    shape.push_str("0x");
    if digits.len() <= HEXADECIMAL_DIGITS {
        return without_zeros(digits, 16, HEXADECIMAL_DIGITS, HEXADECIMAL, shape, numbers);
    }
    let (upper, lower) = digits.split_at(digits.len() - 8);
    shape.push_str(upper);
    match u64::from_str_radix(lower, 16) {
        Ok(number) => {
            shape.push(EIGHT_DIGITS);
            numbers.push(number);
        }
        Err(_) => shape.push_str(lower),
    }
}

/// Zeros before a number are part of what stays.
fn without_zeros(digits: &str, radix: u32, most: usize, stands: char, shape: &mut String, numbers: &mut Vec<u64>) {
    let significant = digits.trim_start_matches('0');
    let zeros = if significant.is_empty() { digits.len() - 1 } else { digits.len() - significant.len() };
    let (zeros, number) = digits.split_at(zeros);
    match u64::from_str_radix(number, radix) {
        Ok(value) if number.len() <= most => {
            shape.push_str(zeros);
            shape.push(stands);
            numbers.push(value);
        }
        _ => shape.push_str(digits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(text: &str) -> (String, Vec<u64>) {
        let (mut shape, mut numbers) = (String::new(), Vec::new());
        take_apart(text, &mut shape, &mut numbers);
        (shape, numbers)
    }

    fn together((shape, numbers): (String, Vec<u64>)) -> String {
        let mut numbers = numbers.into_iter();
        let mut out = String::new();
        for c in shape.chars() {
            match c {
                DECIMAL => out.push_str(&numbers.next().unwrap().to_string()),
                HEXADECIMAL => out.push_str(&format!("{:x}", numbers.next().unwrap())),
                EIGHT_DIGITS => out.push_str(&format!("{:08x}", numbers.next().unwrap())),
                c => out.push(c),
            }
        }
        assert_eq!(numbers.next(), None);
        out
    }

    #[test]
    fn what_was_taken_apart_is_put_together_again() {
        let texts = [
            "",
            "intid=27 pc=0x40226554",
            "0 00 007 0x0 0x00 0x007 0x",
            "999999999999999 1000000000000000 18446744073709551615",
            "0xfffffffffffff 0x10000000000000 0xffff800080001234 0x00000000000000000000000000000001",
            "-5 +5 5% a5 5a _5 x0x5 0xG 0X10 0xAB data=0db45b02a950f79e 3.0014",
            "</script>\\x1b[2J 1",
        ];
        for text in texts {
            assert_eq!(together(apart(text)), text);
            assert!(apart(text).1.iter().all(|number| *number < 1 << 53), "{text}");
        }
    }

    #[test]
    fn texts_that_differ_in_numbers_only_have_one_shape() {
        assert_eq!(apart("intid=27 pc=0x40226554"), ("intid=\u{1} pc=0x\u{2}".into(), vec![27, 0x4022_6554]));
        assert_eq!(apart("0xffff800080001234"), ("0xffff8000\u{3}".into(), vec![0x8000_1234]));
        assert_eq!(apart("a5 007"), ("a5 00\u{1}".into(), vec![7]));
    }
}
