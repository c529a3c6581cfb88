//! What costs choose for an operation: a program with the schedules of its kernels.

use crate::problem::Problem;
use anyhow::Result;
use driver::{Options, parallel, plan};
use ir::{Graph, Tensor};
use kernel::schedule;
use program::{PhysicalGroup, Step};
use std::collections::HashSet;
use target::{Costs, Target};

/// An operation with all but the costs decided.
pub struct Operation {
    pub problem: Problem,
    pub graph: Graph,
    pub inputs: Vec<Tensor>,
    /// Of core ops.
    core: Graph,
    target: Target,
}

/// One program of an operation, with costs that choose it.
#[derive(Clone, Debug)]
pub struct Alternative {
    /// A digest of the program and of its schedules.
    pub key: String,
    pub costs: Costs,
}

impl Operation {
    pub fn new(problem: &Problem, target: &Target) -> Result<Operation> {
        let (graph, inputs) = problem.model()?;
        let options = Options::new(target.clone(), 1);
        let core = options.selection.graph_passes().into_iter().fold(graph.clone(), |graph, pass| (pass.run)(&graph));
        Ok(Operation { problem: problem.clone(), graph, inputs, core, target: target.clone() })
    }

    /// The options of a compile by these costs.
    pub fn options(&self, costs: &Costs) -> Options {
        let target = Target { costs: costs.clone(), ..self.target.clone() };
        let threads = target.cores as usize;
        Options::new(target, threads)
    }

    /// The key of the program that these costs choose.
    pub fn key(&self, costs: &Costs) -> Result<String> {
        let options = self.options(costs);
        let program = plan::plan(&self.core, &options)?;
        let mut digest = blake3::Hasher::new();
        digest.update(program.to_string().as_bytes());
        for group in program.steps.iter().flat_map(Step::groups) {
            let (group, _) = PhysicalGroup::new(&program, group);
            digest.update(format!("\n{}", schedule::choose(&group, &options.target)).as_bytes());
        }
        Ok(digest.finalize().to_hex()[..16].to_string())
    }

    /// What the record's own costs choose.
    pub fn reference(&self) -> Result<Alternative> {
        let costs = self.target.costs.clone();
        Ok(Alternative { key: self.key(&costs)?, costs })
    }

    /// What the candidates choose, each program once; that of the first candidate first.
    pub fn alternatives(&self, candidates: &[Costs]) -> Result<Vec<Alternative>> {
        let keys = parallel::map(candidates, self.target.cores as usize, |costs| self.key(costs));
        let mut known = HashSet::new();
        let mut out = Vec::new();
        for (costs, key) in candidates.iter().zip(keys) {
            let key = key?;
            if known.insert(key.clone()) {
                out.push(Alternative { key, costs: costs.clone() });
            }
        }
        Ok(out)
    }
}
