//! What the plugin is told to do: `key=value` words, as QEMU hands them to a plugin.

use std::fmt;

/// Everything that it can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `ram=PATH`: the file behind the machine's RAM.
    pub ram: String,
    /// `base=ADDRESS`: the physical address of its first byte.
    pub base: u64,
    /// `range=ADDRESS:SIZE`: the memory behind the cache. All other memory is coherent, as without the plugin.
    pub range: (u64, u64),
    /// `start=ADDRESS`: where the cores begin after a reset.
    pub start: u64,
    /// `line=BYTES`: a line of the cache; a power of two, 16 to 4096.
    pub line: u64,
    /// `seed=N`: of all chance. The n-th reset of a seed is always the same.
    pub seed: u64,
    /// `evict=PERCENT`: the chance of a dirty line to be in memory at a reset all the same.
    pub evict: u32,
    /// `spill=N`: of a thousand stores so many after which the line is evicted at once: memory then holds it as it was in the
    /// middle of things. Follows stores.
    pub spill: u32,
    /// `flips=N`: bits of the range that turn over at a reset, in a thousand million.
    pub flips: u64,
    /// `pages=N`: DRAM pages of the range, of 4 KiB, that lose their content at a reset, in a thousand.
    pub pages: u32,
    /// `power=N`: every n-th reset is a power cut: the range holds noise. 0 is never.
    pub power: u64,
    /// `resident=ADDRESS:PATH`: what lies there when cores begin, after each reset: a kernel that QEMU need not load again.
    pub resident: Option<(u64, String)>,
    /// `report=PATH`: a Unix socket that each [`crate::report::Reset`] is sent to.
    pub report: Option<String>,
    /// `mark=on`: each reset is marked on the standard output.
    pub mark: bool,
    /// `follow=on`: stores are followed, so that a lost line names the last one. Takes time.
    pub follow: bool,
    /// `arm=ADDRESS`: operations are counted from when a core first executes this, in each boot anew; without it from the
    /// boot's beginning.
    pub arm: Option<u64>,
    /// `point=N`: resets right behind the n-th operation since the arming, then the n+1-th, and so on. For
    /// `thread=single`. Follows stores.
    pub point: Option<u64>,
    /// `step=N`: and so many operations further each time; 1 leaves none out.
    pub step: u64,
    /// `instant=MIN:MAX`: resets at a seeded operation between these two in each boot; cores go on until it takes effect.
    /// Follows stores.
    pub instant: Option<(u64, u64)>,
    /// `coherent=ADDRESS:SIZE+...`: parts of the range which lose nothing, and in which no bit turns over: what the emulator writes
    /// again at a reset.
    pub coherent: Vec<(u64, u64)>,
    /// `uncached=ADDRESS:SIZE`: stores to these virtual addresses go past the cache, to the physical address that is as far from 0
    /// as they are from ADDRESS. Their instructions are followed, which takes time.
    pub uncached: Option<(u64, u64)>,
    /// `content=off`: reports come without the content of the range.
    pub content: bool,
    /// `watch=ADDRESS+ADDRESS+...`: instructions whose execution is counted since the arming; of cleans and DSBs only such as
    /// do something to the range.
    pub watch: Vec<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ram: String::new(),
            base: 0,
            range: (0, 0),
            start: 0,
            line: 64,
            seed: 1,
            evict: 0,
            spill: 0,
            flips: 0,
            pages: 0,
            power: 0,
            resident: None,
            report: None,
            mark: false,
            follow: false,
            arm: None,
            point: None,
            step: 1,
            instant: None,
            coherent: Vec::new(),
            uncached: None,
            content: true,
            watch: Vec::new(),
        }
    }
}

/// A word that cannot be obeyed; says what would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

fn wrong<T>(text: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong(text.into()))
}

impl Options {
    /// Reads the words.
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, Wrong> {
        let mut options = Self::default();
        for word in words {
            let Some((key, value)) = word.split_once('=') else { return wrong(format!("{word}: not key=value")) };
            options.set(key, value).map_err(|why| Wrong(format!("{word}: {why}")))?;
        }
        options.checked()
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Wrong> {
        match key {
            "ram" => self.ram = value.into(),
            "base" => self.base = number(value)?,
            "range" => self.range = pair(value)?,
            "start" => self.start = number(value)?,
            "line" => self.line = number(value)?,
            "seed" => self.seed = number(value)?,
            "evict" => self.evict = at_most(value, 100)?,
            "spill" => self.spill = at_most(value, 1000)?,
            "flips" => self.flips = number(value)?,
            "pages" => self.pages = at_most(value, 1000)?,
            "power" => self.power = number(value)?,
            "resident" => {
                let Some((address, path)) = value.split_once(':') else { return wrong("ADDRESS:PATH is wanted") };
                self.resident = Some((number(address)?, path.into()));
            }
            "report" => self.report = Some(value.into()),
            "mark" => self.mark = on_off(value)?,
            "follow" => self.follow = on_off(value)?,
            "arm" => self.arm = Some(number(value)?),
            "point" => self.point = Some(number(value)?),
            "step" => self.step = number(value)?,
            "instant" => self.instant = Some(pair(value)?),
            "coherent" => self.coherent = value.split('+').map(pair).collect::<Result<_, _>>()?,
            "uncached" => self.uncached = Some(pair(value)?),
            "content" => self.content = on_off(value)?,
            "watch" => self.watch = value.split('+').map(number).collect::<Result<_, _>>()?,
            _ => return wrong("there is no such option"),
        }
        Ok(())
    }

    fn checked(self) -> Result<Self, Wrong> {
        if !self.line.is_power_of_two() || !(16..=4096).contains(&self.line) {
            return wrong(format!("line={}: a power of two from 16 to 4096 is wanted", self.line));
        }
        if self.ram.is_empty() {
            return wrong("ram=PATH is missing: the file of the machine's memory-backend-file,share=on");
        }
        let (start, size) = self.range;
        let is_whole = |value: u64| value.is_multiple_of(self.line);
        if size == 0 || !is_whole(start) || !is_whole(size) || start < self.base || start.checked_add(size).is_none() {
            return wrong(format!("range={start:#x}:{size:#x}: whole lines of RAM are wanted"));
        }
        if self.step == 0 || self.point == Some(0) {
            return wrong("point and step begin at 1");
        }
        if self.point.is_some() && self.instant.is_some() {
            return wrong("point and instant exclude each other");
        }
        if self.instant.is_some_and(|(min, max)| min == 0 || max < min) {
            return wrong("instant=MIN:MAX: 1 <= MIN <= MAX is wanted");
        }
        Ok(self)
    }

    /// Whether each store must be seen.
    #[must_use]
    pub fn follows_stores(&self) -> bool {
        self.follow || self.spill > 0 || self.point.is_some() || self.instant.is_some()
    }
}

/// The words that [`Options::parse`] reads.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ram, base, range, start, line, seed, evict, spill, flips, pages, power, step, .. } = self;
        write!(f, "ram={ram},base={base:#x},range={:#x}:{:#x},start={start:#x}", range.0, range.1)?;
        write!(
            f,
            ",line={line},seed={seed},evict={evict},spill={spill},flips={flips},pages={pages},power={power},step={step}"
        )?;
        if let Some((address, path)) = &self.resident {
            write!(f, ",resident={address:#x}:{path}")?;
        }
        if let Some(path) = &self.report {
            write!(f, ",report={path}")?;
        }
        for (name, is) in [("mark", self.mark), ("follow", self.follow)] {
            if is {
                write!(f, ",{name}=on")?;
            }
        }
        if let Some(address) = self.arm {
            write!(f, ",arm={address:#x}")?;
        }
        if let Some(point) = self.point {
            write!(f, ",point={point}")?;
        }
        if let Some((min, max)) = self.instant {
            write!(f, ",instant={min}:{max}")?;
        }
        for (n, (start, size)) in self.coherent.iter().enumerate() {
            write!(f, "{}{start:#x}:{size:#x}", if n == 0 { ",coherent=" } else { "+" })?;
        }
        if let Some((start, size)) = self.uncached {
            write!(f, ",uncached={start:#x}:{size:#x}")?;
        }
        if !self.content {
            f.write_str(",content=off")?;
        }
        for (n, address) in self.watch.iter().enumerate() {
            write!(f, "{}{address:#x}", if n == 0 { ",watch=" } else { "+" })?;
        }
        Ok(())
    }
}

fn number<T: TryFrom<u64>>(text: &str) -> Result<T, Wrong> {
    let value = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    value.and_then(|value| T::try_from(value).ok()).map_or_else(|| wrong("a number is wanted"), Ok)
}

fn at_most(text: &str, most: u32) -> Result<u32, Wrong> {
    let value = number(text)?;
    if value > most { wrong(format!("at most {most}")) } else { Ok(value) }
}

fn pair(text: &str) -> Result<(u64, u64), Wrong> {
    let Some((first, second)) = text.split_once(':') else { return wrong("two numbers with a colon are wanted") };
    Ok((number(first)?, number(second)?))
}

/// QEMU turns a lone `key` into `key=on`.
fn on_off(text: &str) -> Result<bool, Wrong> {
    match text {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => wrong("on or off is wanted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Options {
        Options {
            ram: "/r".into(),
            base: 0x4000_0000,
            range: (0x5000_0000, 0x4_0000),
            start: 0x4000_0000,
            line: 128,
            seed: 9,
            evict: 50,
            spill: 20,
            flips: 17,
            pages: 3,
            power: 100,
            resident: Some((0x4400_0000, "/k".into())),
            report: Some("/s".into()),
            mark: true,
            follow: true,
            arm: Some(0x4400_1000),
            point: Some(1),
            step: 2,
            instant: None,
            coherent: vec![(0x5000_0000, 0x1000), (0x5000_8000, 64)],
            uncached: Some((1 << 46, 1 << 40)),
            content: false,
            watch: vec![0x4400_2000, 0x4400_2004],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for options in [
            all(),
            Options { point: None, instant: Some((5, 900)), watch: vec![], arm: None, ..all() },
            Options { ram: "/r".into(), range: (0, 64), ..Options::default() },
        ] {
            assert_eq!(Options::parse(options.to_string().split(',')), Ok(options));
        }
    }

    #[test]
    fn what_cannot_be_obeyed_says_what_can() {
        let text = "ram=/r,range=0:64";
        for (more, says) in [
            ("evict=101", "at most 100"),
            ("evict=some", "a number"),
            ("line=48", "a power of two"),
            ("range=8:64", "whole lines"),
            ("range=0:0", "whole lines"),
            ("range=64", "a colon"),
            ("point=0", "begin at 1"),
            ("instant=9:3", "MIN <= MAX"),
            ("cache=big", "no such option"),
            ("follow", "not key=value"),
        ] {
            let error = Options::parse(text.split(',').chain([more])).unwrap_err();
            assert!(error.to_string().contains(says), "{more}: {error}");
        }
        assert!(Options::parse(["range=0:64"]).unwrap_err().to_string().contains("ram=PATH"));
    }
}
