//! The oracle, before anybody believes it: what is right it lets pass, and every kind of wrong is provoked and named.

mod bounds;
#[path = "../../../../kernel/tests/machine/mod.rs"]
mod machine;
mod panics;
mod total;
mod words;
mod world;
