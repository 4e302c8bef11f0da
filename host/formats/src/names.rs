//! Names of fields that a format's readers take: no two alike in one event, none that means something else there.

use trace::Format;

/// A name for each field of an event, in order: its own, with `f_` before it if that is reserved (no name that begins so is),
/// with a number behind it if it is taken.
pub(crate) fn unique(format: &Format, is_reserved: impl Fn(&str) -> bool) -> Vec<String> {
    let mut taken = std::collections::HashSet::new();
    let mut numbers = std::collections::HashMap::<&str, usize>::new();
    let mut names = Vec::with_capacity(format.fields.len());
    for field in &format.fields {
        // The next number of this name: trying them all anew for each of thousands would take for ever.
        let number = numbers.entry(&field.name).or_insert(2);
        let own = if is_reserved(&field.name) { format!("f_{}", field.name) } else { field.name.clone() };
        let mut name = own.clone();
        while taken.contains(&name) {
            name = format!("{own}_{number}");
            *number += 1;
        }
        taken.insert(name.clone());
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use trace::{Field, Kind, Size};

    #[test]
    fn two_fields_of_one_name_and_reserved_ones_are_told_apart() {
        let field = |name: &&str| Field { name: (*name).into(), kind: Kind::Hex, offset: 0, size: Size::Fixed(4) };
        let fields = ["a", "a_2", "a", "a", "event", "event"].iter().map(field).collect();
        let format = Format { id: 1, name: "x".into(), fields, print: String::new() };
        assert_eq!(unique(&format, |name| name == "event"), ["a", "a_2", "a_3", "a_4", "f_event", "f_event_2"]);
    }
}
