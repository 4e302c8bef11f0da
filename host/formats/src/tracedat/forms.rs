//! What a trace.dat says of its events: a format file for each id, as Linux's tracefs has them.
//!
//! Such a file describes events of one shape. Where an event's shape is its own (bytes up to its end, an end that comes before
//! its fields do, an id that nobody described), its id is replaced by one that describes that very length: a *variant*.

use crate::names;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use trace::{Format, Kind, Schema, Size, Value};

/// Ids of variants, from the highest down. More different shapes than this are one, whose fields are not shown.
const VARIANTS_MAX: usize = 2048;
/// Bytes of a field that a listing shows, as everywhere in this project.
const BYTES_SHOWN: usize = 16;
/// Linux's own event for text.
const PRINT: u16 = 5;

/// All ids of one trace.dat.
#[derive(Debug)]
pub(super) struct Forms<'s> {
    schema: &'s Schema,
    /// By id: what has to be looked at. Filled when an id is met.
    rules: Vec<Option<Rule>>,
    used: HashSet<u16>,
    variants: Vec<Variant>,
    by_shape: HashMap<Shape, u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    id: u16,
    length: u16,
    /// Its text does not end, or the places that it names are not in it.
    is_odd: bool,
}

#[derive(Debug)]
struct Variant {
    id: u16,
    /// `None` for those that are too many.
    of: Option<Shape>,
}

/// When an event has the shape of its format.
#[derive(Clone, Debug, Default)]
struct Rule {
    /// It never has.
    is_free: bool,
    /// Its fixed fields end here.
    least: usize,
    /// From here on a text goes to its end.
    text: Option<usize>,
    /// Fields that say where their bytes are.
    places: Vec<trace::Field>,
}

impl Rule {
    fn new(format: Option<&Format>) -> Self {
        let mut rule = Self { is_free: format.is_none(), ..Self::default() };
        for field in format.iter().flat_map(|format| &format.fields) {
            let offset = usize::from(field.offset);
            match (field.size, field.kind) {
                (Size::Fixed(size), _) => rule.least = rule.least.max(offset + usize::from(size)),
                (Size::Rest, Kind::Text) => {
                    rule.text = Some(offset);
                    rule.least = rule.least.max(offset);
                }
                (Size::Rest, _) => rule.is_free = true,
                (Size::DataLoc, _) => {
                    rule.least = rule.least.max(offset + 4);
                    rule.places.push(field.clone());
                }
            }
        }
        rule
    }

    /// A text whose end a reader would look for behind the event, or a place outside it.
    fn is_odd(&self, payload: &[u8]) -> bool {
        let ends = |text: &[u8]| text.last() == Some(&0) || text.contains(&0);
        self.text.is_some_and(|at| payload.get(at..).is_some_and(|text| !ends(text)))
            || self.places.iter().any(|field| match field.value(payload) {
                None => true,
                // A text ends at its zero, which then stands behind what it says.
                Some(Value::Text(text)) => place(field, payload).is_none_or(|bytes| bytes.len() == text.len()),
                Some(_) => false,
            })
    }
}

/// The bytes of a field that says where they are.
fn place<'e>(field: &trace::Field, payload: &'e [u8]) -> Option<&'e [u8]> {
    let bytes = trace::Field { kind: Kind::Bytes, ..field.clone() };
    match bytes.value(payload)? {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

impl<'s> Forms<'s> {
    pub(super) fn new(schema: &'s Schema) -> Self {
        let used = schema.formats().iter().map(|format| format.id).collect();
        Self { schema, rules: Vec::new(), used, variants: Vec::new(), by_shape: HashMap::new() }
    }

    /// The id under which an event is described.
    #[inline]
    pub(super) fn id(&mut self, id: u16, payload: &[u8]) -> u16 {
        let at = usize::from(id);
        if self.rules.len() <= at {
            self.rules.resize(at + 1, None);
        }
        let rule = self.rules[at].get_or_insert_with(|| Rule::new(self.schema.get(id)));
        let is_odd = rule.is_odd(payload);
        if !is_odd && !rule.is_free && payload.len() >= rule.least {
            return id;
        }
        let shape = Shape { id, length: payload.len() as u16, is_odd };
        match self.by_shape.get(&shape) {
            Some(id) => *id,
            None => self.variant(shape),
        }
    }

    fn variant(&mut self, shape: Shape) -> u16 {
        if self.variants.len() >= VARIANTS_MAX {
            return self.variants.last().map_or(u16::MAX, |variant| variant.id);
        }
        let of = (self.variants.len() + 1 < VARIANTS_MAX).then_some(shape);
        let free = (1..=u16::MAX).rev().find(|id| !self.used.contains(id)).unwrap_or(u16::MAX);
        self.used.insert(free);
        self.variants.push(Variant { id: free, of });
        if of.is_some() {
            self.by_shape.insert(shape, free);
        }
        free
    }

    /// The format files: those of Linux's own events, and the others.
    pub(super) fn files(&self) -> (Vec<String>, Vec<String>) {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for format in self.schema.formats() {
            match format.id {
                PRINT if is_print(format) => own.push(print(format)),
                _ => others.push(file(format.id, format, None)),
            }
        }
        for variant in &self.variants {
            others.push(match variant.of {
                None => special(variant.id, "other", "more shapes of events than can be described"),
                Some(shape) => match self.schema.get(shape.id) {
                    Some(format) => file(variant.id, format, Some(shape)),
                    None => file(variant.id, &unknown(shape.id), Some(shape)),
                },
            });
        }
        (own, others)
    }

    /// An id for an event of ours that says what is lost where no event follows.
    pub(super) fn unused(&mut self) -> u16 {
        let free = (1..=u16::MAX).rev().find(|id| !self.used.contains(id)).unwrap_or(u16::MAX);
        self.used.insert(free);
        free
    }
}

/// A format for an event that nobody described.
fn unknown(id: u16) -> Format {
    let data = trace::Field { name: "data".into(), kind: Kind::Bytes, offset: 0, size: Size::Rest };
    Format { id, name: "unknown".into(), fields: vec![data], print: format!("id={id} data={{data}}") }
}

/// Whether it is Linux's: an address, then text to the end.
fn is_print(format: &Format) -> bool {
    let shapes = format.fields.iter().map(|field| (field.offset, field.size, field.kind));
    shapes.eq([(0, Size::Fixed(8), Kind::Hex), (8, Size::Rest, Kind::Text)]) && format.name == "print"
}

/// What stands above an event's own fields.
fn head(id: u16, name: &str) -> String {
    format!(
        "name: {name}\nID: {id}\nformat:\n\
         \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
         \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
         \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
    )
}

/// Linux's PRINT under the names that its readers know.
fn print(format: &Format) -> String {
    let fields = "\tfield:unsigned long ip;\toffset:8;\tsize:8;\tsigned:0;\n\
                  \tfield:char buf[];\toffset:16;\tsize:0;\tsigned:0;\n";
    format!("{}{fields}\nprint fmt: \"%s\", REC->buf\n", head(format.id, &format.name))
}

/// An event of ours that has a text and nothing else.
pub(super) fn loss(id: u16) -> String {
    let field = "\tfield:char what[];\toffset:8;\tsize:0;\tsigned:0;\n";
    format!("{}{field}\nprint fmt: \"%s\", REC->what\n", head(id, "loss"))
}

fn special(id: u16, name: &str, text: &str) -> String {
    format!("{}\nprint fmt: \"{text}\"\n", head(id, name))
}

/// How one field is declared and printed.
#[derive(Default)]
struct Declared {
    declaration: String,
    /// What stands for it in the text, and the argument that belongs to that.
    conversion: &'static str,
    argument: String,
}

/// An event's format file; of one shape, if its format alone does not say where its fields end.
fn file(id: u16, format: &Format, shape: Option<Shape>) -> String {
    let names = names::unique(format, |name| name.starts_with("common_") || name.starts_with("__") || name == "REC");
    let declared: Vec<_> = format.fields.iter().zip(&names).map(|(field, name)| declare(field, name, shape)).collect();
    let mut file = head(id, &format.name);
    declared.iter().flatten().for_each(|field| file.push_str(&field.declaration));
    file.push_str("\nprint fmt: \"");
    let mut arguments = String::new();
    let mut parts = format.print.split('{');
    literal(parts.next().unwrap_or(""), &mut file);
    for part in parts {
        let (name, text) = part.split_once('}').unwrap_or((part, ""));
        let at = format.fields.iter().position(|field| field.name == name);
        match at.and_then(|at| declared[at].as_ref()) {
            Some(field) => {
                file.push_str(field.conversion);
                arguments.push_str(&field.argument);
            }
            None => literal(&format!("{{{name}?}}"), &mut file),
        }
        literal(text, &mut file);
    }
    // libtraceevent takes a quote behind an escaped backslash for escaped too.
    if file.ends_with('\\') {
        file.push(' ');
    }
    let _ = writeln!(file, "\"{arguments}");
    file
}

/// Text as it stands in a format of `printf`, in quotes.
fn literal(text: &str, file: &mut String) {
    for c in text.chars() {
        match c {
            '%' => file.push_str("%%"),
            '"' | '\\' => file.extend(['\\', c]),
            _ => file.push(c),
        }
    }
}

/// How a field is stored in events of one shape.
enum Stored {
    /// A number of 1, 2, 4 or 8 bytes.
    Number(usize),
    /// Text of so many bytes.
    Text(usize),
    /// Text up to the event's end.
    Open,
    /// So many bytes.
    Bytes(usize),
    /// Somewhere else.
    Place,
}

/// How a field is stored, if events of this shape have it.
fn stored(field: &trace::Field, shape: Option<Shape>) -> Option<Stored> {
    let rest = match shape {
        Some(shape) => usize::from(shape.length).checked_sub(usize::from(field.offset))?,
        None => usize::MAX,
    };
    let is_odd = shape.is_some_and(|shape| shape.is_odd);
    let size = match field.size {
        Size::DataLoc => return (!is_odd && rest >= 4).then_some(Stored::Place),
        Size::Rest if field.kind == Kind::Text && !is_odd => return Some(Stored::Open),
        Size::Rest if shape.is_none() => return None,
        Size::Rest => rest,
        Size::Fixed(size) => usize::from(size),
    };
    if size > rest {
        return None;
    }
    match field.kind {
        Kind::Text => Some(Stored::Text(size)),
        Kind::Bytes => Some(Stored::Bytes(size)),
        _ if matches!(size, 1 | 2 | 4 | 8) => Some(Stored::Number(size)),
        // No C type has so many bytes.
        _ => (1..8).contains(&size).then_some(Stored::Bytes(size)),
    }
}

/// A field, if events of this shape have it.
fn declare(field: &trace::Field, name: &str, shape: Option<Shape>) -> Option<Declared> {
    let at = field.offset + 8;
    let (kind, size, conversion, argument) = match stored(field, shape)? {
        Stored::Number(size) => {
            let (conversion, argument) = number(field.kind, size, name);
            let word = ["char", "short", "int", "long long"][size.ilog2() as usize];
            let sign = if field.kind == Kind::Signed { "signed" } else { "unsigned" };
            (format!("{sign} {word} {name}"), size, conversion, argument)
        }
        // A reader takes a size of zero as all that follows.
        Stored::Text(0) | Stored::Bytes(0) => return Some(Declared::default()),
        Stored::Text(size) => (format!("char {name}[{size}]"), size, "%s", format!("REC->{name}")),
        Stored::Open => (format!("char {name}[]"), 0, "%s", format!("REC->{name}")),
        Stored::Bytes(size) => {
            let shown = size.min(BYTES_SHOWN);
            let conversion = if size > shown { "%s..." } else { "%s" };
            let argument = format!("__print_hex_str(REC->{name}, {shown})");
            (format!("unsigned char {name}[{size}]"), size, conversion, argument)
        }
        Stored::Place => {
            let argument = match field.kind {
                Kind::Text => format!("__get_str({name})"),
                _ => format!("__print_hex_str(__get_dynamic_array({name}), __get_dynamic_array_len({name}))"),
            };
            (format!("__data_loc char[] {name}"), 4, "%s", argument)
        }
    };
    let signed = u8::from(field.kind == Kind::Signed);
    Some(Declared {
        declaration: format!("\tfield:{kind};\toffset:{at};\tsize:{size};\tsigned:{signed};\n"),
        conversion,
        argument: format!(", {argument}"),
    })
}

/// How a number is printed.
fn number(kind: Kind, size: usize, name: &str) -> (&'static str, String) {
    match (kind, size) {
        (Kind::Hex, _) => ("0x%llx", format!("REC->{name}")),
        // Readers take small numbers without their sign: it is put back by arithmetic.
        (Kind::Signed, 1) => ("%lld", format!("REC->{name} - ((REC->{name} & 128) * 2)")),
        (Kind::Signed, 2) => ("%lld", format!("REC->{name} - ((REC->{name} & 32768) * 2)")),
        (Kind::Signed, 4) => ("%d", format!("REC->{name}")),
        (Kind::Signed, _) => ("%lld", format!("REC->{name}")),
        _ => ("%llu", format!("REC->{name}")),
    }
}
