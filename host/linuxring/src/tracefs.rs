//! Reads tracefs' own descriptions of events: `format` files.
//!
//! What is printed is followed as far as events usually go: text, numbers, strings, pointers, names of values and of flags,
//! one of two texts. An event whose form goes further is shown in its built-in form, if there is one for the same fields, else
//! every field as `field=value`.

use crate::event::{Field, Holds, Kind};
use crate::print::{How, Piece, What};
use crate::table::{Known, TABLE};
use std::collections::HashMap;

/// Bytes of the common header: fields before their end are those of every event.
const COMMON: u16 = crate::page::COMMON as u16;

/// All kinds of events in a text of `format` files, by id.
pub(crate) fn kinds(text: &str) -> HashMap<u16, Kind> {
    let mut kinds = HashMap::new();
    let (mut name, mut id, mut fields) = (String::new(), None, Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("name:") {
            name = rest.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            (id, fields) = (None, Vec::new());
        } else if let Some(rest) = line.strip_prefix("ID:") {
            id = rest.trim().parse().ok();
        } else if line.starts_with("field:") {
            fields.extend(field(line));
        } else if let Some(rest) = line.strip_prefix("print fmt:") {
            let Some(id) = id.take() else { continue };
            let mut kind =
                Kind { name: std::mem::take(&mut name), fields: std::mem::take(&mut fields), print: Vec::new() };
            kind.print = pieces(rest.trim(), &kind)
                .unwrap_or_else(|| as_built_in(id, &kind).unwrap_or_else(|| all_fields(&kind)));
            kinds.insert(id, kind);
        }
    }
    kinds
}

/// A line `field:type name; offset:8; size:16; signed:0;`, if it is not one of the common header.
fn field(line: &str) -> Option<Field> {
    let mut parts = line.split(';').map(str::trim);
    let declared = parts.next()?.strip_prefix("field:")?;
    let mut value = |key: &str| parts.next()?.strip_prefix(key)?.parse::<u16>().ok();
    let (offset, size, signed) = (value("offset:")?, value("size:")?, value("signed:")?);
    let (kind, name) = declared.rsplit_once(char::is_whitespace)?;
    let (name, times) = name.split_once('[').map_or((name, None), |(name, times)| (name, Some(times)));
    let name = name.trim_start_matches('*');
    let holds = match (kind.strip_prefix("__data_loc"), times) {
        (Some(kind), _) if kind.contains("char") => Holds::TextElsewhere,
        (Some(_), _) => Holds::BytesElsewhere,
        (None, Some(_)) if kind.ends_with("char") => Holds::Text,
        (None, Some(times)) => {
            let times = times.trim_end_matches(']').parse::<u16>().ok().filter(|times| *times > 0)?;
            Holds::Numbers(size / times)
        }
        (None, None) if signed == 1 => Holds::Signed,
        (None, None) => Holds::Unsigned,
    };
    if matches!(holds, Holds::Unsigned | Holds::Signed) && size > 8 {
        return None;
    }
    Some(Field { name: name.into(), holds, offset: offset.checked_sub(COMMON)?, size })
}

/// The form of the same event as it is built in, if its fields are the same; of several the one with the same id.
fn as_built_in(id: u16, kind: &Kind) -> Option<Vec<Piece>> {
    let is_same = |known: &&Known| known.kind.name == kind.name && known.kind.fields == kind.fields;
    let same = || TABLE.iter().filter(is_same);
    let known = same().find(|known| known.ids.contains(&Some(id))).or_else(|| same().next_back())?;
    Some(known.kind.print.clone())
}

/// Every field as `field=value`.
fn all_fields(kind: &Kind) -> Vec<Piece> {
    let value = |(place, field): (usize, &Field)| {
        let space = if place == 0 { "" } else { " " };
        let what = What { field: place as u16, ..What::default() };
        [Piece::Text(format!("{space}{}=", field.name)), Piece::Value { what, how: How::Plain }]
    };
    kind.fields.iter().enumerate().flat_map(value).collect()
}

/// The parts of a print form: a C string, then its arguments.
fn pieces(form: &str, kind: &Kind) -> Option<Vec<Piece>> {
    let (format, rest) = string(form)?;
    let arguments = split(rest.trim_start_matches(','));
    let mut arguments = arguments.iter().map(|argument| argument.trim());
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut characters = format.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '%' {
            text.push(if (' '..='~').contains(&c) { c } else { ' ' });
            continue;
        }
        let mut conversion = String::new();
        // Of a pointer's two letters the second is part of it only where Linux knows such a form.
        for c in characters.by_ref() {
            conversion.push(c);
            if c.is_ascii_alphabetic() && !matches!(c, 'l' | 'h' | 'z' | 'L') || c == '%' {
                break;
            }
        }
        if conversion == "%" {
            text.push('%');
            continue;
        }
        if conversion.ends_with('p')
            && let Some(c @ ('s' | 'S')) = characters.peek().copied()
        {
            characters.next();
            conversion.push(c);
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(piece(&conversion, arguments.next()?, kind)?);
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Some(pieces)
}

/// A C string at the beginning of a text, and what is behind it.
fn string(text: &str) -> Option<(String, &str)> {
    let mut characters = text.strip_prefix('"')?.char_indices();
    let mut string = String::new();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((string, &text[at + 2..])),
            '\\' => match characters.next()?.1 {
                'n' => string.push('\n'),
                't' => string.push('\t'),
                other => string.push(other),
            },
            _ => string.push(c),
        }
    }
    None
}

/// Splits at commas that stand in no bracket and in no string.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start, mut in_string, mut escaped) = (0i32, 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The value of an argument in the form of a conversion.
fn piece(conversion: &str, argument: &str, kind: &Kind) -> Option<Piece> {
    let argument = bare(argument);
    if let Some(list) = call(argument, "__print_symbolic") {
        let list = split(list);
        let (value, names) = list.split_first()?;
        return Some(Piece::Value { what: what(value, kind)?, how: How::Names(names_of(names)?) });
    }
    if let Some(list) = call(argument, "__print_flags") {
        let list = split(list);
        let [value, separator, names @ ..] = &list[..] else { return None };
        let separator = string(separator.trim())?.0;
        let how = How::Flags { separator, names: names_of(names)?, none: String::new() };
        return Some(Piece::Value { what: what(value, kind)?, how });
    }
    if let Some(choice) = choice(argument, kind) {
        return Some(choice);
    }
    let how = match conversion.chars().last()? {
        's' if conversion.ends_with("ps") => How::Symbol { distance: false },
        'S' if conversion.ends_with("pS") => How::Symbol { distance: true },
        's' => How::Plain,
        'p' => How::Pointer,
        'c' => return None,
        letter @ ('d' | 'i' | 'u' | 'x' | 'X') => numeral(conversion, letter)?,
        _ => return None,
    };
    // A text that lies behind a pointer is not in the region.
    let what = what(argument, kind)?;
    let field = kind.fields.get(usize::from(what.field))?;
    let is_text = matches!(field.holds, Holds::Text | Holds::TextElsewhere);
    if how == How::Plain && !is_text {
        return Some(Piece::Value { what, how: How::Pointer });
    }
    (how == How::Plain || !is_text).then_some(Piece::Value { what, how })
}

/// The form of a number: `#`, zeros, width.
fn numeral(conversion: &str, letter: char) -> Option<How> {
    let form = conversion.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let prefix = form.contains('#');
    let digits = form.trim_start_matches('#');
    let zeros = digits.starts_with('0');
    let width = if digits.is_empty() { 0 } else { digits.parse().ok().filter(|width| *width < 64)? };
    Some(match letter {
        'd' | 'i' => How::Decimal { signed: true, width, zeros },
        'u' => How::Decimal { signed: false, width, zeros },
        _ => How::Hex { prefix, width: if prefix { width.saturating_sub(2) } else { width }, zeros },
    })
}

/// The inside of a call of this function.
fn call<'t>(text: &'t str, function: &str) -> Option<&'t str> {
    text.strip_prefix(function)?.trim_start().strip_prefix('(')?.strip_suffix(')')
}

/// Without brackets around all of it, and without casts before it.
fn bare(mut text: &str) -> &str {
    loop {
        text = text.trim();
        let Some(inner) = text.strip_prefix('(') else { return text };
        let Some(end) = closing(inner) else { return text };
        let (inside, behind) = (&inner[..end], inner[end + 1..].trim());
        let is_type = inside.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '*'));
        text = if behind.is_empty() {
            inside
        } else if is_type && behind.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '(' | '~')) {
            behind
        } else {
            return text;
        };
    }
}

/// The place of the bracket that closes one which was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.char_indices().find_map(|(at, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        (depth == 0).then_some(at)
    })
}

/// `{ value, "name" }, ...`
fn names_of(list: &[&str]) -> Option<Vec<(u64, String)>> {
    let pair = |part: &&str| {
        let inside = part.trim().strip_prefix('{')?.strip_suffix('}')?;
        let (value, name) = inside.rsplit_once(", \"").or_else(|| inside.rsplit_once(",\""))?;
        let name: String = name.trim().trim_end_matches('"').chars().filter(|c| (' '..='~').contains(c)).collect();
        Some((constant(value)?, name))
    };
    list.iter().map(pair).collect()
}

/// Operators within one another that are followed: Linux has a dozen, and a file that somebody made may have no end of them.
const NESTED_MAX: u32 = 64;

/// A number, or numbers shifted and joined.
fn constant(text: &str) -> Option<u64> {
    constant_within(text, NESTED_MAX)
}

fn constant_within(text: &str, nested: u32) -> Option<u64> {
    let text = bare(text);
    let nested = nested.checked_sub(1)?;
    let constant = |text| constant_within(text, nested);
    let inside = |operator: &str| split_at_depth_zero(text, operator);
    if let Some((left, right)) = inside("|") {
        return Some(constant(left)? | constant(right)?);
    }
    if let Some((left, right)) = inside("&") {
        return Some(constant(left)? & constant(right)?);
    }
    if let Some((left, right)) = inside("<<") {
        return constant(left)?.checked_shl(constant(right)?.try_into().ok()?);
    }
    if let Some(rest) = text.strip_prefix('~') {
        return Some(!constant(rest)?);
    }
    let digits = text.trim_end_matches(['U', 'L', 'u', 'l']);
    match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => digits.parse::<i64>().ok().map(i64::cast_unsigned),
    }
}

fn split_at_depth_zero<'t>(text: &'t str, operator: &str) -> Option<(&'t str, &'t str)> {
    let mut depth = 0;
    let at = text.char_indices().find_map(|(at, c)| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        (depth == 0 && text[at..].starts_with(operator)).then_some(at)
    })?;
    Some((&text[..at], &text[at + operator.len()..]))
}

/// `field ? "yes" : "no"`.
fn choice(text: &str, kind: &Kind) -> Option<Piece> {
    let (value, texts) = split_at_depth_zero(text, "?")?;
    let (yes, rest) = string(texts.trim())?;
    let (no, rest) = string(rest.trim().strip_prefix(':')?.trim())?;
    rest.trim().is_empty().then_some(())?;
    Some(Piece::Value { what: what(value, kind)?, how: How::Choice(yes, no) })
}

/// A field: `REC->name`, `REC->name[2]`, `__get_str(name)`, masked or moved down.
fn what(text: &str, kind: &Kind) -> Option<What> {
    what_within(text, kind, NESTED_MAX)
}

fn what_within(text: &str, kind: &Kind, nested: u32) -> Option<What> {
    let text = bare(text);
    let nested = nested.checked_sub(1)?;
    let what = |text| what_within(text, kind, nested);
    if let Some((left, right)) = split_at_depth_zero(text, "&") {
        return Some(What { mask: Some(constant(right)?), ..what(left)? });
    }
    if let Some((left, right)) = split_at_depth_zero(text, ">>") {
        return Some(What { shift: constant(right)?.try_into().ok().filter(|shift| *shift < 64)?, ..what(left)? });
    }
    let place = |name: &str| kind.fields.iter().position(|field| field.name == name.trim()).map(|place| place as u16);
    if let Some(name) = call(text, "__get_str") {
        return Some(What { field: place(name)?, ..What::default() });
    }
    let name = text.strip_prefix("REC->")?;
    let (name, element) = match name.split_once('[') {
        Some((name, element)) => (name, Some(element.strip_suffix(']')?.trim().parse().ok()?)),
        None => (name, None),
    };
    Some(What { field: place(name)?, element, ..What::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::Symbols;

    fn shown(fields: &str, print: &str, payload: &[u8]) -> String {
        let common = "field:unsigned short common_type; offset:0; size:2; signed:0;";
        let text = format!("name: some_event\nID: 700\nformat:\n\t{common}\n\n{fields}\nprint fmt: {print}\n");
        let mut out = String::new();
        kinds(&text)[&700].show(payload, &Symbols::default(), &mut out).unwrap();
        out
    }

    const FIELDS: &str = "\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:__data_loc char[] name;\toffset:12;\tsize:4;\tsigned:0;\n\tfield:unsigned long b[2];\toffset:16;\tsize:16;\tsigned:0;";

    fn payload() -> Vec<u8> {
        let mut payload = (-2i32).to_le_bytes().to_vec();
        payload.extend([32, 0, 5, 0]);
        payload.extend(0xabcu64.to_le_bytes());
        payload.extend(3u64.to_le_bytes());
        payload.extend(b"four\0\0\0\0");
        payload
    }

    #[test]
    fn usual_forms_are_followed() {
        for (print, expected) in [
            (r#""a=%d name=%s", REC->a, __get_str(name)"#, "a=-2 name=four"),
            (
                r#""%03d %u %x %#lx 100%%", REC->a, REC->a, REC->b[0], (unsigned long)(REC->b[0])"#,
                "-02 4294967294 abc 0xabc 100%",
            ),
            (
                r#""%p %ps %s", (void *)REC->b[0], REC->b[1], (REC->a) ? "yes, so" : "no""#,
                "0000000000000abc 0x3 yes, so",
            ),
            (r#""%s", __print_symbolic(REC->b[1], { 1, "one" }, { (1 << 1) | 1, "three, 3" })"#, "three, 3"),
            (
                r#""%s", __print_flags(REC->b[1], "|", { 0x1UL, "A" }, {( unsigned long)(((( gfp_t)((((1UL))) << (1))))), "B" })"#,
                "A|B",
            ),
            (r#""%lu %lu", REC->b[0] >> 4, REC->b[0] & 0xff"#, "171 188"),
        ] {
            assert_eq!(shown(FIELDS, print, &payload()), expected, "{print}");
        }
    }

    #[test]
    fn what_goes_further_is_shown_field_by_field() {
        let print = r#""%s", some_function(REC->a)"#;
        assert_eq!(shown(FIELDS, print, &payload()), "a=-2 name=four b=bc0a0000000000000300000000000000");
        assert_eq!(shown(FIELDS, print, &payload()[..6]), "a=-2 name=(cut off) b=(cut off)");
    }

    #[test]
    fn operators_without_end_are_not_followed_to_their_end() {
        let zeros = |count: usize, operator: &str| vec!["0"; count].join(operator);
        for operator in ["|", "&", "<<"] {
            assert!(constant(&zeros(20, operator)).is_some(), "{operator}");
            assert_eq!(constant(&zeros(100_000, operator)), None, "{operator}");
        }
        assert_eq!((constant(&"~".repeat(20)), constant(&format!("{}1", "~".repeat(100_000)))), (None, None));
        for operator in ["&", ">>"] {
            let print = format!("\"%d\", REC->a {operator} {}", zeros(100_000, operator));
            assert_eq!(shown(FIELDS, &print, &payload()), "a=-2 name=four b=bc0a0000000000000300000000000000");
        }
    }

    #[test]
    fn any_text_is_read() {
        for text in [
            "",
            "ID: 1\nprint fmt: \"%",
            "name: x\nID: 70000\nprint fmt: \"\"",
            "ID: 3\nprint fmt: \"%d %s\", (((, {",
            "field:",
        ] {
            let _ = kinds(text);
        }
    }
}
