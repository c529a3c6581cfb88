//! A short campaign, and what the generator covers.

use fuzz::{Check, Outcome, check_model, generate};
use prost::Message;
use std::collections::BTreeSet;

/// Models of seeds in a row agree with the reference on this machine. `cargo xtask fuzz` makes one that fails smaller.
#[test]
fn models_agree_with_the_reference() {
    for seed in 0..60 {
        let check = Check { thorough: false, ..Check::native(seed) };
        let outcome = check_model(&generate(seed).encode_to_vec(), &check);
        assert_eq!(outcome, Outcome::Agrees, "cargo xtask fuzz --count 1 --seed {seed}");
    }
}

/// Operators that the opsets of the models, 18, 20, 24 and 28, do not have.
const OTHER_OPSETS: [&str; 2] = ["Scatter", "Upsample"];
/// Operators that are known, and refused.
const MAPS: [&str; 3] = ["CastMap", "DictVectorizer", "ZipMap"];
/// Its attributes name values of the graph around it, which no step knows; differences check it in the tests of `ops::gradient`.
const GRADIENT: &str = "Gradient";

#[test]
fn every_operator_of_the_importer_is_drawn() {
    let models: Vec<_> = (0..2000).map(generate).collect();
    let nodes = models.iter().filter_map(|model| model.graph.as_ref()).flat_map(|graph| &graph.node);
    let drawn: BTreeSet<(&str, &str)> = nodes.map(|node| (node.domain.as_str(), node.op_type.as_str())).collect();
    let supported = onnx::op_names().into_iter().map(|name| (name.domain, name.op_type));
    let left_out = |name: &str| OTHER_OPSETS.contains(&name) || MAPS.contains(&name) || name == GRADIENT;
    let missing: Vec<(&str, &str)> = supported.filter(|name| !drawn.contains(name) && !left_out(name.1)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
