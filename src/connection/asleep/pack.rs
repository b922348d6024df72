//! The compact form of a value, written: see [`asleep`](super) for the format.

use serde::ser::{self, Serialize, Serializer};

use super::form::{GROUP, Kind, NotPacked, Recent, WORD, bits, zigzag};
use super::wrapped::Wrapped;

/// Where values are put into few bytes.
#[derive(Debug)]
pub struct Room {
    words: [u64; bits::WORDS],
    numbers: Box<[u8]>,
}

/// What a value became.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed<'a> {
    words: &'a [u64],
    pub(super) numbers: &'a [u8],
}

/// Writes into a room.
///
/// Perf: what does not fit is left out, and told at the end, so that nothing on the way asks for it.
pub(super) struct Packer<'a> {
    room: &'a mut Room,
    /// Words of bits that are full.
    full: usize,
    bits: u64,
    /// How many bits the present word has.
    count: u32,
    group: [u64; GROUP],
    /// How many numbers the group has.
    waiting: usize,
    /// How many bytes of numbers there are.
    len: usize,
    /// Something did not fit.
    is_cut: bool,
    times: Recent,
    frames: Recent,
}

type Done = Result<(), NotPacked>;

impl Room {
    /// Room for so many bytes of numbers.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { words: [0; bits::WORDS], numbers: vec![0; bytes].into() }
    }

    /// The compact form of `value`; an error where that is too long.
    pub(super) fn pack<T: Serialize>(&mut self, value: &T) -> Result<Packed<'_>, NotPacked> {
        let mut packer = Packer {
            room: self,
            full: 0,
            bits: 0,
            count: 0,
            group: [0; GROUP],
            waiting: 0,
            len: 0,
            is_cut: false,
            times: Recent::times(),
            frames: Recent::frames(),
        };
        value.serialize(&mut packer)?;
        packer.close_word();
        if packer.waiting > 0 {
            packer.close_group();
        }
        let Packer { room, full, len, is_cut, .. } = packer;
        match (room.words.get(..full), room.numbers.get(..len)) {
            (Some(words), Some(numbers)) if !is_cut => Ok(Packed { words, numbers }),
            _ => Err(NotPacked),
        }
    }
}

impl Packed<'_> {
    /// All of it: how many words of bits there are, those words, and the numbers.
    pub(super) fn to_bytes(self) -> Box<[u8]> {
        let mut bytes = Vec::with_capacity(1 + WORD * self.words.len() + self.numbers.len());
        bytes.push(u8::try_from(self.words.len()).unwrap_or(u8::MAX));
        for word in self.words {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(self.numbers);
        bytes.into()
    }
}

impl Packer<'_> {
    /// Adds so many bits.
    #[inline]
    fn put(&mut self, bits: u64, count: u32) {
        if self.count + count > u64::BITS {
            self.close_word();
        }
        self.bits |= bits << self.count;
        self.count += count;
    }

    #[inline(never)]
    fn close_word(&mut self) {
        match self.room.words.get_mut(self.full) {
            Some(word) => *word = self.bits,
            None => self.is_cut = true,
        }
        self.full += 1;
        (self.bits, self.count) = (0, 0);
    }

    #[inline]
    fn number(&mut self, number: u64) {
        if self.waiting == GROUP {
            self.close_group();
        }
        if let Some(place) = self.group.get_mut(self.waiting) {
            *place = number;
        }
        self.waiting += 1;
    }

    /// Writes the numbers that wait.
    ///
    /// Perf: into a place that is large enough for any, so that it is asked for once.
    #[inline(never)]
    fn close_group(&mut self) {
        let place = self.room.numbers.get_mut(self.len..);
        let place = place.and_then(<[u8]>::split_first_chunk_mut::<WORD>);
        let Some((first, Some(place))) =
            place.map(|(first, rest)| (first, rest.first_chunk_mut::<{ GROUP * WORD }>()))
        else {
            self.is_cut = true;
            return;
        };
        let (mut lengths, mut end) = (0, 0);
        for (number, shift) in self.group.iter().zip((0..).step_by(4)) {
            // All bytes of a word: those that are not needed are written over by the next number.
            let word = place.get_mut(end % (GROUP * WORD)..).and_then(<[u8]>::first_chunk_mut);
            if let Some(word) = word {
                *word = number.to_le_bytes();
            }
            let highest = u64::BITS - 1 - (number | 1).leading_zeros();
            let length = highest / u8::BITS + u32::from(*number != 0);
            lengths |= u64::from(length) << shift;
            end += length as usize;
        }
        *first = u64::to_le_bytes(lengths);
        self.len += WORD + end;
        (self.group, self.waiting) = ([0; GROUP], 0);
    }

    #[inline(never)]
    fn time(&mut self, number: u64) {
        self.near(|packer| &mut packer.times, number);
    }

    #[inline(never)]
    fn frame(&mut self, number: u64) {
        self.near(|packer| &mut packer.frames, number);
    }

    /// A time or a frame, which may have been written before.
    #[inline]
    fn near(&mut self, recent: fn(&mut Self) -> &mut Recent, number: u64) {
        if let Some(place) = recent(self).remember(number) {
            self.put(1, bits::KNOWN);
            return self.put(place.into(), bits::PLACE);
        }
        self.put(0, bits::KNOWN);
        let distance = recent(self).distance(number);
        self.number(distance);
    }

    /// Which of several kinds a value is of.
    #[inline]
    fn variant(&mut self, index: u32) {
        let few = index.min(bits::MANY);
        self.put(few.into(), bits::VARIANT);
        if few == bits::MANY {
            self.number(index.into());
        }
    }

    #[inline]
    fn length(&mut self, length: usize) -> Done {
        self.number(u64::try_from(length).map_err(|_| NotPacked)?);
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) -> Done {
        self.length(bytes.len())?;
        for byte in bytes {
            self.byte(*byte);
        }
        Ok(())
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        self.put((byte != 0).into(), 1);
        if byte != 0 {
            self.put(byte.into(), u8::BITS);
        }
    }
}

/// One method for each kind of number: as it is, or folded by `zigzag`.
macro_rules! numbers {
    ($($method:ident($kind:ty) => $fold:expr;)*) => {$(
        #[inline]
        fn $method(self, number: $kind) -> Done {
            self.number($fold(number));
            Ok(())
        }
    )*};
}

impl Serializer for &mut Packer<'_> {
    type Ok = ();
    type Error = NotPacked;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = ser::Impossible<(), NotPacked>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! {
        serialize_i8(i8) => |n| zigzag(i64::from(n));
        serialize_i16(i16) => |n| zigzag(i64::from(n));
        serialize_i32(i32) => |n| zigzag(i64::from(n));
        serialize_i64(i64) => zigzag;
        serialize_u16(u16) => u64::from;
        serialize_u32(u32) => u64::from;
        serialize_u64(u64) => u64::from;
        serialize_f32(f32) => |n: f32| u64::from(n.to_bits());
        serialize_f64(f64) => f64::to_bits;
        serialize_char(char) => u64::from;
    }

    #[inline]
    fn serialize_u8(self, byte: u8) -> Done {
        self.byte(byte);
        Ok(())
    }

    #[inline]
    fn serialize_bool(self, bit: bool) -> Done {
        self.put(bit.into(), 1);
        Ok(())
    }

    fn serialize_str(self, text: &str) -> Done {
        self.raw(text.as_bytes())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Done {
        self.raw(bytes)
    }

    #[inline]
    fn serialize_none(self) -> Done {
        self.put(0, 1);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        self.put(1, 1);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        Ok(())
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, index: u32, _: &'static str) -> Done {
        self.variant(index);
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Done {
        match Kind::wrapped_by(name) {
            Kind::Time => self.time(value.serialize(Wrapped)?),
            Kind::Frame => self.frame(value.serialize(Wrapped)?),
            Kind::Plain => return value.serialize(self),
        }
        Ok(())
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        value: &T,
    ) -> Done {
        self.variant(index);
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, NotPacked> {
        self.length(length.ok_or(NotPacked)?)?;
        Ok(self)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Self, NotPacked> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, NotPacked> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, NotPacked> {
        self.variant(index);
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, NotPacked> {
        Err(NotPacked)
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, NotPacked> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self, NotPacked> {
        self.variant(index);
        Ok(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The parts of what has parts follow one another.
macro_rules! parts {
    ($($kind:ident::$method:ident($($name:ident)?);)*) => {$(
        impl ser::$kind for &mut Packer<'_> {
            type Ok = ();
            type Error = NotPacked;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Done {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Done {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq::serialize_element();
    SerializeTuple::serialize_element();
    SerializeTupleStruct::serialize_field();
    SerializeTupleVariant::serialize_field();
    SerializeStruct::serialize_field(_name);
    SerializeStructVariant::serialize_field(_name);
}
