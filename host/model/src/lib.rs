//! Model checks of the ring, in every order that its atomics allow: `make model`, `tests/loom.rs`. Nothing is in the library;
//! without `--cfg loom` nothing is in the tests either.
