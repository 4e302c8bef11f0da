//! x
use clap::Args;
/// x
#[derive(Debug, Args)]
pub(crate) struct Flash {}
impl Flash {
    pub(crate) fn run(&self) -> anyhow::Result<std::process::ExitCode> {
        Ok(0.into())
    }
}
