//! From a seed to a whole model, and what the model itself says of how it is to be called.
//!
//! A model carries its calls: the metadata entry `calls` has the sizes of its symbols, `n=3 m=5; n=0 m=5 ?` for two calls of which the
//! second may be refused, with a `!` where some floats are infinities and the like; and the documentation of an input holds the bounds of
//! its elements, `-2 2`. So a file is all that a check needs.

use crate::draft::{self, Draft};
use crate::family::STEPS;
use crate::generator::{Generator, Id, Symbol};
use ir::DType;
use onnx::proto::{ModelProto, StringStringEntryProto};
use random::Random;
use std::collections::BTreeMap;
use sym::Sym;

/// The sizes of the symbols in one call.
pub type Sizes = BTreeMap<Sym, i64>;

/// A call that a model asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    pub sizes: Sizes,
    /// Whether it may be refused: its sizes or numbers are not those that the model was made for.
    pub may_fail: bool,
    /// Whether some floats are infinities, NaNs and the like.
    pub odd_floats: bool,
}

const SYMBOL_NAMES: [&str; 4] = ["n", "seq", "batch", "h"];
/// Sizes that symbols are given: below, at and above the widths of vectors and tiles.
const SYMBOL_SIZES: [i64; 14] = [1, 2, 3, 4, 5, 7, 8, 11, 16, 17, 19, 24, 32, 33];
/// Sizes that a model was not made for: none of its steps has thought of them.
const OTHER_SIZES: [i64; 5] = [0, 0, 1, 2, 6];
/// The most multiplications of one node, but in large models.
pub const ORDINARY_WORK: i64 = 150_000;
/// The most outputs of a model, beyond the values that nothing reads.
const MORE_OUTPUTS: usize = 2;

/// The model of a seed.
pub fn generate(seed: u64) -> ModelProto {
    let mut random = Random::new(seed);
    let calls = random.one_of([1, 2, 2, 3]);
    let large = random.chance(12);
    let float = float_type(&mut random);
    let mut generator = Generator {
        draft: Draft::default(),
        values: vec![],
        symbols: symbols(&mut random, calls),
        calls,
        opset: [18, 20, 24, 28][random.weighted(&[66, 16, 9, 9])],
        float,
        most_elements: if large { 60_000 } else { 6_000 },
        most_work: if large { 4_000_000 } else { ORDINARY_WORK },
        in_branch: false,
        random,
    };
    generator.draft.graph.name = format!("seed_{seed}");
    let wanted = match generator.random.below(20) {
        0..5 => 1,
        5 => 20 + generator.random.below(20),
        _ => 2 + generator.random.below(12),
    };
    grow(&mut generator, wanted);
    finish(generator)
}

/// The float type of a model: f32 but for a few.
fn float_type(random: &mut Random) -> DType {
    [DType::F32, DType::F64, DType::F16][random.weighted(&[92, 4, 4])]
}

fn symbols(random: &mut Random, calls: usize) -> Vec<Symbol> {
    let count = random.weighted(&[30, 40, 20, 10]);
    let mut symbol = |name: &&str| Symbol { name: name.to_string(), sizes: (0..calls).map(|_| random.one_of(SYMBOL_SIZES)).collect() };
    SYMBOL_NAMES[..count].iter().map(&mut symbol).collect()
}

/// Takes steps until `wanted` of them have come to something.
fn grow(generator: &mut Generator, wanted: usize) {
    let weights: Vec<usize> = STEPS.iter().map(|(weight, _)| *weight).collect();
    let mut done = 0;
    for _ in 0..20 * wanted {
        let (_, step) = STEPS[generator.random.weighted(&weights)];
        done += step(generator).is_some() as usize;
        if done == wanted && !generator.draft.graph.node.is_empty() {
            return;
        }
    }
}

/// Values that nothing reads become outputs, and a few others.
fn finish(mut generator: Generator) -> ModelProto {
    let made: Vec<String> = generator.draft.graph.node.iter().flat_map(|node| &node.output).cloned().collect();
    let candidates: Vec<Id> = generator.ids().filter(|id| made.contains(&generator.value(*id).name)).collect();
    let mut outputs: Vec<Id> = candidates.iter().copied().filter(|id| !generator.value(*id).used).collect();
    for _ in 0..generator.random.below(MORE_OUTPUTS + 1) {
        let more = if generator.random.chance(90) {
            generator.random.pick(&candidates)
        } else {
            generator.random.pick(&generator.ids().collect::<Vec<Id>>())
        };
        outputs.extend(more.filter(|id| !outputs.contains(id)));
    }
    let infos =
        outputs.iter().map(|id| draft::value_info(&generator.value(*id).name, generator.form(*id).dtype, &generator.form(*id).dims));
    generator.draft.graph.output = infos.collect();
    let calls = asked(&mut generator);
    let mut model = generator.draft.into_model(generator.opset);
    set_calls(&mut model, &calls);
    model
}

/// The calls that the model was made for, and at times one with another size, or one with odd floats.
fn asked(generator: &mut Generator) -> Vec<Asked> {
    let sizes_of = |call: usize| generator.symbols.iter().map(|symbol| (Sym::new(&symbol.name), symbol.sizes[call])).collect();
    let mut calls: Vec<Asked> = (0..generator.calls).map(|call| Asked { sizes: sizes_of(call), ..Asked::default() }).collect();
    let first = calls[0].sizes.clone();
    if let (Some(symbol), true) = (generator.random.pick(&generator.symbols), generator.random.chance(50)) {
        let mut sizes = first.clone();
        sizes.insert(Sym::new(&symbol.name), generator.random.one_of(OTHER_SIZES));
        calls.push(Asked { sizes, may_fail: true, odd_floats: false });
    }
    if generator.random.chance(25) {
        calls.push(Asked { sizes: first, may_fail: true, odd_floats: true });
    }
    calls
}

/// Writes the calls into the model.
pub fn set_calls(model: &mut ModelProto, calls: &[Asked]) {
    let value = calls.iter().map(text_of).collect::<Vec<_>>().join("; ");
    model.metadata_props = vec![StringStringEntryProto { key: "calls".to_string(), value }];
}

fn text_of(call: &Asked) -> String {
    let sizes = call.sizes.iter().map(|(sym, size)| format!("{sym}={size}"));
    let marks = [("?", call.may_fail), ("!", call.odd_floats)].into_iter().filter(|(_, set)| *set).map(|(mark, _)| mark.to_string());
    sizes.chain(marks).collect::<Vec<_>>().join(" ")
}

/// The calls that a model asks for; one without symbols where it says nothing.
pub fn calls(model: &ModelProto) -> Vec<Asked> {
    let entry = model.metadata_props.iter().find(|entry| entry.key == "calls");
    let pair = |text: &str| text.split_once('=').and_then(|(name, size)| Some((Sym::new(name), size.parse().ok()?)));
    let sizes = |text: &str| text.split_whitespace().filter_map(pair).collect();
    let call = |text: &str| Asked { sizes: sizes(text), may_fail: text.contains('?'), odd_floats: text.contains('!') };
    entry.map_or(vec![Asked::default()], |entry| entry.value.split(';').map(call).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn a_seed_is_a_model() {
        let bytes = |seed: u64| generate(seed).encode_to_vec();
        assert_eq!(bytes(5), bytes(5));
        assert_ne!(bytes(5), bytes(6));
    }

    #[test]
    fn calls_are_read_back() {
        let sizes = |n: i64| Sizes::from([(Sym::new("n"), n), (Sym::new("seq"), 7)]);
        let call = |n: i64, may_fail: bool| Asked { sizes: sizes(n), may_fail, odd_floats: may_fail };
        let mut model = ModelProto::default();
        assert_eq!(calls(&model), [Asked::default()]);
        set_calls(&mut model, &[call(3, false), call(0, true)]);
        assert_eq!(model.metadata_props[0].value, "n=3 seq=7; n=0 seq=7 ? !");
        assert_eq!(calls(&model), [call(3, false), call(0, true)]);
    }
}
