//! What decides an entry's code.

use std::sync::Arc;

/// Named texts in a fixed order. Equal keys mean equal code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    pub fields: Vec<(Arc<str>, Arc<str>)>,
}

impl Key {
    pub fn new(fields: impl IntoIterator<Item = (&'static str, Arc<str>)>) -> Key {
        Key { fields: fields.into_iter().map(|(name, text)| (Arc::from(name), text)).collect() }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| &**known == name).map(|(_, text)| &**text)
    }

    /// 256 bits in hexadecimal digits, a function of names and texts.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for text in self.fields.iter().flat_map(|(name, text)| [name, text]) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_tell_where_a_text_ends() {
        let key = |a: &str, b: &str| Key::new([("a", a.into()), ("b", b.into())]).digest();
        assert_eq!(key("x", "y"), key("x", "y"));
        assert_ne!(key("xy", ""), key("x", "y"));
        assert_ne!(key("x", "y"), Key::new([("a", "x".into()), ("c", "y".into())]).digest());
    }
}
