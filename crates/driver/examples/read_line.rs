//! Reads the line of text in a picture with the recogniser of PP-OCRv4.
//!
//!     cargo run --release -p driver --example read_line -- build/models/ppocr4_rec.onnx PICTURE
//!
//! Prints the text, and what it took: compile time, latency, memory, and the time of each kernel.

use anyhow::{Context, Result, bail};
use driver::{Compiled, MemoryUse, Options, Source, compile, kernel_times};
use image::imageops::{FilterType, resize};
use ir::Tensor;
use onnx::ModelFile;
use runtime::Executable;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The height, in pixels, that the model reads.
const HEIGHT: u32 = 48;

/// Columns of the picture that make one step of the model's output.
const STRIDE: u32 = 8;

const CALLS: usize = 20;
const KERNELS: usize = 10;

fn main() -> Result<()> {
    let [model, picture] = paths()?;
    let options = Options { profile: true, ..Options::native() };
    let compiled = compile(&Source::Onnx(model.clone()), &options)?;
    let mut executable = compiled.load(options.threads)?;

    let line = line(&picture)?;
    let outputs = executable.run(std::slice::from_ref(&line))?;
    println!("{}\n", text(&outputs[0], &characters(&model)?)?);

    println!("compiled in {:.2} s: {} kernels", compiled.seconds(), compiled.module().kernels.len());
    print_times(&compiled, &mut executable, &line)
}

fn paths() -> Result<[PathBuf; 2]> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    paths.try_into().ok().context("usage: read_line MODEL.onnx PICTURE")
}

/// The picture as the model takes it: f32[1, 3, 48, width], from -1 to 1, blue first.
fn line(path: &Path) -> Result<Tensor> {
    let picture = image::open(path).with_context(|| path.display().to_string())?.to_rgb8();
    let width = (u64::from(picture.width()) * u64::from(HEIGHT)).div_ceil(u64::from(picture.height().max(1)));
    let width = u32::try_from(width).context("the picture is too wide")?.next_multiple_of(STRIDE);
    let picture = resize(&picture, width, HEIGHT, FilterType::Triangle);
    let values: Vec<f32> =
        [2, 1, 0].iter().flat_map(|channel| picture.pixels().map(|pixel| f32::from(pixel[*channel]) / 127.5 - 1.0)).collect();
    Tensor::from_f32(vec![1, 3, HEIGHT as usize, width as usize], &values).context("the picture's size")
}

/// What each class of the model's output stands for: the blank, the characters of the model's metadata, the space.
fn characters(model: &Path) -> Result<Vec<String>> {
    let file = ModelFile::open(model)?;
    let listed = file.metadata("character").context("the model has no list of characters")?;
    Ok([""].into_iter().chain(listed.lines()).chain([" "]).map(String::from).collect())
}

/// Decodes f32[1, steps, classes] as CTC asks for: the likeliest class of each step, without repetitions and blanks.
fn text(scores: &Tensor, characters: &[String]) -> Result<String> {
    let values = scores.to_f32().context("the scores are no f32")?;
    if scores.dims().last() != Some(&characters.len()) {
        bail!("the model has {:?} scores for {} characters", scores.dims(), characters.len());
    }
    let likeliest = |step: &[f32]| (0..step.len()).max_by(|a, b| step[*a].total_cmp(&step[*b])).unwrap_or(0);
    let mut classes: Vec<usize> = values.chunks(characters.len()).map(likeliest).collect();
    classes.dedup();
    let text: String = classes.into_iter().map(|class| characters[class].as_str()).collect();
    Ok(text.trim().to_string())
}

/// Latency, memory, and the kernels that take longest.
fn print_times(compiled: &Compiled, executable: &mut Executable, line: &Tensor) -> Result<()> {
    executable.reset_profile();
    let mut latencies = Vec::new();
    for _ in 0..CALLS {
        let start = Instant::now();
        executable.run(std::slice::from_ref(line))?;
        latencies.push(start.elapsed().as_secs_f64());
    }
    latencies.sort_by(f64::total_cmp);
    println!("a picture of {} columns takes {:.2} ms on {} threads", line.dims()[3], latencies[CALLS / 2] * 1e3, executable.threads());

    let sizes = executable.bind(&[line.dims().to_vec()])?;
    let memory = MemoryUse::of(compiled, &sizes).context("sizes overflow")?;
    let mib = |bytes: usize| bytes as f64 / (1 << 20) as f64;
    println!(
        "memory: {:.2} MiB for temporaries, {:.3} of the least possible; {:.2} MiB of prepared weights\n",
        mib(memory.arena_bytes),
        memory.ratio(),
        mib(executable.prepared_bytes())
    );

    let kernels = kernel_times(compiled, &executable.profile().unwrap_or_default(), &sizes);
    let all: f64 = kernels.iter().map(|kernel| kernel.seconds).sum();
    println!("kernel  launches       time   share  Gflop/s  model node");
    for kernel in kernels.iter().take(KERNELS) {
        let (time, share, rate) = (kernel.seconds * 1e3, 100.0 * kernel.seconds / all, kernel.flops() / kernel.seconds / 1e9);
        let node = kernel.label.split(" + ").next().unwrap_or_default();
        println!("k{:<5}  {:8}  {time:6.3} ms  {share:4.1} %  {rate:7.1}  {node}", kernel.number, kernel.launches.len());
    }
    let rest: f64 = kernels.iter().skip(KERNELS).map(|kernel| kernel.seconds).sum();
    println!("k{:<5}  {:8}  {:6.3} ms  {:4.1} %", "others", "", rest * 1e3, 100.0 * rest / all);
    Ok(())
}
