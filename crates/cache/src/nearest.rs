//! Which field made a miss.

use crate::key::Key;

/// A field in which a key and the one nearest to it differ, with the first line that differs in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub field: String,
    pub wanted: String,
    pub found: String,
}

/// How the key differs from the one that is most like it: equal in the most significant field, then in the most fields, then in the most
/// text of that field. The first field is the most significant. None where none has the key's fields; empty where one is the key.
pub fn nearest<'a>(key: &Key, others: impl IntoIterator<Item = &'a Key>) -> Option<Vec<Difference>> {
    let comparable = others.into_iter().filter(|other| names(other).eq(names(key)));
    let found = comparable.max_by_key(|other| likeness(key, other))?;
    let pairs = key.fields.iter().zip(&found.fields).filter(|(wanted, found)| wanted != found);
    Some(pairs.map(|((name, wanted), (_, found))| difference(name, wanted, found)).collect())
}

fn names(key: &Key) -> impl Iterator<Item = &str> {
    key.fields.iter().map(|(name, _)| &**name)
}

fn likeness(key: &Key, other: &Key) -> (bool, usize, usize) {
    let pairs = || key.fields.iter().zip(&other.fields);
    let first = pairs().next();
    let equal = pairs().filter(|(a, b)| a == b).count();
    (first.is_some_and(|(a, b)| a == b), equal, first.map_or(0, |(a, b)| common_bytes(&a.1, &b.1)))
}

/// Bytes that two texts share at their starts and at their ends.
fn common_bytes(a: &str, b: &str) -> usize {
    let start = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let end = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    start + end.min(a.len().min(b.len()) - start)
}

fn difference(name: &str, wanted: &str, found: &str) -> Difference {
    let lines = wanted.lines().count().max(found.lines().count());
    let line = |text: &str, at: usize| text.lines().nth(at).unwrap_or("").trim().to_string();
    let at = (0..lines).find(|at| line(wanted, *at) != line(found, *at)).unwrap_or(0);
    Difference { field: name.to_string(), wanted: line(wanted, at), found: line(found, at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(nest: &str, target: &str, compiler: &str) -> Key {
        Key::new([("nest", nest.into()), ("target", target.into()), ("compiler", compiler.into())])
    }

    fn fields(key: &Key, others: &[Key]) -> Vec<String> {
        nearest(key, others).unwrap().into_iter().map(|difference| difference.field).collect()
    }

    #[test]
    fn the_field_of_a_miss_is_named() {
        let others = [key("a", "x", "1"), key("b", "y", "1")];
        assert_eq!(fields(&key("a", "x", "1"), &others), [""; 0]);
        assert_eq!(fields(&key("a", "x", "2"), &others), ["compiler"]);
        assert_eq!(fields(&key("a", "y", "1"), &others), ["target"]);
        assert_eq!(fields(&key("c", "y", "1"), &others), ["nest"]);
        assert_eq!(fields(&key("b", "x", "2"), &others), ["target", "compiler"]);
        assert_eq!(nearest(&key("a", "x", "1"), []), None);
        assert_eq!(nearest(&Key::new([("text", "a".into())]), &others), None);
    }

    #[test]
    fn the_first_line_that_differs_is_told() {
        let others = [key("for i0 in 9\nadd", "x", "1"), key("for i0 in 3\nmul v0 v1", "x", "1")];
        let want = Difference { field: "nest".into(), wanted: "mul v0 v2".into(), found: "mul v0 v1".into() };
        assert_eq!(nearest(&key("for i0 in 3\nmul v0 v2", "x", "1"), &others), Some(vec![want]));
    }
}
