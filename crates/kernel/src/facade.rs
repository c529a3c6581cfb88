//! What a model that was compiled ahead of time looks like from outside: C functions around its `main` entry (see [`crate::module`]).
//!
//! | function | |
//! | --- | --- |
//! | `int32 P_init(context, context_bytes, weights, weights_bytes, abi)` | makes a context; `weights` may be null where they are linked in |
//! | `int64 P_scratch_bytes(dims)`, `int64 P_thread_scratch_bytes(dims)` | memory of a call, and of each further thread |
//! | `int32 P_output_bytes(dims, bytes)` | room for each output |
//! | `int32 P_input_dims(dims, input_dims)`, `int32 P_output_dims(dims, output_dims)` | the dims of all of them, one after the other |
//! | `int32 P_run(context, inputs, outputs, dims, scratch, scratch_bytes, parallel_for, pool)` | a call |
//! | `const char *P_message(code)` | what a result below or above 0 says |
//!
//! `P` is [`Facade::prefix`]. `dims` are the values of [`Facade::sizes`]. All counts are int64, so that the functions are the same on every
//! machine. A context is the C struct of `module`, the cookie in place of its profile, and behind it the pointers of the constants. It
//! holds no more than that, so that contexts share weights and nothing else.

use std::collections::HashMap;
use sym::{Expr, Sym};
use target::processor::Needed;

/// The version of the functions above.
pub const ABI: i32 = 1;

/// The functions, behind the prefix and `_`.
pub const FUNCTIONS: [&str; 8] =
    ["init", "scratch_bytes", "thread_scratch_bytes", "output_bytes", "input_dims", "output_dims", "run", "message"];

/// Results beside those of the entry.
pub mod code {
    /// The caller was compiled for another version of the functions.
    pub const ABI: i32 = -200_001;
    /// A pointer is null or not 64-byte aligned.
    pub const POINTER: i32 = -200_002;
    /// The scratch is smaller than `scratch_bytes` says.
    pub const SCRATCH: i32 = -200_003;
    /// The context is too small, or was not made by `init`.
    pub const CONTEXT: i32 = -200_004;
    /// The weights are not those that the code was made for.
    pub const WEIGHTS: i32 = -200_005;
    /// The processor lacks what the code needs.
    pub const PROCESSOR: i32 = -200_006;
    /// This minus the number of an input that must hold what the code was made for, and does not.
    pub const VALUE: i32 = -300_000;
}

/// The bytes in front of the weights: what they are, how many, and a digest.
pub const HEADER_BYTES: i64 = 64;

/// The alignment of pointers, in bytes.
pub const ALIGNMENT: i64 = 64;

/// Everything that the functions are made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facade {
    pub prefix: String,
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    /// In the order of the entry's own.
    pub sizes: Vec<Size>,
    /// The entry's further sizes, each over the sizes and those before it.
    pub places: Vec<(Sym, Expr)>,
    /// Over the sizes and the places.
    pub arena_bytes: Expr,
    /// Of one thread.
    pub scratch_bytes: Expr,
    pub weights: Weights,
    /// Inputs that must hold certain bytes.
    pub values: Vec<Value>,
    /// What to say of a failed guard or of a size, by result.
    pub messages: Vec<(i32, String)>,
    /// Those of the entry.
    pub steps: Vec<Step>,
    /// What the processor must have; `init` asks it.
    pub needed: Vec<Needed>,
    /// Whether the functions are one version of several: known inside of the artefact only.
    pub hidden: bool,
}

/// A step that runs a kernel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub number: u32,
    /// The model nodes that it is for.
    pub nodes: String,
    /// Whether a call can end there.
    pub may_fail: bool,
}

/// Several versions of a model behind one name: the loader of programs binds each function to the best version for the processor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dispatch {
    pub prefix: String,
    /// The prefixes of the versions, the most demanding last.
    pub versions: Vec<String>,
}

/// A symbol and the values that it may have.
#[derive(Clone, Debug, PartialEq)]
pub struct Size {
    pub symbol: Sym,
    pub low: i64,
    pub high: i64,
    /// The caller gives the largest value that it has room for, and gets the value.
    pub computed: bool,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub dims: Vec<Expr>,
    /// The most bytes.
    pub bytes: Expr,
}

/// Where the bytes lie that the entry reads; all offsets are multiples of the alignment, behind the header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    pub bytes: i64,
    /// The first [`HEADER_BYTES`] of them.
    pub header: Vec<u8>,
    /// Of each constant; 0 for those that the entry does not read.
    pub constants: Vec<i64>,
    pub prepared: i64,
    /// The symbol that they are in the artefact; None where the caller has them.
    pub symbol: Option<String>,
}

/// An input, and the bytes in the weights that it must be equal to.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub input: usize,
    pub offset: i64,
    pub bytes: i64,
}

impl Facade {
    /// The texts of results that are no step's.
    pub fn texts(&self) -> Vec<(i32, String)> {
        let own = [
            (0, "fine"),
            (code::ABI, "the caller was compiled for another version of this interface"),
            (code::POINTER, "a pointer is null or not 64-byte aligned"),
            (code::SCRATCH, "the scratch is too small"),
            (code::CONTEXT, "the context is too small, or was not made by init"),
            (code::WEIGHTS, "the weights are not those that the code was made for"),
            (code::PROCESSOR, "the processor lacks what the code needs"),
        ];
        let own = own.map(|(code, text)| (code, text.to_string()));
        let value = |value: &Value| {
            let text = format!("the model was compiled for another value of input {}", value.input);
            (code::VALUE - value.input as i32, text)
        };
        own.into_iter().chain(self.values.iter().map(value)).chain(self.messages.iter().cloned()).collect()
    }

    /// The texts of failed steps, by the result divided by 65536.
    pub fn step_texts(&self) -> Vec<(i32, String)> {
        self.steps.iter().filter(|step| step.may_fail).map(|step| (step.number as i32 + 1, step.nodes.clone())).collect()
    }

    /// Bytes of a context.
    pub fn context_bytes(&self) -> i64 {
        64 + 8 * self.weights.constants.len() as i64
    }

    /// Bytes of scratch of a call, where that depends on no size.
    pub fn known_scratch_bytes(&self) -> Option<i64> {
        let mut known: HashMap<&Sym, i64> = HashMap::new();
        for (symbol, place) in &self.places {
            let place = place.eval(&|sym| known.get(sym).copied())?;
            known.insert(symbol, place);
        }
        (&self.arena_bytes + &self.scratch_bytes).eval(&|sym| known.get(sym).copied()).filter(|_| self.sizes.is_empty())
    }

    /// Marks a context as one of this model.
    pub fn cookie(&self) -> i64 {
        let digest = self.weights.header.get(24..32).and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_le_bytes);
        digest | 1
    }
}
