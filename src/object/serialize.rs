//! From a Rust value to the tape, without JSON text in between; the tree is the one that its text would be read into.

use serde::Serialize;
use serde::ser;

use super::builder::Builder;
use super::json::ReadError;
use super::tree::Object;

impl Object {
    /// The object that a Rust value serialises to.
    ///
    /// # Errors
    /// [`ReadError`] if the value cannot be written as JSON (a map with keys that are no strings).
    pub fn from_serialize(value: &impl Serialize) -> Result<Self, ReadError> {
        let mut builder = Builder::with_room();
        value.serialize(&mut builder)?;
        Ok(builder.finish())
    }
}

impl ser::Error for ReadError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), line: 0, column: 0 }
    }
}

/// A list or map that is being written. A variant with content is a map around it, to be closed as well.
#[derive(Debug)]
pub struct Container<'b> {
    builder: &'b mut Builder,
    wrapped: bool,
}

impl<'b> Container<'b> {
    fn list(builder: &'b mut Builder, variant: Option<&'static str>) -> Self {
        let container = Self::around(builder, variant);
        container.builder.begin_list();
        container
    }

    fn map(builder: &'b mut Builder, variant: Option<&'static str>) -> Self {
        let container = Self::around(builder, variant);
        container.builder.begin_map();
        container
    }

    fn around(builder: &'b mut Builder, variant: Option<&'static str>) -> Self {
        if let Some(variant) = variant {
            builder.begin_map();
            builder.string(variant);
        }
        Self { builder, wrapped: variant.is_some() }
    }

    fn close(self) {
        self.builder.end();
        if self.wrapped {
            self.builder.end();
        }
    }
}

impl<'b> ser::Serializer for &'b mut Builder {
    type Ok = ();
    type Error = ReadError;
    type SerializeSeq = Container<'b>;
    type SerializeTuple = Container<'b>;
    type SerializeTupleStruct = Container<'b>;
    type SerializeTupleVariant = Container<'b>;
    type SerializeMap = Container<'b>;
    type SerializeStruct = Container<'b>;
    type SerializeStructVariant = Container<'b>;

    fn serialize_bool(self, value: bool) -> Result<(), ReadError> {
        self.bool(value);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), ReadError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), ReadError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), ReadError> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), ReadError> {
        self.int(value);
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), ReadError> {
        self.serialize_i64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), ReadError> {
        self.serialize_i64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), ReadError> {
        self.serialize_i64(value.into())
    }

    #[expect(clippy::cast_precision_loss, reason = "Kubernetes reads an integer beyond 64 signed bits as a float")]
    fn serialize_u64(self, value: u64) -> Result<(), ReadError> {
        match i64::try_from(value) {
            Ok(value) => self.int(value),
            Err(_) => self.float(value as f64),
        }
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), ReadError> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), ReadError> {
        // JSON has no other floats, and `serde_json` writes those as null.
        if value.is_finite() {
            self.float(value);
        } else {
            self.null();
        }
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), ReadError> {
        self.string(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), ReadError> {
        self.string(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), ReadError> {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result<(), ReadError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ReadError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), ReadError> {
        self.null();
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), ReadError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), ReadError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), ReadError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), ReadError> {
        self.begin_map();
        self.string(variant);
        value.serialize(&mut *self)?;
        self.end();
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Container<'b>, ReadError> {
        Ok(Container::list(self, None))
    }

    fn serialize_tuple(self, _: usize) -> Result<Container<'b>, ReadError> {
        Ok(Container::list(self, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Container<'b>, ReadError> {
        Ok(Container::list(self, None))
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Container<'b>, ReadError> {
        Ok(Container::list(self, Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Container<'b>, ReadError> {
        Ok(Container::map(self, None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Container<'b>, ReadError> {
        Ok(Container::map(self, None))
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, variant: &'static str, _: usize) -> Result<Container<'b>, ReadError> {
        Ok(Container::map(self, Some(variant)))
    }
}

/// The traits of serde for lists and for fields differ in the name of one method.
macro_rules! written_by {
    ($($kind:ident $method:ident),+ $(,)?) => {$(
        impl ser::$kind for Container<'_> {
            type Ok = ();
            type Error = ReadError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ReadError> {
                value.serialize(&mut *self.builder)
            }

            fn end(self) -> Result<(), ReadError> {
                self.close();
                Ok(())
            }
        }
    )+};
    (fields: $($kind:ident),+) => {$(
        impl ser::$kind for Container<'_> {
            type Ok = ();
            type Error = ReadError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), ReadError> {
                self.builder.string(name);
                value.serialize(&mut *self.builder)
            }

            fn end(self) -> Result<(), ReadError> {
                self.close();
                Ok(())
            }
        }
    )+};
}

written_by!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
);
written_by!(fields: SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Container<'_> {
    type Ok = ();
    type Error = ReadError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ReadError> {
        key.serialize(&mut *self.builder)?;
        if self.builder.ends_in_string() { Ok(()) } else { Err(ser::Error::custom("a key must be a string")) }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ReadError> {
        value.serialize(&mut *self.builder)
    }

    fn end(self) -> Result<(), ReadError> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    enum Variant {
        Unit,
        One(u8),
        Two(u8, char),
        Named { a: Option<bool> },
    }

    #[derive(Serialize)]
    struct Every<'a> {
        text: &'a str,
        variants: [Variant; 4],
        numbers: (i8, u64, f64, f64),
        map: BTreeMap<&'a str, ()>,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<u8>,
        integral: f64,
    }

    #[test]
    fn the_tree_is_the_one_of_the_json_text() {
        let every = Every {
            text: "a\n\u{e9}",
            variants: [Variant::Unit, Variant::One(1), Variant::Two(2, 'x'), Variant::Named { a: None }],
            numbers: (-1, u64::MAX, 1.5, f64::NAN),
            map: BTreeMap::from([("k/1", ()), ("~", ())]),
            absent: None,
            integral: 2.0,
        };
        let direct = Object::from_serialize(&every).unwrap();
        let by_text = Object::from_json(serde_json::to_string(&every).unwrap()).unwrap();
        assert_eq!(direct.root().to_json(), by_text.root().to_json());
        assert_eq!(Object::from_serialize(&BTreeMap::from([(1, 2)])).unwrap_err().message, "a key must be a string");
    }
}
