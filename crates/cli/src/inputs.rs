//! The inputs of a call: read from a file, or drawn.

use crate::content::{Content, content, content_by_name};
use crate::failure::Failure;
use crate::npz;
use driver::Source;
use driver::values::Given;
use ir::{Array, Code, DType, Diagnostic, Diagnostics, Graph, Literal, Location, Strings, Tensor, TensorType};
use random::Random;
use runtime::Image;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use sym::{Expr, Sym};

/// The tensors of one call in the model's order, and how they came about, for the user.
#[derive(Debug)]
pub struct Inputs {
    pub tensors: Vec<Tensor>,
    pub remark: String,
    /// Of the tensors that are of strings.
    pub strings: Arc<Strings>,
}

/// How inputs are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    pub seed: u64,
    /// The most memory that they may take.
    pub most_bytes: usize,
}

/// The inputs of a file, or without one, drawn ones.
pub fn inputs(file: Option<&Path>, image: &Image, graph: &Graph, draw: Draw) -> Result<Inputs, Failure> {
    match file {
        Some(path) => from_file(path, image),
        None => drawn(image, graph, &drawn_sizes(image)?, draw),
    }
}

/// The inputs of a file.
pub fn from_file(path: &Path, image: &Image) -> Result<Inputs, Failure> {
    let strings = Arc::new(Strings::of(&image.texts));
    Ok(Inputs { tensors: read(path, image, &strings)?, remark: format!("inputs: {}", path.display()), strings })
}

/// What an .npz gives; nothing where it can't be read, which [`inputs`] tells. Strings are numbers that mean nothing.
pub fn given(file: Option<&Path>, source: &Source) -> Given {
    match file.and_then(|path| npz::read(path, &Strings::default()).ok()) {
        Some(arrays) => Given::by_name(source, arrays.into_iter().collect()),
        None => Given::default(),
    }
}

/// The arrays of an .npz under the names of the model's inputs. All names that are missing or unknown are told. The table of strings begins
/// with the model's own.
pub fn read(path: &Path, image: &Image, strings: &Strings) -> Result<Vec<Tensor>, Failure> {
    let mut arrays: BTreeMap<String, Tensor> = npz::read(path, strings)?.into_iter().collect();
    let mut problems = Diagnostics::default();
    let mut tensors = Vec::new();
    for (name, ty) in &image.inputs {
        match arrays.remove(name) {
            Some(tensor) => tensors.push(tensor),
            None => {
                let message = format!("{} has no array of this name for the input {ty}", path.display());
                problems.0.push(Diagnostic::new(Code::Input, &Location::of(name), message));
            }
        }
    }
    let names: Vec<&str> = image.inputs.iter().map(|(name, _)| name.as_str()).collect();
    problems.0.extend(arrays.keys().map(|name| {
        let message = format!("{} has an array of this name, but the model's inputs are {}", path.display(), names.join(", "));
        Diagnostic::new(Code::Input, &Location::of(name), message)
    }));
    if problems.0.is_empty() { Ok(tensors) } else { Err(problems.into()) }
}

/// Sizes for drawn inputs: a symbol that leads an input is 1, or its least value. Any other free size is an error; all are told.
pub fn drawn_sizes(image: &Image) -> Result<BTreeMap<Sym, i64>, Failure> {
    let leads = |sym: &Sym| image.inputs.iter().any(|(_, ty)| ty.dims.first().and_then(Expr::as_sym) == Some(sym));
    let least = |sym: &Sym| image.symbol_facts.get(sym).copied().unwrap_or_default().low.max(1);
    let (leading, free): (Vec<&Sym>, Vec<&Sym>) = image.given().partition(|sym| leads(sym));
    let problem = |sym: &Sym| {
        let message = format!("its size is free; say --dim {sym}=SIZE or give --inputs");
        Diagnostic::new(Code::Input, &Location::of(&place_of(sym, image)), message)
    };
    match free.is_empty() {
        true => Ok(leading.into_iter().map(|sym| (sym.clone(), least(sym))).collect()),
        false => Err(Diagnostics(free.into_iter().map(problem).collect()).into()),
    }
}

/// `dim 1 of input_ids (seq)`: the first place where a symbol stands.
fn place_of(sym: &Sym, image: &Image) -> String {
    let place = |(name, ty): &(String, TensorType)| {
        let axis = ty.dims.iter().position(|dim| dim.mentions(sym))?;
        Some(format!("dim {axis} of {name} ({})", ty.dims[axis]))
    };
    image.inputs.iter().find_map(place).unwrap_or_else(|| sym.to_string())
}

/// Seeded inputs that suit the graph; a graph without inputs, as there is none above a program's text, tells nothing.
pub fn drawn(image: &Image, graph: &Graph, sizes: &BTreeMap<Sym, i64>, draw: Draw) -> Result<Inputs, Failure> {
    let (mut tensors, mut remarks) = (Vec::new(), Vec::new());
    let Draw { seed, mut most_bytes } = draw;
    for (at, (name, ty)) in image.inputs.iter().enumerate() {
        let dims = dims(name, ty, sizes, &mut most_bytes)?;
        let known = graph.inputs.len() == image.inputs.len();
        let content = if image.texts.inputs.contains(name) {
            // the empty string and the model's own
            Content::Below(vec![Expr::from(1 + image.texts.table.len() as i64)])
        } else if known {
            content(graph, at)
        } else {
            content_by_name(name, ty.dtype)
        };
        let mut random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(at as u64));
        let content = Drawn::of(content, sizes);
        tensors.push(content.tensor(ty.dtype, dims, &mut random));
        remarks.push(format!("{name} {}", content.text()));
    }
    Ok(Inputs {
        tensors,
        remark: format!("inputs: drawn with seed {seed}: {}", remarks.join(", ")),
        strings: Arc::new(Strings::of(&image.texts)),
    })
}

/// The dims of an input. What drawing it takes, the interpreter's 8 bytes an element on top of its own, is taken off `most_bytes`.
fn dims(name: &str, ty: &TensorType, sizes: &BTreeMap<Sym, i64>, most_bytes: &mut usize) -> Result<Vec<usize>, Failure> {
    let dim = |dim: &Expr| usize::try_from(dim.eval(&|sym| sizes.get(sym).copied())?).ok();
    let dims: Option<Vec<usize>> = ty.dims.iter().map(dim).collect();
    let bytes = |dims: &Vec<usize>| dims.iter().try_fold(ty.dtype.size() + 8, |bytes, dim| bytes.checked_mul(*dim));
    match dims.as_ref().and_then(bytes).and_then(|bytes| most_bytes.checked_sub(bytes)) {
        Some(left) => *most_bytes = left,
        None => return Err(Diagnostics::one(Code::Limit, &Location::of(name), format!("{ty} is too large to draw")).into()),
    }
    Ok(dims.unwrap_or_default())
}

/// A content with its bound known.
enum Drawn {
    Normal,
    Ones,
    /// From the first to the second, both included.
    Between(i64, i64),
    Bytes,
}

impl Drawn {
    fn of(content: Content, sizes: &BTreeMap<Sym, i64>) -> Drawn {
        let bound = |bounds: Vec<Expr>| bounds.iter().filter_map(|e| e.eval(&|sym| sizes.get(sym).copied())).min().unwrap_or(1);
        match content {
            Content::Normal => Drawn::Normal,
            Content::Ones => Drawn::Ones,
            Content::Bits => Drawn::Between(0, 1),
            Content::Bytes => Drawn::Bytes,
            Content::Below(bounds) => Drawn::Between(0, (bound(bounds) - 1).max(0)),
        }
    }

    fn text(&self) -> String {
        match self {
            Drawn::Normal => "normal".to_string(),
            Drawn::Ones => "ones".to_string(),
            Drawn::Between(low, high) => format!("{low}..={high}"),
            Drawn::Bytes => "any bytes".to_string(),
        }
    }

    fn tensor(&self, dtype: DType, dims: Vec<usize>, random: &mut Random) -> Tensor {
        let (low, high) = dtype.int_range().unwrap_or((0, 1));
        let value = |_| match self {
            Drawn::Normal => Literal::Float(random.normal()),
            Drawn::Ones if dtype.is_float() => Literal::Float(1.0),
            Drawn::Ones => Literal::Int(1),
            Drawn::Between(first, last) => Literal::Int(random.between((*first).max(low), (*last).min(high))),
            Drawn::Bytes => Literal::Int(random.between(low, high)),
        };
        Tensor::from_array(&Array::from_fn(dtype, dims, value))
    }
}

/// A tensor with the same elements in another order, drawn: as good an input as the given one.
pub fn shuffled(tensor: &Tensor, random: &mut Random) -> Tensor {
    let size = tensor.dtype().size();
    let mut order: Vec<usize> = (0..tensor.count()).collect();
    random.shuffle(&mut order);
    let bytes: Vec<u8> = order.iter().flat_map(|at| tensor.bytes()[at * size..][..size].iter().copied()).collect();
    Tensor::new(tensor.dtype(), tensor.dims().to_vec(), std::sync::Arc::new(bytes)).unwrap_or_else(|| tensor.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(inputs: &[(&str, DType, &[&str])]) -> Image {
        let ty = |dtype, dims: &[&str]| TensorType::new(dtype, dims.iter().map(|dim| dim.parse().unwrap()).collect());
        let inputs: Vec<_> = inputs.iter().map(|(name, dtype, dims)| (name.to_string(), ty(*dtype, dims))).collect();
        let symbols: std::collections::BTreeSet<Sym> = inputs.iter().flat_map(|(_, ty)| &ty.dims).flat_map(|d| d.symbols()).collect();
        Image { inputs, symbols: symbols.into_iter().collect(), ..Image::default() }
    }

    #[test]
    fn leading_sizes_are_one_and_others_asked_for() {
        let small = image(&[("x", DType::F32, &["n", "3"]), ("past_mask", DType::I64, &["n"])]);
        let drawn = inputs(None, &small, &Graph::default(), Draw { seed: 3, most_bytes: 100 }).unwrap();
        assert_eq!(drawn.tensors[0].dims(), [1, 3]);
        assert_eq!(drawn.tensors[1].to_array().get(0), Literal::Int(1));
        assert_eq!(drawn.remark, "inputs: drawn with seed 3: x normal, past_mask ones");
        assert_eq!(inputs(None, &small, &Graph::default(), Draw { seed: 3, most_bytes: 40 }).unwrap_err().exit_code, 3);
        let large = image(&[("x", DType::F32, &["n", "s", "2*w"])]);
        let failure = drawn_sizes(&large).unwrap_err().to_string();
        assert_eq!(
            anstream::adapter::strip_str(&failure).to_string(),
            "error[E009] dim 1 of x (s): its size is free; say --dim s=SIZE or give --inputs\n\
             error[E009] dim 2 of x (2*w): its size is free; say --dim w=SIZE or give --inputs\n"
        );
    }

    #[test]
    fn files_need_the_names_of_the_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let tensor = Tensor::from_array(&Array::ints(DType::I32, vec![3], vec![1, 2, 3]));
        npz::write(&path, [("a", &tensor), ("z", &tensor)]).unwrap();
        let failure = read(&path, &image(&[("a", DType::I32, &["3"]), ("b", DType::I32, &["n"])]), &Strings::default()).unwrap_err();
        let places: Vec<_> = failure.problems.iter().map(|problem| problem.location.clone().unwrap()).collect();
        assert_eq!((places, failure.exit_code), (vec!["b".to_string(), "z".to_string()], 2));
    }

    #[test]
    fn shuffled_elements_stay_whole() {
        let tensor = Tensor::from_array(&Array::ints(DType::I16, vec![2, 300], (0..600).collect()));
        let other = shuffled(&tensor, &mut Random::new(1));
        assert_ne!(other, tensor);
        let ir::array::Data::Int(mut values) = other.to_array().data().clone() else { panic!("no integers") };
        values.sort();
        assert_eq!(values, (0..600).collect::<Vec<_>>());
    }
}
