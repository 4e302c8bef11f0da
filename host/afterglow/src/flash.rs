//! `afterglow flash`: a card's image onto a card.

use crate::progress;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use sdcard::flash::{Disk, Permission, Phase, System, Target, refusals, verify, write};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes the image of a card to a card, and reads it back from there
///
/// Shows what is on the device and asks for its name first. Never written are disks that the system runs from, that are mounted,
/// swapped to, or part of LVM, encryption or RAID, and partitions. Exit status: 0 written and read back; 125 not, and why.
#[derive(Debug, Args)]
pub(crate) struct Flash {
    /// The image, as `afterglow image` makes it
    image: PathBuf,

    /// The card's device: /dev/sdX, /dev/mmcblkN, or a link to it
    device: PathBuf,

    /// Does not ask; for scripts
    #[arg(long)]
    yes: bool,

    /// Also a disk that cannot be taken out, as far as the kernel knows
    #[arg(long)]
    force: bool,
}

impl Flash {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let shown = self.image.display();
        let image = std::fs::read(&self.image).with_context(|| format!("{shown} cannot be read"))?;
        ensure!(image.get(510..512) == Some(&[0x55, 0xaa]), "{shown} is no card's image: it has no partition table");
        let system = System::real();
        let disk = system.disk(&self.device)?;
        show(&disk);
        refuse(&disk, image.len() as u64, self.force)?;
        if !self.yes {
            ask(&disk.name, &self.image, &mut std::io::stdin().lock())?;
        }
        // Somebody may have mounted it while the question stood.
        let again = system.disk(&self.device)?;
        ensure!(again == disk, "{} is not what it was when you were asked: begin again", self.device.display());
        let mut target = Target::open(&system, &disk)?;
        let template = "{msg:12} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}";
        let bar = progress::bar(Some(image.len() as u64), template);
        let mut progress = |phase, done| {
            bar.set_message(if phase == Phase::Write { "writing" } else { "reading back" });
            bar.set_position(done);
        };
        write(&image, &mut target, &mut progress)?;
        verify(&image, &target, &mut progress)?;
        bar.finish_and_clear();
        println!("{}: {} MiB written and read back, all the same", disk.path.display(), image.len() >> 20);
        Ok(ExitCode::SUCCESS)
    }
}

/// What would be overwritten.
fn show(disk: &Disk) {
    let removable = if disk.is_removable { "removable" } else { "not removable" };
    let model = if disk.model.is_empty() { "without a name" } else { &disk.model };
    println!("{}: {model}, {}, {removable}", disk.path.display(), size(disk.size));
    for partition in &disk.partitions {
        let content = partition.content.as_deref().unwrap_or("unknown");
        println!("  {:10} {:>10}  {content}", partition.name, size(partition.size));
    }
}

fn refuse(disk: &Disk, image: u64, force: bool) -> Result<()> {
    let refusals = refusals(disk, image, Permission { not_removable: force });
    if refusals.is_empty() {
        return Ok(());
    }
    let reasons: String = refusals.iter().map(|refusal| format!("\n  {refusal}")).collect();
    bail!("{} is not written:{reasons}", disk.path.display())
}

/// Only the device's own name is a yes.
fn ask(name: &str, image: &Path, from: &mut dyn BufRead) -> Result<()> {
    print!("All of this will be lost. Type {name} to write {} to it: ", image.display());
    std::io::stdout().flush()?;
    let mut answer = String::new();
    from.read_line(&mut answer).context("there is no answer: --yes for scripts")?;
    ensure!(answer.trim() == name, "nothing was written: the answer was not {name} (--yes for scripts)");
    Ok(())
}

fn size(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_device_s_name_is_a_yes() {
        for (answer, is_yes) in
            [("sdb\n", true), (" sdb \n", true), ("y\n", false), ("sdb1\n", false), ("", false), ("sda\n", false)]
        {
            assert_eq!(ask("sdb", Path::new("card.img"), &mut answer.as_bytes()).is_ok(), is_yes, "{answer:?}");
        }
    }
}
