//! PSCI: the firmware's calls to start cores, reset and power off (Arm DEN0022), by the conduit the device tree names.

/// How to reach the firmware: the device tree's `method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conduit {
    /// `hvc`: the firmware is at EL2.
    Hvc,
    /// `smc`: the firmware is at EL3.
    Smc,
}

impl Conduit {
    /// Reads the property `method` of the node with compatible `arm,psci*`, without its terminating zero.
    #[must_use]
    pub fn from_method(method: &[u8]) -> Option<Self> {
        match method {
            b"hvc" => Some(Conduit::Hvc),
            b"smc" => Some(Conduit::Smc),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Conduit::Hvc => "HVC",
            Conduit::Smc => "SMC",
        }
    }
}

pub use smccc::psci::{AffinityState, Error, Version};

#[cfg(target_os = "none")]
pub use target::Psci;

#[cfg(target_os = "none")]
mod target {
    use smccc::psci::{self, AffinityState, Error, LowestAffinityLevel, PSCI_SYSTEM_RESET2_64, Version};
    use smccc::{Hvc, Smc};

    use super::Conduit;

    /// SYSTEM_RESET2: the architectural warm reset.
    const RESET_TYPE_WARM: u32 = 0;
    /// The first version with PSCI_FEATURES.
    const FIRST_WITH_FEATURES: Version = Version { major: 1, minor: 0 };

    /// The firmware. Copies are as good as the original: it has no state.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Psci {
        conduit: Conduit,
    }

    /// Picks the conduit at run time; the crate makes it a type.
    macro_rules! call {
        ($self:ident, $function:ident($($argument:expr),*)) => {
            match $self.conduit {
                Conduit::Hvc => psci::$function::<Hvc>($($argument),*),
                Conduit::Smc => psci::$function::<Smc>($($argument),*),
            }
        };
    }

    impl Psci {
        /// The firmware behind a conduit. A conduit that the machine does not have is an undefined instruction at
        /// the first call, so only the device tree may say which it is.
        #[must_use]
        pub fn new(conduit: Conduit) -> Self {
            Self { conduit }
        }

        /// How it is reached.
        #[must_use]
        pub fn conduit(self) -> Conduit {
            self.conduit
        }

        /// Its version.
        ///
        /// # Errors
        ///
        /// What the firmware said.
        pub fn version(self) -> Result<Version, Error> {
            call!(self, version())
        }

        /// Whether it has a function, by its number (PSCI 1.0 and later; older ones cannot be asked and count as no).
        #[must_use]
        pub fn has(self, function: u32) -> bool {
            self.version().is_ok_and(|version| version >= FIRST_WITH_FEATURES)
                && call!(self, psci_features(function)).is_ok()
        }

        /// Starts a core at an address with a word for it.
        ///
        /// # Errors
        ///
        /// What the firmware said.
        pub fn cpu_on(self, mpidr: u64, entry: u64, context: u64) -> Result<(), Error> {
            call!(self, cpu_on(mpidr, entry, context))
        }

        /// Whether a core is on, off, or on its way.
        ///
        /// # Errors
        ///
        /// What the firmware said.
        pub fn affinity_info(self, mpidr: u64) -> Result<AffinityState, Error> {
            call!(self, affinity_info(mpidr, LowestAffinityLevel::All))
        }

        /// Powers the machine off. Returns only if that failed.
        pub fn system_off(self) -> Error {
            came_back(call!(self, system_off()))
        }

        /// Resets the machine the firmware's usual way. Returns only if that failed. The reset may take a while:
        /// code runs on, here and on other cores.
        pub fn system_reset(self) -> Error {
            came_back(call!(self, system_reset()))
        }

        /// Whether [`Self::system_reset2_warm`] exists.
        #[must_use]
        pub fn has_reset2(self) -> bool {
            self.has(PSCI_SYSTEM_RESET2_64)
        }

        /// Asks for a warm reset: memory keeps its content. Returns only if that failed.
        pub fn system_reset2_warm(self) -> Error {
            came_back(call!(self, system_reset2(RESET_TYPE_WARM, 0)))
        }
    }

    /// A call that should not return did, whatever it said.
    fn came_back(result: Result<(), Error>) -> Error {
        result.err().unwrap_or(Error::InternalFailure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conduits_are_named_as_in_device_trees() {
        assert_eq!(Conduit::from_method(b"hvc"), Some(Conduit::Hvc));
        assert_eq!(Conduit::from_method(b"smc"), Some(Conduit::Smc));
        for bad in [&b""[..], b"HVC", b"hvc\0", b"spin-table"] {
            assert_eq!(Conduit::from_method(bad), None);
        }
    }
}
