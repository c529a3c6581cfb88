//! The names of a rebuilt graph's values.

use ir::{Graph, ValueId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Names every value of `graph` that has a namesake in `before` as it was called there. The others keep their derived names, with
/// another number where a value before had that name: it would be taken for that one.
pub fn settle_names(graph: &mut Graph, before: &Graph, namesakes: &BTreeMap<ValueId, ValueId>) {
    let mut names = Names { taken: before.values.iter().map(|value| value.name.clone()).collect(), last: HashMap::new() };
    for (at, value) in graph.values.iter_mut().enumerate() {
        value.name = match namesakes.get(&ValueId(at as u32)) {
            Some(id) => before.value(*id).name.clone(),
            None => names.unique(&value.name),
        };
    }
}

struct Names {
    taken: HashSet<Arc<str>>,
    /// The last number tried for a name.
    last: HashMap<String, usize>,
}

impl Names {
    /// `hint`, or its stem with the first number that is free.
    fn unique(&mut self, hint: &Arc<str>) -> Arc<str> {
        let mut name = hint.clone();
        let stem = stem(hint).to_string();
        while self.taken.contains(&name) {
            let last = self.last.entry(stem.clone()).or_insert(0);
            *last += 1;
            name = Arc::from(format!("{stem}_{last}"));
        }
        self.taken.insert(name.clone());
        name
    }
}

/// `mul` of `mul_3`.
fn stem(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((stem, number)) if !stem.is_empty() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::{DType, GraphBuilder, TensorType};

    fn graph(names: &[&str]) -> Graph {
        let mut builder = GraphBuilder::new("g");
        names.iter().for_each(|name| {
            builder.input(name, TensorType::new(DType::F32, vec![]));
        });
        builder.finish()
    }

    #[test]
    fn names_stay_with_their_tensors() {
        let before = graph(&["x", "mul", "mul_1"]);
        let mut after = graph(&["a", "mul", "mul_1", "b"]);
        settle_names(&mut after, &before, &BTreeMap::from([(ValueId(0), ValueId(2)), (ValueId(3), ValueId(0))]));
        let names: Vec<&str> = after.values.iter().map(|value| &*value.name).collect();
        assert_eq!(names, ["mul_1", "mul_2", "mul_3", "x"]);
    }
}
