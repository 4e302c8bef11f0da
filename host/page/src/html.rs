//! Text in markup.

use std::fmt::{Display, Formatter, Result, Write};

/// A text that is no markup, whatever it holds.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: Display> Display for Text<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'f, 'g>(&'f mut Formatter<'g>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> Result {
        for c in text.chars() {
            match c {
                '<' => self.0.write_str("&lt;")?,
                '>' => self.0.write_str("&gt;")?,
                '&' => self.0.write_str("&amp;")?,
                '"' => self.0.write_str("&quot;")?,
                '\'' => self.0.write_str("&#39;")?,
                // Characters that turn the direction of text round have no place here; nor has any control character.
                c if c.is_control() || ('\u{200b}'..='\u{206f}').contains(&c) => self.0.write_char('\u{fffd}')?,
                c => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// JSON that can stand in a script element: no `<` in it.
pub(crate) fn json(value: &serde_json::Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_markup_and_ends_no_script() {
        assert_eq!(
            Text("</script><img src=x onerror='a()'>&\"\x1b\u{202e}").to_string(),
            "&lt;/script&gt;&lt;img src=x onerror=&#39;a()&#39;&gt;&amp;&quot;\u{fffd}\u{fffd}"
        );
        assert_eq!(json(&serde_json::json!(["</script>\u{2028}"])), "[\"\\u003c/script>\\u2028\"]");
    }
}
