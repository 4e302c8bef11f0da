//! Colour on a terminal that has it and wants it: not in a pipe, not with NO_COLOR.

use std::io::{self, IsTerminal, Write};

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Strong,
    Faint,
    Good,
    Warning,
    Bad,
}

impl Style {
    /// The numbers of its colour sequence.
    const fn numbers(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "1;31",
        }
    }
}

/// The standard output, of which the first failure is kept until somebody asks.
pub(crate) struct Out {
    out: io::BufWriter<io::Stdout>,
    coloured: bool,
    failed: io::Result<()>,
}

impl Out {
    pub(crate) fn new() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let wanted = is_set("CLICOLOR_FORCE") || io::stdout().is_terminal() && !dumb;
        let coloured = wanted && !is_set("NO_COLOR");
        Self { out: io::BufWriter::new(io::stdout()), coloured, failed: Ok(()) }
    }

    pub(crate) fn plain(&mut self, text: &str) {
        self.style(Style::Plain, text);
    }

    /// A text; the end of its last line is no part of its colour.
    pub(crate) fn style(&mut self, style: Style, text: &str) {
        if self.failed.is_err() {
            return;
        }
        let (line, end) = text.strip_suffix('\n').map_or((text, ""), |line| (line, "\n"));
        self.failed = match self.coloured && style != Style::Plain && !line.is_empty() {
            true => write!(self.out, "\x1b[{}m{line}\x1b[0m{end}", style.numbers()),
            false => write!(self.out, "{line}{end}"),
        };
    }

    /// Everything so far is out.
    ///
    /// # Errors
    /// Something of it could not be written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        std::mem::replace(&mut self.failed, Ok(()))?;
        self.out.flush()
    }
}
