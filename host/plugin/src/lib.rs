//! The cache that loses, as a TCG plugin: `qemu-system-aarch64 -plugin libafterglow_plugin.so,key=value,...` with the words of
//! [`cachesim::options::Options`].
//!
//! RAM is a `memory-backend-file,share=on`, mapped here as well. What is translated is looked at once: cleans, barriers, the
//! first instruction after a reset and what is watched get a callback, all else stays as fast as it was; stores get one only
//! where they are followed. Addresses are taken to be physical: the kernel's map is the identity.
//!
//! At the first instruction after a reset all old stores are done, whatever caused it; RAM then becomes what
//! [`cachesim::cache::Cache`] says, and the report goes out before the next boot goes on.

mod a64;
mod core;
mod ffi;
mod instrument;
mod ram;

use cachesim::options::Options;
use ffi::Id;
use instrument::Instrument;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

/// QEMU looks whether it knows this version of its interface.
// SAFETY: no other symbol of this name is in this library.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: c_int = ffi::VERSION;

static INSTRUMENT: OnceLock<Instrument> = OnceLock::new();

/// QEMU calls it when it loads the plugin. Not zero: it cannot be used, and QEMU ends; the reason goes to the standard error.
///
/// # Safety
/// Only QEMU calls it, with its documented arguments: `words` points to `count` strings.
// SAFETY: no other symbol of this name is in this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    _info: *const c_void,
    count: c_int,
    words: *const *const c_char,
) -> c_int {
    let words: Vec<String> = (0..usize::try_from(count).unwrap_or_default())
        // SAFETY: QEMU hands over so many strings, each with its end.
        .map(|n| unsafe { CStr::from_ptr(*words.add(n)) }.to_string_lossy().into_owned())
        .collect();
    let made =
        Options::parse(words.iter().map(String::as_str)).map_err(|wrong| wrong.to_string()).and_then(Instrument::new);
    match made {
        Ok(instrument) => {
            // QEMU loads a plugin once for each -plugin, and this one keeps one state.
            if INSTRUMENT.set(instrument).is_err() {
                eprintln!("afterglow plugin: it is loaded already");
                return 1;
            }
            instrument::register(id);
            0
        }
        Err(why) => {
            eprintln!("afterglow plugin: {why}");
            1
        }
    }
}

/// The one instrument. There is one when callbacks come: they are registered after it was made.
fn instrument() -> Option<&'static Instrument> {
    INSTRUMENT.get()
}
