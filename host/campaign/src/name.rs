//! A lane as a text that a shell can pass on: `machine=GICv3, cortex-a76;stop=auto;clean=event;...`. What is not named is as
//! by default.

use crate::lane::{End, Lane};
use crate::matrix::{DEATHS, OTHERS, STOPS, clean_word, known};
use anyhow::{Context, Error, Result, bail};
use qemu::stop_matrix::MACHINES;
use ring::policy::CleanAt;
use std::fmt;
use std::str::FromStr;

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Die(word) => f.write_str(word),
            Self::Instant { min, max } => write!(f, "instant:{min}:{max}"),
            Self::PanicPoints => f.write_str("panic-points"),
            Self::WriterPoints => f.write_str("writer-points"),
        }
    }
}

impl FromStr for End {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "instant" => Self::Instant { min: 1, max: 20_000 },
            "panic-points" => Self::PanicPoints,
            "writer-points" => Self::WriterPoints,
            _ => match text.strip_prefix("instant:").map(|range| range.split_once(':')) {
                Some(range) => {
                    let range = range.and_then(|(min, max)| Some((min.parse().ok()?, max.parse().ok()?)));
                    let (min, max) =
                        range.filter(|(min, max)| 1 <= *min && min <= max).context("instant:MIN:MAX is wanted")?;
                    Self::Instant { min, max }
                }
                None => Self::Die(known("end", text, DEATHS)?),
            },
        })
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, stop, evict, end, others, events, seed, step, crashes, .. } = self;
        let clean = clean_word(self.clean);
        write!(f, "machine={machine};stop={stop};clean={clean};evict={evict};end={end};others={others}")?;
        write!(f, ";events={events};seed={seed};step={step};crashes={crashes}")?;
        for (name, is) in [("follow", self.follow), ("parallel", self.parallel)] {
            if is {
                write!(f, ";{name}=yes")?;
            }
        }
        for (name, value) in [("flips", self.flips), ("pages", self.pages.into()), ("power", self.power)] {
            if value > 0 {
                write!(f, ";{name}={value}")?;
            }
        }
        if self.extra.is_empty() { Ok(()) } else { write!(f, ";extra={}", self.extra) }
    }
}

impl FromStr for Lane {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut lane = Self::default();
        for word in text.split(';').filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').with_context(|| format!("{word:?} is not key=value"))?;
            let number = || value.parse::<u64>().with_context(|| format!("{word}: a number is wanted"));
            match key {
                "machine" => lane.machine = known("machine", value, &MACHINES.map(|kind| kind.name))?,
                "stop" => lane.stop = known("stop", value, STOPS)?,
                "others" => lane.others = known("others", value, OTHERS)?,
                "clean" => lane.clean = clean(value)?,
                "end" => lane.end = value.parse()?,
                "evict" => {
                    lane.evict = u32::try_from(number()?).ok().filter(|it| *it <= 100).context("evict: at most 100")?;
                }
                "events" => lane.events = number()?,
                "seed" => lane.seed = number()?,
                "step" => lane.step = number()?.max(1),
                "crashes" => lane.crashes = number()?,
                "follow" => lane.follow = value == "yes",
                "parallel" => lane.parallel = value == "yes",
                "flips" => lane.flips = number()?,
                "pages" => {
                    lane.pages =
                        u32::try_from(number()?).ok().filter(|it| *it <= 1000).context("pages: at most 1000")?;
                }
                "power" => lane.power = number()?,
                "extra" => value.clone_into(&mut lane.extra),
                _ => bail!("a lane has no {key}: see what the loop prints"),
            }
        }
        Ok(lane)
    }
}

/// A clean mode by its word.
pub(crate) fn clean(word: &str) -> Result<CleanAt> {
    let all = [CleanAt::Panic, CleanAt::SubBuffer, CleanAt::Event];
    let found = all.into_iter().find(|mode| clean_word(*mode) == word);
    found.with_context(|| format!("clean={word}: panic, subbuffer or event is wanted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_comes_back_from_its_name() {
        let odd = Lane {
            machine: "raspi4b",
            stop: "el2",
            clean: CleanAt::Event,
            evict: 50,
            end: End::Instant { min: 3, max: 9 },
            others: "masked",
            extra: "parity=4 payload=0..64".into(),
            seed: 77,
            follow: true,
            parallel: true,
            flips: 5,
            pages: 6,
            power: 7,
            ..Lane::default()
        };
        for lane in [Lane::default(), odd, Lane { end: End::WriterPoints, ..Lane::default() }] {
            assert_eq!(lane.to_string().parse::<Lane>().unwrap(), lane);
        }
        assert_eq!("".parse::<Lane>().unwrap(), Lane::default());
    }

    #[test]
    fn a_wrong_name_says_what_would_be_right() {
        for (text, says) in [
            ("machine=vax", "GICv3, cortex-a76"),
            ("end=laugh", "panic-in-irq"),
            ("end=instant:9:3", "MIN:MAX"),
            ("clean=never", "subbuffer"),
            ("evict=101", "at most 100"),
            ("seed=x", "a number"),
            ("colour=red", "no colour"),
            ("seed", "key=value"),
        ] {
            let error = text.parse::<Lane>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
