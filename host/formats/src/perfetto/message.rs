//! Protocol buffers, the part of their encoding that is needed: varints, and bytes behind their length.

/// A message being made.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(pub(super) Vec<u8>);

const VARINT: u64 = 0;
const BYTES: u64 = 2;

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
    /// A field that is a number.
    pub(super) fn number(&mut self, field: u64, number: u64) -> &mut Self {
        self.varint(field << 3 | VARINT);
        self.varint(number);
        self
    }
    /// A field that is bytes: a text, a message within.
    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.varint(field << 3 | BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }
    /// A message within, made here.
    pub(super) fn within(&mut self, field: u64, make: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::default();
        make(&mut inner);
        self.bytes(field, &inner.0)
    }
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Numbers of fields, as Perfetto's schema has them.
pub(super) mod field {
    pub(crate) mod trace {
        pub(crate) const PACKET: u64 = 1;
    }
    pub(crate) mod packet {
        pub(crate) const TIMESTAMP: u64 = 8;
        pub(crate) const SEQUENCE: u64 = 10;
        pub(crate) const TRACK_EVENT: u64 = 11;
        pub(crate) const INTERNED_DATA: u64 = 12;
        pub(crate) const SEQUENCE_FLAGS: u64 = 13;
        pub(crate) const PREVIOUS_PACKET_DROPPED: u64 = 42;
        pub(crate) const TRACK_DESCRIPTOR: u64 = 60;
    }
    pub(crate) mod track {
        pub(crate) const UUID: u64 = 1;
        pub(crate) const NAME: u64 = 2;
        pub(crate) const PROCESS: u64 = 3;
        pub(crate) const PARENT: u64 = 5;
    }
    pub(crate) mod process {
        pub(crate) const PID: u64 = 1;
        pub(crate) const NAME: u64 = 6;
    }
    pub(crate) mod event {
        pub(crate) const ANNOTATION: u64 = 4;
        pub(crate) const TYPE: u64 = 9;
        pub(crate) const NAME_IID: u64 = 10;
        pub(crate) const TRACK: u64 = 11;
    }
    pub(crate) mod annotation {
        pub(crate) const NAME_IID: u64 = 1;
        pub(crate) const UNSIGNED: u64 = 3;
        pub(crate) const SIGNED: u64 = 4;
        pub(crate) const TEXT: u64 = 6;
        pub(crate) const POINTER: u64 = 7;
    }
    pub(crate) mod interned {
        pub(crate) const EVENT_NAMES: u64 = 2;
        pub(crate) const ANNOTATION_NAMES: u64 = 3;
        /// Of an entry.
        pub(crate) const IID: u64 = 1;
        pub(crate) const NAME: u64 = 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_messages_are_encoded_as_protocol_buffers_are() {
        let mut message = Message::default();
        message.number(1, 150).bytes(2, b"testing").within(3, |inner| {
            inner.number(1, u64::MAX);
        });
        let expected = b"\x08\x96\x01\x12\x07testing\x1a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(message.0, expected);
    }
}
