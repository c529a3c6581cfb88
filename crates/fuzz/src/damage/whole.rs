//! The models that are damaged, whole: model files and the texts of their levels.

use crate::check::{Checked, Failure, Kind, imported};
use crate::model::generate;
use driver::{At, Error, Level, Options, compile_graph, inspect};
use ir::Tensor;
use onnx::proto::ModelProto;
use prost::Message;
use random::Random;
use std::collections::HashMap;
use target::Target;

/// So many seeds one after the other damage the same model, so that making it and its texts costs little.
const SIBLINGS: u64 = 256;
/// Seeds of the models.
const MODELS: usize = 100_000;

/// A model of few nodes: most of what can go wrong does so in one of them.
pub struct Whole {
    number: u64,
    pub model: ModelProto,
    texts: Option<Texts>,
}

struct Texts {
    graph: String,
    core: String,
    program: String,
    kernel: String,
    weights: HashMap<String, Tensor>,
}

impl Whole {
    /// The one of a seed; the one at hand where that is it.
    pub fn of(seed: u64, at_hand: Option<Whole>) -> Whole {
        let number = seed / SIBLINGS;
        at_hand.filter(|whole| whole.number == number).unwrap_or_else(|| {
            let mut random = Random::named(number, "whole");
            let models = (0..5).map(|_| generate(random.below(MODELS) as u64));
            let model = models.min_by_key(|model| model.graph.as_ref().map_or(0, |graph| graph.node.len())).unwrap_or_default();
            Whole { number, model, texts: None }
        })
    }

    /// The text of a level. A failure is one of the compiler.
    pub fn text(&mut self, level: Level) -> Checked<&str> {
        let texts = self.texts()?;
        Ok(match level {
            Level::Graph => &texts.graph,
            Level::Core => &texts.core,
            Level::Program => &texts.program,
            Level::Kernel => &texts.kernel,
        })
    }

    /// What the names of weights in the texts stand for.
    pub fn weights(&mut self) -> Checked<&HashMap<String, Tensor>> {
        Ok(&self.texts()?.weights)
    }

    fn texts(&mut self) -> Checked<&Texts> {
        let texts = match self.texts.take() {
            Some(texts) => texts,
            None => Texts::of(&self.model)?,
        };
        Ok(self.texts.insert(texts))
    }
}

impl Texts {
    fn of(model: &ModelProto) -> Checked<Texts> {
        let (_, graph) = imported(&model.encode_to_vec())?;
        let weights = driver::text::weights_of(&graph);
        let options = Options::new(Target::native(), 1);
        let bug = |error: Error| Failure::new(Kind::Bug, "whole model", error.to_string());
        let compiled = compile_graph(graph, &options).map_err(bug)?;
        let text = |at: At| inspect(&compiled, &options, at, None).map_err(bug);
        Ok(Texts { graph: text(At::Graph)?, core: text(At::Core)?, program: text(At::Program)?, kernel: text(At::Kernel)?, weights })
    }
}
